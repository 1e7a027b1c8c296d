"""`unsup-fast vae eval`: the likelihood of pictures by a trained model, and its bounds."""

import math
import sys
import warnings
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from unsup_fast._types import Array
from unsup_fast.cli import files, results, terminal
from unsup_fast.cli.info import version
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Silent, showing
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import data
from unsup_fast.cli.vae import models
from unsup_fast.cli.vae.settings import EvalSettings
from unsup_fast.report.numbers import count, counted, real, seconds

if TYPE_CHECKING:
    from unsup_fast.models.vae import VAE

PICTURES = 1000  # by default
BOUNDS = (1, 5, 50, 500)  # below --samples, of the importance-weighted bounds that are listed


def run(settings: EvalSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    ImportError
        If torch is missing.
    """
    console = terminal.console(quiet=settings.quiet, stderr=settings.json)
    models.check_torch()
    if settings.out is not None:
        inputs = models.inputs(settings)
        files.check_file(settings.out, "-o", (".json",), settings.overwrite, inputs)
    with Interrupts() as interrupts:
        try:
            summary = _evaluated(settings, console)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    text = results.as_json(summary)
    if settings.out is not None:
        results.write_text(settings.out, text)
    if settings.json:
        sys.stdout.write(text)
        return 0
    _print(summary, console)
    return 0


def _evaluated(settings: EvalSettings, console: Console) -> dict[str, Any]:
    """Return the scores and everything that they depend on."""
    begun = perf_counter()
    device = device_of(settings.device)
    model = models.load(settings.run_path, device)
    silent = settings.quiet or (settings.json and not console.is_terminal)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with showing(console, silent) as progress, named():
            dataset = data.read_for(settings, progress, model.config.shape)
            known = models.classes_of(dataset, model)
            rows = models.some(len(dataset.pixels), settings.n or PICTURES, settings.seed)
            scores = _scores(
                settings, model, dataset.pixels[rows], models.at(known, rows), progress
            )
    messages = [" ".join(str(warning.message).split()) for warning in caught]
    for line in dict.fromkeys(messages):
        terminal.warn(line)
    return {
        "command": "vae eval",
        **scores,
        "run": str(settings.run_path),
        "data": dataset.about(),
        "conditional": known is not None,
        "likelihood": model.config.likelihood,
        "parameters": {"samples": settings.samples, "seed": settings.seed},
        "warnings": messages,
        "seconds": round(perf_counter() - begun, 4),
        "machine": results.machine(None) | {"device": str(device)},
        "versions": results.versions() | {"torch": version("torch")},
    }


def _scores(
    settings: EvalSettings, model: "VAE", x: Array, label: Array | None, progress: Silent
) -> dict[str, Any]:
    """Return likelihoods of pictures x [N, C, H, W], their bounds, and the active latents."""
    from unsup_fast.models import vae
    from unsup_fast.models.vae.nll import bits_per_dim

    progress.begin("Computing the bound")
    bound = model.elbo(x, label, seed=settings.seed)
    statistics = vae.latent_statistics(model, x, label, seed=settings.seed)
    numbers = [k for k in BOUNDS if k < settings.samples] + [settings.samples]
    total, before = len(x) * sum(numbers), 0
    weighted = {}
    for k in numbers:
        progress.begin(f"Estimating the likelihood by {counted(k, 'draw')}")
        nats = model.nll(
            x,
            label,
            n_samples=k,
            seed=settings.seed,
            batch_size=settings.batch_size,
            progress=lambda done, *_, before=before: progress.part(before + done, total, "drawn"),
        )
        before += k * len(x)
        weighted[str(k)] = _mean(-nats.cpu().numpy())
    bits = bits_per_dim(nats, math.prod(model.config.shape), model.likelihood.bin_width)
    return {
        "nll": _mean(nats.cpu().numpy()),
        "bits_per_dim": {"mean": bits.bits_per_dim, "standard_error": bits.standard_error},
        "elbo": _mean(bound.elbo.double().cpu().numpy()),
        "reconstruction": _mean(bound.reconstruction.double().cpu().numpy()),
        "kl": _mean(bound.kl.double().sum(1).cpu().numpy()),
        "importance_weighted_bounds": weighted,
        "active_latents": int(statistics.active.sum()),
        "latents": model.config.latent,
        "kl_by_latent": statistics.kl.tolist(),
        "pictures": len(x),
    }


def _mean(values: Array) -> dict[str, float]:
    """Return the mean of values [N], and its standard error; NaN for one value."""
    n = len(values)
    error = float(values.std(ddof=1)) / math.sqrt(n) if n > 1 else math.nan
    return {"mean": float(np.mean(values)), "standard_error": error}


def _print(summary: dict[str, Any], console: Console) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("", "mean", "standard error"):
        table.add_column(name, justify="right" if name else "left")

    def add(name: str, score: dict[str, float]) -> None:
        error = score["standard_error"]
        table.add_row(name, real(score["mean"]), real(error) if math.isfinite(error) else "")

    samples = count(summary["parameters"]["samples"])
    add(f"-log p(x), nats, {samples} draws", summary["nll"])
    add("bits per dimension", summary["bits_per_dim"])
    add("ELBO, nats", summary["elbo"])
    add("  E log p(x | z)", summary["reconstruction"])
    add("  KL", summary["kl"])
    for k, score in summary["importance_weighted_bounds"].items():
        add(f"L_{k}, nats", score)
    console.print(table)
    conditional = ", by their classes" if summary["conditional"] else ""
    console.print(
        f"{summary['active_latents']} of {counted(summary['latents'], 'latent')} active; "
        f"{counted(summary['pictures'], 'picture')}{conditional}"
    )
    console.print(seconds(summary["seconds"]), style="dim")
