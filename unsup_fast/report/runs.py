"""The parts that the pages of all trainings of generative models share."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.report import page, pictures, training
from unsup_fast.report.numbers import count, counted, real, seconds, short
from unsup_fast.report.page import COARSE, Picture

EARLIER = 6
"""Grids of earlier steps that are shown next to the last one."""
MOST_NAMED = 20
MOST_ROWS = 10
"""Classes of a grid."""


@dataclass(frozen=True)
class TrainingRun:
    """What the pages of all trainings show.

    Attributes
    ----------
    title, data_name, folder : str
        Headline, name of the data, and directory of the run.
    summary : dict
        What `summary.json` holds.
    metrics : Path
        The file of metrics.
    grids : sequence of (int, Path)
        Steps of which there are samples, in order, each with its PNG.
    """

    title: str
    data_name: str
    folder: str
    summary: Mapping[str, Any]
    metrics: Path
    grids: Sequence[tuple[int, Path]]


def course(run: TrainingRun, losses: str | None = None) -> dict[str, Any]:
    """Return the charts of a training and its grids, as the templates call them.

    Parameters
    ----------
    run : TrainingRun
    losses : str, optional
        The chart of losses; by default one of all columns of the metrics.
    """
    metrics = training.read(run.metrics) if run.metrics.exists() else {}
    trained = len(metrics.get(training.STEP, ())) > 0
    grids = _grids(run)
    return {
        "losses": losses if losses is not None else training.losses(metrics) if trained else "",
        "pace": training.pace(metrics) if trained else "",
        "last": grids[-1] if grids else None,
        "earlier": grids[:-1],
    }


def described(run: TrainingRun) -> str:
    """Return the name of the data, how many pictures there are, and of which size."""
    n, channels, height, width = run.summary["data"]["shape"]
    if run.summary["data"].get("latents"):
        n_samples = counted(n, "sample")
        return f"{run.data_name}: {n_samples} of latents, {channels} x {height} x {width}"
    colour = "grey" if channels == 1 else "colour"
    return f"{run.data_name}: {counted(n, 'picture')} of {height} x {width} pixels, {colour}"


def notes(run: TrainingRun) -> list[str]:
    """Return sentences on the classes, and on files that were left out."""
    data = run.summary["data"]
    classes, skipped = data["classes"], len(data["skipped"])
    named = f"{len(classes)} classes: {', '.join(classes[:MOST_NAMED])}" if classes else ""
    if len(classes) > MOST_NAMED:
        named += " ..."
    sentences = [f"{named}." if named else "No classes."]
    if skipped:
        sentences.append(f"{counted(skipped, 'file')} could not be read and were left out.")
    return sentences


def tiles(run: TrainingRun, about: str, batches: int = 1) -> list[tuple[str, str, str]]:
    """Return the tiles of a training; `about` says more of the weights.

    A training whose metrics have no column `loss` has no tile of it. `batches` are those of a step.
    """
    result, parameters = run.summary["result"], run.summary["parameters"]
    seen = result["steps"] * parameters["batch_size"] * batches
    epochs = seen / run.summary["data"]["shape"][0]
    machine = run.summary["machine"]
    loss = result["loss"]
    return [
        ("Steps", count(result["steps"]), page.capital(result["stopped"])),
        ("Pictures seen", short(seen), f"{short(epochs)} epochs"),
        *([] if loss is None else [("Loss", real(loss), "mean of the last tenth")]),
        ("Weights", short(result["weights"]), about),
        (
            "Time",
            seconds(result["seconds"]),
            f"of training, on {machine['device']}; {counted(machine['threads'], 'thread')}",
        ),
        ("Throughput", f"{short(seen / max(result['seconds'], 1e-9))}/s", "pictures"),
    ]


def rows_of_grids(run: TrainingRun) -> str:
    """Return what the rows of the grids are, in a sentence after a blank; empty if nothing."""
    classes = run.summary["data"]["classes"]
    some = "the classes" if len(classes) <= MOST_ROWS else f"the first {MOST_ROWS} classes"
    return f" Rows are {some}, in that order." if classes else ""


def strip(images: Array, caption: str, alt: str) -> Picture:
    """Return pictures [n, H, W, C] of bytes side by side, as one."""
    n, height, width, channels = images.shape
    uri = pictures.strip(images.reshape(n, -1), (height, width, channels), 0, 255, n)
    return Picture(uri, alt, max(height, width) <= COARSE, caption)


def _grids(run: TrainingRun) -> list[Picture]:
    """Return grids of samples: a few of earlier steps, and the last one."""
    before = run.grids[:-1]
    chosen = np.unique(np.linspace(0, len(before) - 1, min(EARLIER, len(before))).astype(int))
    captions = {before[i]: f"step {count(before[i][0])}" for i in chosen}
    captions |= {each: f"After step {count(each[0])}" for each in run.grids[-1:]}
    return [_grid(run, step, path, caption) for (step, path), caption in captions.items()]


def _grid(run: TrainingRun, step: int, path: Path, caption: str) -> Picture:
    coarse = max(run.summary["data"]["shape"][2:]) <= COARSE
    uri = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    return Picture(uri, f"Samples after step {step}", coarse, caption)
