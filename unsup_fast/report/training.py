"""The charts of any training: losses and pace, from a file of metrics."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.report import figure, frame
from unsup_fast.report.numbers import count, real, seconds, short

STEP, TIME, RATE = "step", "seconds", "examples_per_second"
# Losses of single batches jump about: so many means are a line that can be read.
MOST_MEANS = 120


def read(path: Path) -> dict[str, Array]:
    """Return the columns of a file of metrics, NaN where a cell is empty.

    A last line that was cut short is left out.
    """
    with path.open(newline="") as file:
        reader = csv.reader(file)
        names = next(reader, [])
        rows = [row for row in reader if names and len(row) == len(names) and row[-1]]
    table = np.array([[float(cell or "nan") for cell in row] for row in rows])
    table = table.reshape(len(rows), len(names))
    return dict(zip(names, table.T, strict=True))


@dataclass(frozen=True)
class Level:
    """A line across a chart.

    Attributes
    ----------
    value : float
    name : str
    """

    value: float
    name: str


def losses(metrics: dict[str, Array]) -> str:
    """Return the losses by step, on a logarithmic axis where all are above zero."""
    named = {
        name: each
        for name, each in metrics.items()
        if name not in (STEP, TIME, RATE) and np.isfinite(each).any()
    }
    caption = " and ".join(named).capitalize()
    return curves(metrics[STEP], named, caption, alt="Loss")


def curves(
    steps: Array,
    values: Mapping[str, Array],
    caption: str,
    *,
    alt: str,
    limits: tuple[float, float] | None = None,
    levels: Sequence[Level] = (),
) -> str:
    """Return values by step as lines, each with its name if there are several.

    Parameters
    ----------
    steps : ndarray of shape (R,)
    values : mapping of str to ndarray of shape (R,)
        At least one; NaN where a value is not known.
    caption : str
    alt : str
        What the first of them is, for those who do not see the chart.
    limits : (float, float), optional
        Least and greatest value of a linear axis; by default it fits the values, and is
        logarithmic where all are above zero.
    levels : sequence of Level
        Lines across the chart.
    """
    steps, means = averaged(steps), {name: averaged(each) for name, each in values.items()}
    low = min(float(np.nanmin(each)) for each in means.values())
    high = max(float(np.nanmax(each)) for each in means.values())
    log = low > 0 and limits is None
    room = 1.15 if log else 0.05 * (high - low) or 1.0
    bottom, top = (low / room, high * room) if log else limits or (low - room, high + room)

    def paint(axes: Any) -> None:
        if log:
            axes.set_yscale("log")
        for level in levels:
            axes.axhline(level.value, color=figure.CLUSTER[3], linestyle="--", linewidth=1)
            axes.annotate(level.name, (0, level.value), xytext=(2, 4), textcoords="offset points")
        below = _lower(means) if len(means) == 2 else None  # whose name stands below its end
        for (name, each), colour in zip(means.items(), colours(len(means)), strict=True):
            there = np.isfinite(each)  # a loss that some steps report has gaps
            points = list(zip(steps[there], each[there], strict=True))
            notes = [f"step {count(s)}: {name} {real(v)}" for s, v in points]
            frame.line(axes, steps[there], each[there], notes, colour)
            if len(means) > 1:
                axes.annotate(
                    name,
                    points[-1],
                    xytext=(0, -8 if name == below else 8),
                    ha="right",
                    va="top" if name == below else "bottom",
                    textcoords="offset points",
                )
        axes.set_xlim(0, max(steps[-1], 1))
        axes.set_ylim(bottom, top)
        frame.round_ticks(axes.xaxis, 0, steps[-1], integer=True)
        if log:
            frame.round_ticks(axes.yaxis, bottom, top, log=True)

    first = next(iter(means.values()))
    first = first[np.isfinite(first)]
    name = f"{alt} over {count(steps[-1])} steps, from {real(first[0])} to {real(first[-1])}"
    scale = " (logarithmic)" if log else ""
    return frame.chart(f"{caption}{scale}", name, "step", paint)


def _lower(means: Mapping[str, Array]) -> str:
    """Return the name of the line that ends lowest."""
    return min(list(means)[::-1], key=lambda name: float(means[name][np.isfinite(means[name])][-1]))


def pace(metrics: dict[str, Array]) -> str:
    """Return the examples a second by the time of training."""
    times, rates = averaged(metrics[TIME]), averaged(metrics[RATE])
    unit, factor = ("minutes", 60.0) if times[-1] > 180 else ("seconds", 1.0)
    notes = [f"{seconds(t)}: {short(r)} a second" for t, r in zip(times, rates, strict=True)]
    top = 1.1 * float(rates.max())

    def paint(axes: Any) -> None:
        frame.line(axes, times / factor, rates, notes)
        axes.set_xlim(0, times[-1] / factor or 1)
        axes.set_ylim(0, top or 1)
        frame.round_ticks(axes.xaxis, 0, times[-1] / factor)

    name = f"Examples a second over {seconds(times[-1])}, at last {short(rates[-1])}"
    return frame.chart("Examples a second", name, f"{unit} of training", paint)


def averaged(values: Array) -> Array:
    """Return means of consecutive values, at most `MOST_MEANS`; NaN where none is known."""
    parts = np.array_split(values, min(len(values), MOST_MEANS))
    known = [part[np.isfinite(part)] for part in parts]
    return np.array([part.mean() if len(part) else np.nan for part in known])


def colours(number: int) -> list[str]:
    """Return the colours of so many lines: the accent for one alone."""
    return [figure.ACCENT] if number == 1 else figure.CLUSTER[:number]
