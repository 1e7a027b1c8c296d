"""`unsup-fast scenes check`: scores of pictures against their captions."""

import sys
from time import perf_counter
from typing import Any

import numpy as np
from rich.table import Table

from unsup_fast import pictures, scenes
from unsup_fast.blocks.npy import archive_array
from unsup_fast.cli import files, results, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Silent, showing
from unsup_fast.cli.samples import named
from unsup_fast.cli.scenes.settings import CheckSettings
from unsup_fast.report.numbers import count, percent

BATCH = 500
ALL_KINDS = "all"
ABOUT_KINDS = {"one": "one object", "relation": "relation", "several": "several", "two": "two"}


def run(settings: CheckSettings) -> int:
    """Run the command and return its exit status: 1 if too few pictures are right.

    Raises
    ------
    UserError
        If an option or an input is unusable.
    """
    console = terminal.console(quiet=settings.quiet, stderr=settings.json)
    if settings.out is not None:
        inputs = files.inputs_of(PICTURES=settings.pictures)
        files.check_file(settings.out, "-o", (".json",), settings.overwrite, inputs)
    begun = perf_counter()
    with Interrupts() as interrupts:
        try:
            images, specs = _read(settings)
            silent = settings.quiet or (settings.json and not console.is_terminal)
            with showing(console, silent) as progress:
                scores = _scores(images, specs, progress)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is printed.")
            return interrupts.status
    by_kind = {ALL_KINDS: {"n": len(scores), **scores.means()}}
    for k, kind in enumerate(scenes.KINDS):
        rows = np.flatnonzero(specs.kind == k)
        if len(rows):
            by_kind[kind] = {"n": len(rows), **scores[rows].means()}
    passed = by_kind[ALL_KINDS]["all"] >= settings.least
    summary = {
        "command": "scenes check",
        "pictures": str(settings.pictures),
        "scores": by_kind,
        "parameters": settings.recorded(),
        "passed": passed,
        "seconds": round(perf_counter() - begun, 4),
        "versions": results.versions(),
    }
    text = results.as_json(summary)
    if settings.out is not None:
        results.write_text(settings.out, text)
    if settings.json:
        sys.stdout.write(text)
    else:
        console.print(_table(by_kind))
        if not passed:
            share = percent(by_kind[ALL_KINDS]["all"])
            console.print(
                f"[bold]Failed[/]: everything is right in {share} of the pictures, and --least "
                f"asks for {percent(settings.least)}."
            )
    return 0 if passed else 1


def _read(settings: CheckSettings) -> tuple[np.ndarray, scenes.Specifications]:
    """Return pictures [N, 3, side, side], and what their captions say."""
    path = settings.pictures
    if path.suffix.lower() != ".npz":
        raise UserError(f"{path}: name an .npz file with pictures and captions")
    images = pictures.load(path, channels=3, key=settings.key, labels=False).pixels
    captions = archive_array(path, settings.captions, least=1)
    if captions.dtype.kind != "U" or captions.shape != images.shape[:1]:
        raise UserError(
            f"{path}: array {settings.captions!r} is {captions.shape} of {captions.dtype}; "
            f"captions are text, one for each of the {len(images)} pictures"
        )
    if not len(images):
        raise UserError(f"{path}: holds no pictures")
    with named(path):
        specs = scenes.parse(captions.tolist())
    digits = (specs.noun >= len(scenes.SHAPES)).any(axis=1)
    if digits.any():
        raise UserError(
            f"{path}: caption {digits.argmax()} names digits, which need a classifier; use "
            "unsup_fast.scenes.score(images, captions, classify=...)"
        )
    return images, specs


def _scores(images: np.ndarray, specs: scenes.Specifications, progress: Silent) -> scenes.Scores:
    progress.begin("Reading the pictures")
    parts = []
    for first in range(0, len(images), BATCH):
        rows = slice(first, first + BATCH)
        with named():
            parts.append(scenes.score(images[rows], specs[rows]))
        progress.part(min(len(images), first + BATCH), len(images), "read")
    names = parts[0].means()
    return scenes.Scores(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    )


def _table(by_kind: dict[str, dict[str, Any]]) -> Table:
    """Return the shares that are right, a row for each kind of caption."""
    table = Table(box=None, pad_edge=False)
    table.add_column("captions")
    for name in by_kind[ALL_KINDS]:
        table.add_column("pictures" if name == "n" else name, justify="right")
    for kind, row in by_kind.items():
        shares = [percent(share) for name, share in row.items() if name != "n"]
        table.add_row(ABOUT_KINDS.get(kind, kind), count(row["n"]), *shares)
    return table
