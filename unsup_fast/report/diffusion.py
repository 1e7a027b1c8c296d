"""The page of a diffusion model: its training, its samples, and how noise becomes a picture."""

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

# Grids of earlier steps that are shown next to the last one.
EARLIER = 6
MOST_NAMED = 20
MOST_ROWS = 10  # classes of a grid
NETWORKS = {"unet": "U-Net", "dit": "diffusion transformer"}


@dataclass(frozen=True)
class Unfolding:
    """Samples at several steps between noise and picture.

    Attributes
    ----------
    phases : ndarray of shape (n, P, H, W, C), uint8
    names : sequence of str, of length n
        What each of them is called.
    steps : sequence of int, of length P
        Steps of the sampler after which a phase was seen.
    sampler : str
    """

    phases: Array
    names: Sequence[str]
    steps: Sequence[int]
    sampler: str


@dataclass(frozen=True)
class TrainingRun:
    """What the pages of all trainings of diffusion models show.

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


@dataclass(frozen=True)
class Run(TrainingRun):
    """The content of a report.

    Attributes
    ----------
    unfolding : Unfolding
    """

    unfolding: Unfolding


def diffusion(run: Run) -> str:
    """Return the page.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        HTML with style, charts and pictures inside; no script, and nothing is fetched.
    """
    shown = run.unfolding
    return page.document(
        "diffusion.html",
        title=run.title,
        lead=_lead(run),
        notes=notes(run),
        tiles=_tiles(run),
        **course(run),
        samples=f"Averaged weights, the same noise each time, no guidance.{rows_of_grids(run)}",
        sampler=f"{shown.sampler}, {counted(shown.steps[-1], 'step')}; seen after steps "
        f"{', '.join(map(str, shown.steps))}.",
        unfolding=_unfolding(shown),
        code=_code(run),
        usage=f"Or unsup-fast diffusion sample {run.folder} -n 64 -o grid.png. A class is given by "
        "--label, by name or number; without it, all classes share the pictures.",
        summary=run.summary,
        data_name=run.data_name,
    )


def course(run: TrainingRun) -> dict[str, Any]:
    """Return the charts of a training and its grids, as the templates call them."""
    metrics = training.read(run.metrics) if run.metrics.exists() else {}
    trained = len(metrics.get(training.STEP, ())) > 0
    grids = _grids(run)
    return {
        "losses": training.losses(metrics) if trained else "",
        "pace": training.pace(metrics) if trained else "",
        "last": grids[-1] if grids else None,
        "earlier": grids[:-1],
    }


def _lead(run: Run) -> str:
    parameters = run.summary["parameters"]
    network = network_name(parameters["network"], parameters["model_size"])
    return f"A {network} trained on {described(run)}."


def network_name(network: str, size: str) -> str:
    """Return what a sentence calls a network."""
    return f"{size} {NETWORKS[network]}"


def described(run: TrainingRun) -> str:
    """Return the name of the data, how many pictures there are, and of which size."""
    n, channels, height, width = run.summary["data"]["shape"]
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


def _tiles(run: Run) -> list[tuple[str, str, str]]:
    result, parameters = run.summary["result"], run.summary["parameters"]
    seen = result["steps"] * parameters["batch_size"]
    epochs = seen / run.summary["data"]["shape"][0]
    machine = run.summary["machine"]
    loss = result["loss"]
    return [
        ("Steps", count(result["steps"]), page.capital(result["stopped"])),
        ("Pictures seen", short(seen), f"{short(epochs)} epochs"),
        ("Loss", "none" if loss is None else real(loss), "mean of the last tenth"),
        ("Weights", short(result["weights"]), parameters["objective"]),
        (
            "Time",
            seconds(result["seconds"]),
            f"of training, on {machine['device']}; {counted(machine['threads'], 'thread')}",
        ),
        ("Throughput", f"{short(seen / max(result['seconds'], 1e-9))}/s", "pictures"),
    ]


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


def rows_of_grids(run: TrainingRun) -> str:
    """Return what the rows of the grids are, in a sentence after a blank; empty if nothing."""
    classes = run.summary["data"]["classes"]
    some = "the classes" if len(classes) <= MOST_ROWS else f"the first {MOST_ROWS} classes"
    return f" Rows are {some}, in that order." if classes else ""


def _unfolding(shown: Unfolding) -> list[Picture]:
    """Return the phases of each sample, side by side."""
    n_phases, height, width, channels = shown.phases.shape[1:]
    coarse = max(height, width) <= COARSE
    strips = []
    for name, phases in zip(shown.names, shown.phases, strict=True):
        flat = phases.reshape(n_phases, -1)
        uri = pictures.strip(flat, (height, width, channels), 0, 255, n_phases)
        strips.append(Picture(uri, f"{name}, from noise to picture", coarse, name))
    return strips


def _code(run: Run) -> str:
    classes = run.summary["data"]["classes"]
    guided = f", label={classes[-1]!r}, guidance=3.0" if classes else ""
    channels, height, width = run.summary["data"]["shape"][1:]
    return (
        "from unsup_fast.models import diffusion\n"
        f"model = diffusion.load({run.folder!r})\n"
        f"images = model.sample(64, steps=20{guided})  "
        f"# [64, {channels}, {height}, {width}] in [-1, 1]"
    )
