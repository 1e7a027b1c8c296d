"""`unsup-fast vae eval`: the likelihood of pictures by a trained model, and its bounds."""

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from unsup_fast._types import Array
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.training import data, evaluation
from unsup_fast.cli.training.data import some
from unsup_fast.cli.vae import models
from unsup_fast.cli.vae.settings import EvalSettings
from unsup_fast.report.numbers import count, counted, real

if TYPE_CHECKING:
    import torch

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
    models.check_torch()
    score = partial(_evaluated, settings)
    return evaluation.run(settings, models.inputs(settings), score, _print)


def _evaluated(settings: EvalSettings, device: "torch.device", progress: Silent) -> dict[str, Any]:
    """Return the scores and what they depend on."""
    model = models.load(settings.run_path, device)
    dataset = data.read_for(settings, progress, model.config.shape)
    known = models.classes_of(dataset, model)
    rows = some(len(dataset.pixels), settings.n or PICTURES, settings.seed)
    scores = _scores(settings, model, dataset.pixels[rows], models.at(known, rows), progress)
    return {
        **scores,
        "run": str(settings.run_path),
        "data": dataset.about(),
        "conditional": known is not None,
        "likelihood": model.config.likelihood,
        "parameters": {"samples": settings.samples, "seed": settings.seed},
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
