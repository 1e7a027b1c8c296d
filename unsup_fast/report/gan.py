"""The page of a GAN: how the game went, what failed, and how new its pictures are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.report import page, runs, training
from unsup_fast.report.numbers import count, counted, real, short
from unsup_fast.report.training import Level

LOSSES = {"discriminator": "d_loss", "generator": "g_loss"}
SCORES = {"data": "real", "samples": "fake"}
NORMS = {"discriminator": "discriminator_norm", "generator": "generator_norm"}
PENALTIES = {
    "R1": "r1",
    "R2": "r2",
    "gradient penalty": "gradient_penalty",
    "path length": "path_length",
    "orthogonal": "orthogonal",
}
AUGMENTATION = {"probability": "augment_p", "mean sign on data": "r_t"}
MIXING = (
    "The first row lends its fine styles, the sample at the left of each other row its coarse "
    "ones: form from the left, colours and strokes from above."
)
RECENT = 0.1
"""Share of the training, its last part, whose means the tiles show."""


@dataclass(frozen=True)
class Limits:
    """Values at which an alarm is raised.

    Attributes
    ----------
    spread : float
        Least standard deviation of samples over that of the data.
    sign : float
        Largest absolute value of the mean sign.
    """

    spread: float
    sign: float


@dataclass(frozen=True)
class Neighbours:
    """Samples and the nearest pictures of the training.

    Attributes
    ----------
    samples, nearest : ndarray of shape (n, H, W, C), uint8
    of_samples : float
        Median root mean square distance of samples to their nearest picture, in [0, 1].
    of_pictures : float
        That of pictures to the nearest other one.
    """

    samples: Array
    nearest: Array
    of_samples: float
    of_pictures: float


@dataclass(frozen=True)
class Run(runs.TrainingRun):
    """The content of a report.

    Attributes
    ----------
    alarms : sequence of str
        What each alarm said, in order.
    limits : Limits
    scores : Path
        The file of a judge's scores, which need not exist.
    neighbours : Neighbours
    interpolations : sequence of ndarray of shape (S, H, W, C), uint8
    paths : sequence of str
        What each of them is called.
    truncations : mapping of str to ndarray of shape (S, H, W, C), uint8
        Samples of the same seeds by limit.
    mixes : mapping of str to ndarray of shape (S, H, W, C), uint8
        Of a network with styles: the samples that lend their fine styles, first, and for each of
        some others the samples with its coarse styles; else empty.
    n_generator : int
        Number of the generator's weights.
    grown : str
        How far the generator has grown, as "grown to 8 x 8 of 32 x 32"; empty if to the end.
    """

    alarms: Sequence[str]
    limits: Limits
    scores: Path
    neighbours: Neighbours
    interpolations: Sequence[Array]
    paths: Sequence[str]
    truncations: Mapping[str, Array]
    mixes: Mapping[str, Array]
    n_generator: int
    grown: str


def gan(run: Run) -> str:
    """Return the page.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        HTML with style, charts and pictures inside; no script, and nothing is fetched.
    """
    metrics = training.read(run.metrics) if run.metrics.exists() else {}
    if not len(metrics.get(training.STEP, ())):
        metrics = {}
    scores = training.read(run.scores) if run.scores.exists() else {}
    shown = run.neighbours
    losses = _chart(metrics, LOSSES, "Losses of both players", alt="Loss of the discriminator")
    return page.document(
        "gan.html",
        title=run.title,
        lead=_lead(run),
        notes=_notes(run),
        tiles=_tiles(run, metrics, scores),
        **runs.course(run, losses),
        alarms=run.alarms,
        game=_game(run, metrics),
        distances=_distances(scores),
        samples=f"Averaged weights, the same latents each time.{runs.rows_of_grids(run)}",
        neighbours=[
            runs.strip(shown.samples, "samples", f"{len(shown.samples)} samples"),
            runs.strip(shown.nearest, "nearest pictures", "The nearest picture of each sample"),
        ],
        nearest=_nearest(shown),
        interpolations=[
            runs.strip(images, name, f"{len(images)} pictures from one latent to another")
            for images, name in zip(run.interpolations, run.paths, strict=True)
        ],
        truncation=_truncation(run),
        truncations=[
            runs.strip(images, name, f"{len(images)} samples with {name}")
            for name, images in run.truncations.items()
        ],
        mixing=MIXING,
        mixes=[
            runs.strip(images, name, f"{len(images)} samples, {name}")
            for name, images in run.mixes.items()
        ],
        code=_code(run),
        usage=f"Or unsup-fast gan sample {run.folder} -n 64 -o grid.png, and unsup-fast gan "
        f"interpolate {run.folder} --seeds 0-7 -o walk.png.",
        summary=run.summary,
        data_name=run.data_name,
    )


def _lead(run: Run) -> str:
    parameters = run.summary["parameters"]
    return (
        f"A GAN ({parameters['family']}, {parameters['model_size']}) with "
        f"{counted(parameters['latent'], 'latent')} and the {parameters['loss']} loss, trained on "
        f"{runs.described(run)}."
    )


def _notes(run: Run) -> list[str]:
    notes = runs.notes(run)
    if run.grown:
        notes.append(f"Samples are {run.grown}, and enlarged.")
    return notes


def _tiles(
    run: Run, metrics: Mapping[str, Array], scores: Mapping[str, Array]
) -> list[tuple[str, str, str]]:
    about = f"{short(run.n_generator)} of the generator"
    tiles = runs.tiles(run, about, run.summary["parameters"]["n_critic"])
    if metrics:
        spread = metrics["spread"][-max(1, int(RECENT * len(metrics["spread"]))) :]
        tiles.append(("Spread", f"{np.nanmean(spread):.2f}", "of samples, over that of the data"))
    n = len(run.alarms)
    tiles.append(("Alarms", count(n) if n else "none", "raised during training"))
    for name, steps, values in _of_judge(scores):
        best = int(np.nanargmin(values))
        tiles.append((name, short(values[best]), f"the best, after step {count(steps[best])}"))
    return tiles


def _game(run: Run, metrics: Mapping[str, Array]) -> list[str]:
    """Return charts of what both players do."""
    if not metrics:
        return []
    limits = run.limits
    spread = metrics["spread"]
    top = 1.1 * max(1.0, float(np.nanmax(training.averaged(spread))))
    charts = [
        _chart(metrics, SCORES, "Mean scores D(x)", alt="Score of the data"),
        _chart(
            metrics,
            {"sign": "sign"},
            "How often data score above samples: mean sign of D(data) - D(samples)",
            alt="Sign",
            limits=(-1.05, 1.05),
            levels=[Level(limits.sign, "alarm"), Level(-limits.sign, "alarm")],
        ),
        _chart(
            metrics,
            {"spread": "spread"},
            "Spread of samples over that of the data",
            alt="Spread",
            limits=(0.0, top),
            levels=[Level(limits.spread, "alarm below")],
        ),
        _chart(metrics, NORMS, "Norms of the gradients", alt="Norm of the discriminator"),
        _chart(metrics, PENALTIES, "Penalties, before their weights", alt="Penalty"),
        _chart(
            metrics,
            AUGMENTATION,
            "Augmentation: its probability, and the mean sign that steers it",
            alt="Probability",
            limits=(-1.05, 1.05),
        ),
    ]
    return [chart for chart in charts if chart]


def _chart(
    metrics: Mapping[str, Array], names: Mapping[str, str], caption: str, **options: Any
) -> str:
    """Return the columns of these names as lines; empty if there are none."""
    known = {name: metrics[column] for name, column in names.items() if column in metrics}
    known = {name: each for name, each in known.items() if np.isfinite(each).any()}
    if not known:
        return ""
    return training.curves(metrics[training.STEP], known, caption, **options)


def _of_judge(scores: Mapping[str, Array]) -> list[tuple[str, Array, Array]]:
    """Return the name of each score, in words, the steps, and the values."""
    if not len(scores.get(training.STEP, ())):
        return []
    names = [name for name in scores if name not in (training.STEP, training.TIME)]
    return [
        (page.capital(name.replace("_", " ")), scores[training.STEP], scores[name])
        for name in names
        if np.isfinite(scores[name]).any()
    ]


def _distances(scores: Mapping[str, Array]) -> list[str]:
    """Return a chart of each of the judge's scores."""
    return [
        training.curves(steps, {name: values}, f"{name} to the data", alt=name)
        for name, steps, values in _of_judge(scores)
    ]


def _nearest(shown: Neighbours) -> str:
    return (
        f"Below each sample the picture of the training that is nearest to it, pixel by pixel. The "
        f"median distance, root mean square of pixels in [0, 1], is {real(shown.of_samples)}; that "
        f"of pictures to the nearest other one is {real(shown.of_pictures)}. Samples that are much "
        "nearer than that are copies."
    )


def _truncation(run: Run) -> str:
    what = "styles drawn to their mean" if run.mixes else "latents within a limit"
    return f"The same seeds with {what}: the further up, the more typical and the more alike."


def _code(run: Run) -> str:
    classes = run.summary["data"]["classes"]
    channels, height, width = run.summary["data"]["shape"][1:]
    label = f", label={classes[-1]!r}" if classes else ""
    return (
        "from unsup_fast.models import gan\n"
        f"model = gan.load({run.folder!r})\n"
        f"images = model.sample(64{label}, truncation=0.9)  "
        f"# [64, {channels}, {height}, {width}] in [-1, 1]"
    )
