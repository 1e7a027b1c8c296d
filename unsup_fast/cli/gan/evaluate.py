"""`unsup-fast gan eval`: how samples of a trained GAN compare with pictures."""

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from unsup_fast import metrics, pictures
from unsup_fast.cli import files
from unsup_fast.cli.gan import models
from unsup_fast.cli.gan.settings import EvalSettings
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import extractor, features_name
from unsup_fast.cli.training import comparison, data, evaluation
from unsup_fast.cli.training.classes import labels_for
from unsup_fast.cli.training.samples import check_memory
from unsup_fast.report.numbers import counted, percent, real

if TYPE_CHECKING:
    import torch

K = 3  # neighbours that decide the radius of a ball, as in the papers


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
    read = files.inputs_of(DATA=settings.data, features=settings.features, weights=settings.weights)
    read += RunFolder(settings.run_path).inputs()
    return evaluation.run(settings, read, partial(_scores, settings), _print)


def _scores(settings: EvalSettings, device: "torch.device", progress: Silent) -> dict[str, Any]:
    """Return the scores and what they depend on."""
    model = models.load(settings.run_path, device, best=settings.best)
    compared = settings.on(str(device))
    assert compared is not None
    function, about = extractor(compared, "features")
    dataset = data.read_for(settings, progress, model.config.shape)
    known = labels_for(dataset, model.config.classes) if model.config.classes else None
    n_data = len(dataset.pixels)
    n = settings.samples or min(comparison.SAMPLES, n_data)
    check_memory(n, model.config.shape, "--samples")
    models.truncation_of(model, settings.truncation)  # refuses what the model cannot do
    progress.begin("Sampling")
    images = model.sample(
        n,
        label=comparison.frequent(known, n, settings.seed),
        seed=settings.seed,
        truncation=settings.truncation,
    )
    distance, shares = metrics.FrechetDistance(), metrics.PRDC(k=K)
    order = np.random.default_rng(settings.seed).permutation(n_data)
    # The distance is to all of the data, neighbours are searched among as many as the samples.
    both: list[comparison.Accumulator] = [distance, shares]
    generated = np.asarray(pictures.to_bytes(images))
    add = partial(comparison.add, function=function, progress=progress)
    add(both, pixels=generated, real=False)
    add(both, pixels=dataset.pixels[order[:n]], real=True)
    add([distance], pixels=dataset.pixels[order[n:]], real=True)
    progress.begin("Computing the scores")
    neighbours = shares.compute()._asdict() if min(n, n_data) > K else {}
    return {
        "frechet_distance": float(distance.compute()),
        **{name: float(value) for name, value in neighbours.items()},
        "samples": n,
        "features": about,
        "run": str(settings.run_path),
        "data": dataset.about(),
        "conditional": known is not None,
        "parameters": {
            "best": settings.best,
            "truncation": settings.truncation,
            "seed": settings.seed,
            "k": K,
        },
    }


def _print(summary: dict[str, Any], console: Console) -> None:
    n, n_data = summary["samples"], summary["data"]["shape"][0]
    console.print(
        f"[bold]Frechet distance {real(summary['frechet_distance'])}[/]  "
        f"({features_name(summary['features'])}; {counted(n, 'sample')} and "
        f"{counted(n_data, 'picture')})"
    )
    shares = [name for name in ("precision", "recall", "coverage") if name in summary]
    if shares:
        console.print(", ".join(f"{name} {percent(summary[name])}" for name in shares))
