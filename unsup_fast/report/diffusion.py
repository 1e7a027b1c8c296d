"""The page of a diffusion model: its training, its samples, and how noise becomes a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from unsup_fast._types import Array
from unsup_fast.report import page, runs
from unsup_fast.report.numbers import counted
from unsup_fast.report.page import Picture

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
class Run(runs.TrainingRun):
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
        notes=runs.notes(run),
        tiles=runs.tiles(run, run.summary["parameters"]["objective"]),
        **runs.course(run),
        samples="Averaged weights, the same noise each time, no guidance."
        f"{runs.rows_of_grids(run)}",
        sampler=f"{shown.sampler}, {counted(shown.steps[-1], 'step')}; seen after steps "
        f"{', '.join(map(str, shown.steps))}.",
        unfolding=_unfolding(shown),
        code=_code(run),
        usage=f"Or unsup-fast diffusion sample {run.folder} -n 64 -o grid.png. A class is given by "
        "--label, by name or number; without it, all classes share the pictures.",
        summary=run.summary,
        data_name=run.data_name,
    )


def _lead(run: Run) -> str:
    parameters = run.summary["parameters"]
    network = network_name(parameters["network"], parameters["model_size"])
    return f"A {network} trained on {runs.described(run)}."


def network_name(network: str, size: str) -> str:
    """Return what a sentence calls a network."""
    return f"{size} {NETWORKS[network]}"


def _unfolding(shown: Unfolding) -> list[Picture]:
    """Return the phases of each sample, side by side."""
    return [
        runs.strip(phases, name, f"{name}, from noise to picture")
        for name, phases in zip(shown.names, shown.phases, strict=True)
    ]


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
