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
from unsup_fast.report.page import COARSE
from unsup_fast.report.text import escape

# Grids of earlier steps that are shown next to the last one.
EARLIER = 6
MOST_NAMED = 20
MOST_ROWS = 10  # classes of a grid


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
class Run:
    """The content of a report.

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
    unfolding : Unfolding
    """

    title: str
    data_name: str
    folder: str
    summary: Mapping[str, Any]
    metrics: Path
    grids: Sequence[tuple[int, Path]]
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
    return page.document(
        run.title,
        _lead(run),
        _tiles(run),
        f"""{_charts(run)}
{_grids(run)}
{_unfolding(run)}""",
        _code(run),
        f"Or unsup-fast diffusion sample {run.folder} -n 64 -o grid.png. A class is given by "
        "--label, by name or number; without it, all classes share the pictures.",
        run.summary,
        run.data_name,
    )


def _lead(run: Run) -> str:
    data, parameters = run.summary["data"], run.summary["parameters"]
    n, channels, height, width = data["shape"]
    network = {"unet": "U-Net", "dit": "diffusion transformer"}[parameters["network"]]
    colour = "grey" if channels == 1 else "colour"
    classes = data["classes"]
    named = f"{len(classes)} classes: {', '.join(classes[:MOST_NAMED])}" if classes else ""
    if len(classes) > MOST_NAMED:
        named += " ..."
    skipped = len(data["skipped"])
    notes = [
        f"{named}." if named else "No classes.",
        *([f"{counted(skipped, 'file')} could not be read and were left out."] if skipped else []),
    ]
    return (
        f'<p class="lead">A {parameters["model_size"]} {network} trained on '
        f"{escape(run.data_name)}: {counted(n, 'picture')} of {height} x {width} pixels, "
        f"{colour}.</p>" + "".join(f'<p class="note">{escape(note)}</p>' for note in notes)
    )


def _tiles(run: Run) -> str:
    result, parameters = run.summary["result"], run.summary["parameters"]
    seen = result["steps"] * parameters["batch_size"]
    epochs = seen / run.summary["data"]["shape"][0]
    machine = run.summary["machine"]
    loss = result["loss"]
    return page.tiles(
        [
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
    )


def _charts(run: Run) -> str:
    metrics = training.read(run.metrics) if run.metrics.exists() else {}
    if not len(metrics.get(training.STEP, ())):
        return ""
    return (
        f'<h2>How it went</h2><div class="charts">{training.losses(metrics)}'
        f"{training.pace(metrics)}</div>"
    )


def _grids(run: Run) -> str:
    if not run.grids:
        return ""
    *before, (last, path) = run.grids
    chosen = np.unique(np.linspace(0, len(before) - 1, min(EARLIER, len(before))).astype(int))
    earlier = "".join(
        f"<div>{_picture(run, before[i][1], f'Samples after step {before[i][0]}')}"
        f"<small>step {count(before[i][0])}</small></div>"
        for i in chosen
    )
    classes = run.summary["data"]["classes"]
    some = "the classes" if len(classes) <= MOST_ROWS else f"the first {MOST_ROWS} classes"
    rows = f" Rows are {some}, in that order." if classes else ""
    note = f"Averaged weights, the same noise each time, no guidance.{rows}"
    body = f'<div class="tiny grids">{earlier}</div>' if earlier else ""
    return (
        f'<h2>Samples</h2><p class="note">{escape(note)}</p><div class="charts"><figure>'
        f"<figcaption>After step {count(last)}</figcaption>"
        f'<div class="grid">{_picture(run, path, f"Samples after step {last}")}</div></figure>'
        + (f"<figure><figcaption>Earlier</figcaption>{body}</figure>" if body else "")
        + "</div>"
    )


def _picture(run: Run, path: Path, name: str) -> str:
    side = max(run.summary["data"]["shape"][2:])
    coarse = ' class="coarse"' if side <= COARSE else ""
    content = base64.b64encode(path.read_bytes()).decode()
    return f'<img{coarse} src="data:image/png;base64,{content}" alt="{name}">'


def _unfolding(run: Run) -> str:
    shown = run.unfolding
    n_phases, height, width, channels = shown.phases.shape[1:]
    coarse = ' class="coarse"' if max(height, width) <= COARSE else ""
    body = ""
    for name, phases in zip(shown.names, shown.phases, strict=True):
        flat = phases.reshape(n_phases, -1)
        picture = pictures.strip(flat, (height, width, channels), 0, 255, n_phases)
        body += (
            f'<div class="strip"><small>{escape(name)}</small><img{coarse} src="{picture}" '
            f'alt="{escape(name)}, from noise to picture"></div>'
        )
    steps = ", ".join(map(str, shown.steps))
    return (
        f'<h2>From noise to picture</h2><p class="note">{shown.sampler}, '
        f"{counted(shown.steps[-1], 'step')}; seen after steps {steps}.</p><figure>{body}</figure>"
    )


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
