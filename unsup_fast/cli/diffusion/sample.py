"""`unsup-fast diffusion sample`: new pictures by a trained model."""

import io
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console

from unsup_fast import pictures
from unsup_fast.cli import files
from unsup_fast.cli.diffusion import models
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Silent, showing
from unsup_fast.cli.samples import named
from unsup_fast.report.numbers import counted, seconds, short

Array = npt.NDArray[Any]

SUFFIXES = (".png", ".npz")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of the command, as given."""

    run: Path
    out: Path
    n: int = 64
    sampler: str = "dpm++2m"
    steps: int = 20
    guidance: float | None = None
    labels: tuple[str, ...] = ()
    seed: int = 0
    batch_size: int | None = None
    device: str | None = None
    precision: str = "auto"
    quiet: bool = False
    overwrite: bool = False


def run(settings: Settings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError
        If anything given is unusable; found before a picture is made.
    ImportError
        If torch is missing.
    """
    console = Console(quiet=settings.quiet, highlight=False, soft_wrap=True)
    models.check_torch()
    files.check_file(
        settings.out, "-o", SUFFIXES, settings.overwrite, files.run_files(settings.run)
    )
    with Interrupts() as interrupts:
        try:
            model = models.load(settings.run, models.device_of(settings.device))
            classes = models.labels_of(settings.labels, model.config.classes)
            if settings.labels and len(classes) > settings.n:
                raise UserError(
                    f"-n {settings.n}: is less than the {len(classes)} classes that --label names; "
                    f"pass -n {len(classes)} or more"
                )
            labels = models.spread(classes, settings.n)
            begun = perf_counter()
            with showing(console, settings.quiet) as progress:
                found = draw(model, settings, settings.n, labels, progress)
            took = perf_counter() - begun
            with interrupts.shield():
                write(settings.out, found, labels, model.config.classes, len(classes))
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is kept.")
            return interrupts.status
    console.print(
        f"{counted(settings.n, 'picture')} written to {settings.out}, {settings.sampler}, "
        f"{counted(settings.steps, 'step')}, {seconds(took)} ({short(settings.n / took)}/s)",
        markup=False,
    )
    return 0


def draw(model: Any, settings: Any, n: int, labels: list[int] | None, progress: Silent) -> Array:
    """Return n pictures by what settings say of the sampler, bytes [n, C, H, W]."""
    progress.begin("Sampling")

    def show(done: int, rows: int, left: float) -> None:
        share = done / rows
        progress.moved(f"{int(n * share)} of {counted(n, 'picture')}", "Sampling", share, left)

    with named():
        made = model.sample(
            n,
            sampler=settings.sampler,
            steps=settings.steps,
            label=labels,
            guidance=settings.guidance,
            seed=settings.seed,
            batch_size=settings.batch_size,
            precision=settings.precision,
            progress=show,
        )
    return np.asarray(pictures.to_bytes(made))


def write(
    path: Path, found: Array, labels: list[int] | None, classes: tuple[str, ...], n_labels: int
) -> None:
    """Write pictures [n, C, H, W] as one PNG, or as an .npz of samples [n, H, W, C]."""
    if path.suffix == ".png":
        pictures.save_grid(path, found, columns=models.columns(n_labels, len(found)))
        return
    arrays: dict[str, Any] = {"samples": np.moveaxis(found, 1, -1)}
    if labels is not None:
        arrays |= {"labels": np.array(labels), "classes": np.array(classes)}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    with files.replacing(path) as file:
        file.write(content.getvalue())
