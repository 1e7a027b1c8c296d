"""The page of a distilled model: what its few steps cost in quality, and save in time."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from unsup_fast._types import Array
from unsup_fast.report import figure, frame, page, runs
from unsup_fast.report.numbers import count, counted, percent, real, seconds, short
from unsup_fast.report.page import Picture

METHODS = {
    "progressive": "progressive distillation",
    "tune": "consistency tuning",
    "distill": "latent consistency distillation",
}
STUDENT, TEACHER = figure.CLUSTER[:2]


class Strip(NamedTuple):
    """Samples of one seed, side by side.

    Attributes
    ----------
    model : {"student", "teacher"}
    steps : int
        Steps of the sampler.
    samples : ndarray of shape (n, H, W, C), uint8
    """

    model: str
    steps: int
    samples: Array


@dataclass(frozen=True)
class Distillation(runs.TrainingRun):
    """The content of a report.

    Attributes
    ----------
    network : str
        What a sentence calls the network.
    steps : int
        Steps of the student by default.
    comparison : mapping or None
        What `distilled.json` holds.
    strips : sequence of Strip
    names : sequence of str
        Classes of the samples of a strip; empty without classes.
    """

    network: str
    steps: int
    comparison: Mapping[str, Any] | None
    strips: Sequence[Strip]
    names: Sequence[str]


def distillation(run: Distillation) -> str:
    """Return the page.

    Parameters
    ----------
    run : Distillation

    Returns
    -------
    str
        HTML with style, charts and pictures inside; no script, and nothing is fetched.
    """
    return page.document(
        "distillation.html",
        title=run.title,
        lead=_lead(run),
        notes=runs.notes(run),
        tiles=_tiles(run),
        order=_order(run),
        strips=[_strip(strip) for strip in run.strips],
        samples="Averaged weights by the student's own sampler, the same noise each time."
        f"{runs.rows_of_grids(run)}",
        **_quality(run),
        **runs.course(run),
        code=_code(run),
        usage=f"Or unsup-fast diffusion sample {run.folder} --steps {_most(run)} -n 64 -o g.png.",
        summary=run.summary,
        data_name=run.data_name,
    )


def _lead(run: Distillation) -> str:
    method = METHODS[run.summary["parameters"]["method"]]
    return f"A student of a {run.network} by {method}, on {runs.described(run)}."


def _most(run: Distillation) -> int:
    """Return the largest number of steps that the student is for."""
    return int(max(run.summary["parameters"]["steps"]))


def _tiles(run: Distillation) -> list[tuple[str, str, str]]:
    result, machine = run.summary["result"], run.summary["machine"]
    wanted = run.summary["parameters"]["steps"]
    tiles = [("Steps", ", ".join(map(str, wanted)), "of the sampler")]
    if run.comparison is not None:
        best = run.comparison["teacher"][-1]
        student = {each["steps"]: each for each in run.comparison["student"]}
        mine = student.get(run.steps, run.comparison["student"][-1])
        at = counted(mine["steps"], "step")
        tiles += [
            (
                "Distance",
                f"{mine['distance']:.3g}",
                f"with {at}; the teacher's with {best['steps']} is {best['distance']:.3g}",
            ),
            (
                "Pictures a second",
                short(mine["images_per_second"]),
                f"with {at}; the teacher's with {best['steps']} are "
                f"{short(best['images_per_second'])}",
            ),
        ]
        if mine["accuracy"] is not None:
            as_asked = (
                "Accuracy",
                percent(mine["accuracy"]),
                f"with {at}; the teacher's with {best['steps']} is {percent(best['accuracy'])}",
            )
            tiles.insert(2, as_asked)
    return [
        *tiles,
        ("Training steps", count(result["steps"]), page.capital(result["stopped"])),
        (
            "Time",
            seconds(result["seconds"]),
            f"of training, on {machine['device']}; {counted(machine['threads'], 'thread')}",
        ),
    ]


def _quality(run: Distillation) -> dict[str, Any]:
    """Return what the template shows of the comparison."""
    compared = run.comparison
    if compared is None:
        judged = "Student and teacher were not compared; --resume does it."
        if not run.summary["parameters"]["samples"]:
            judged = "The comparison was left out: --samples 0. Resuming with more adds it."
        return {"rows": [], "judged": judged, "prices": []}
    n = counted(compared["n_samples"], "sample")
    judged = f"Distances are Frechet distances of principal components, of {n} each."
    classes = compared["real"]["accuracy"] is not None
    if classes:
        judged += " Accuracy is the share that a classifier of real pictures reads as asked."
    guided = compared["guidance"]
    if guided is not None:
        judged += f" The teacher is guided with weight {guided:g}."
    return {
        "judged": judged,
        "distances": _distances(compared),
        "accuracies": _accuracies(compared) if classes else "",
        "columns": ["distance", *(["accuracy"] if classes else []), "pictures a second"],
        "rows": _rows(compared, classes=classes),
        "price": f"Training took {seconds(run.summary['result']['seconds'])}. The teacher is "
        f"timed with {compared['teacher'][-1]['steps']} steps.",
        "prices": _prices(compared, run.summary["result"]["seconds"]),
    }


def _rows(compared: Mapping[str, Any], *, classes: bool) -> list[tuple[str, list[str]]]:
    """Return the table: for each number of steps the figures of student and teacher in turn."""
    by_steps = [
        {each["steps"]: each for each in compared[model]} for model in ("student", "teacher")
    ]
    texts: dict[str, Callable[[float], str]] = {"distance": "{:.3g}".format}
    if classes:
        texts["accuracy"] = percent
    texts["images_per_second"] = short
    rows = [
        (
            str(steps),
            [
                text(known[steps][name]) if steps in known else "-"
                for name, text in texts.items()
                for known in by_steps
            ],
        )
        for steps in sorted(set().union(*by_steps))
    ]
    held_out = [
        part
        for name, text in texts.items()
        for part in (text(compared["real"][name]) if name in compared["real"] else "", "")
    ]
    return [*rows, ("real", held_out)]


def _prices(compared: Mapping[str, Any], took: float) -> list[tuple[str, str, str]]:
    """Return for each student how much faster it is, and when its training is repaid."""
    slow = compared["teacher"][-1]["images_per_second"]
    prices = []
    for each in compared["student"]:
        fast = each["images_per_second"]
        saved = 1 / slow - 1 / fast  # seconds a picture
        after = f"{short(took / saved)} pictures" if saved > 0 else "never"
        prices.append((str(each["steps"]), f"{fast / slow:.3g}", after))
    return prices


def _distances(compared: Mapping[str, Any]) -> str:
    lines = {
        model: [(each["steps"], each["distance"]) for each in compared[model]]
        for model in ("teacher", "student")
    }
    held_out = compared["real"]["distance"]
    values = [value for points in lines.values() for _, value in points] + [held_out]
    log = min(values) > 0
    return _against_steps(
        f"Distance to the real pictures; less is better{' (logarithmic)' if log else ''}",
        lines,
        held_out,
        real,
        log=log,
    )


def _accuracies(compared: Mapping[str, Any]) -> str:
    lines = {
        model: [(each["steps"], 100 * each["accuracy"]) for each in compared[model]]
        for model in ("teacher", "student")
    }
    return _against_steps(
        "Accuracy, %",
        lines,
        100 * compared["real"]["accuracy"],
        lambda value: percent(value / 100),
        log=False,
    )


def _against_steps(
    caption: str,
    lines: Mapping[str, Sequence[tuple[int, float]]],
    held_out: float,
    text: Callable[[float], str],
    *,
    log: bool,
) -> str:
    """Return a chart of teacher and student by the number of steps, and real data as a line."""
    values = [value for points in lines.values() for _, value in points] + [held_out]
    low, high = min(values), max(values)
    room = 1.3 if log else 0.08 * (high - low) or 1.0
    bottom, top = (low / room, high * room) if log else (low - room, high + room)
    most = max(steps for points in lines.values() for steps, _ in points)
    powers = [2**power for power in range(int(math.log2(most)) + 1)]

    def paint(axes: Any) -> None:
        axes.set_xscale("log", base=2)
        if log:
            axes.set_yscale("log")
        axes.axhline(held_out, color=figure.SOFT, linewidth=1.4, linestyle=(0, (5, 4)))
        for (model, points), colour in zip(lines.items(), (TEACHER, STUDENT), strict=True):
            notes = [f"{model}, {counted(k, 'step')}: {text(value)}" for k, value in points]
            x, y = np.array(points, dtype=np.float64).T
            frame.line(axes, x, y, notes, colour)
        axes.set_xlim(0.85, most * 1.18)
        axes.set_ylim(bottom, top)
        axes.set_xticks(powers, [str(power) for power in powers])
        axes.xaxis.set_minor_locator(figure.load("matplotlib.ticker").NullLocator())
        if log:
            frame.round_ticks(axes.yaxis, bottom, top, log=True)

    (first, *_), (*_, last) = lines["student"], lines["student"]
    name = (
        f"{caption.split(',')[0].split(';')[0]} by steps: the student's {text(first[1])} with "
        f"{first[0]} and {text(last[1])} with {last[0]}, real pictures {text(held_out)}"
    )
    return frame.chart(caption, name, "steps of the sampler", paint)


def _order(run: Distillation) -> str:
    classes = f" Classes from left to right: {', '.join(run.names)}." if run.names else ""
    return f"The same noise in all rows.{classes}"


def _strip(strip: Strip) -> Picture:
    """Return the samples of one model side by side."""
    name = f"{strip.model}, {counted(strip.steps, 'step')}"
    return runs.strip(strip.samples, name, f"Samples of the {name}")


def _code(run: Distillation) -> str:
    channels, height, width = run.summary["data"]["shape"][1:]
    steps = _most(run)
    loaded = f"{run.folder!r}, steps={steps}"
    sampled = "64"
    if run.summary["parameters"]["method"] != "progressive":
        loaded, sampled = repr(run.folder), f"64, steps={steps}"
    label = f", label={run.names[-1]!r}" if run.names else ""
    return (
        "from unsup_fast.models import diffusion\n"
        f"model = diffusion.load({loaded})\n"
        f"images = model.sample({sampled}{label})  "
        f"# [64, {channels}, {height}, {width}] in [-1, 1]"
    )
