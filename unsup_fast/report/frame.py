"""Axes, lines and captions that all charts share."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.report import figure, rendering
from unsup_fast.report.numbers import tick

SIZE = (440, 260)
MARGINS = (58, 12, 46, 12)

# Above this many points a line has more of them than pixels.
MOST_POINTS = 400
# Up to this many points of a line are dots, each with its numbers.
MOST_DOTS = 60


def chart(
    caption: str,
    name: str,
    x_title: str,
    paint: Callable[[Any], None],
    size: tuple[int, int] = SIZE,
    margins: tuple[int, int, int, int] = MARGINS,
) -> str:
    """Return a chart with a caption above it, and the name for those who do not see it."""

    def whole(axes: Any) -> None:
        round_ticks(axes.yaxis)
        paint(axes)
        axes.set_xlabel(x_title, labelpad=8, color=figure.SOFT)

    drawing = figure.svg(name, size, margins, whole)
    html: str = rendering.render("chart.html", caption=caption, drawing=drawing)
    return html


def line(axes: Any, x: Array, y: Array, notes: Sequence[str], colour: str = figure.ACCENT) -> None:
    """Draw a line; where its points are few they are dots, each with a note."""
    axes.plot(x, y, color=colour, clip_on=False)
    if len(x) <= MOST_DOTS:
        dots = axes.scatter(x, y, s=36, linewidths=0, color=colour, clip_on=False, zorder=3)
        figure.mark(dots, "dots", notes)


def round_ticks(
    axis: Any, low: float = 0, high: float = 1, *, log: bool = False, integer: bool = False
) -> None:
    """Put up to six ticks on an axis: multiples of 1, 2 or 5, or on a wide one powers of ten."""
    ticker = figure.load("matplotlib.ticker")
    if log:
        powers = np.floor(np.log10(high)) - np.ceil(np.log10(low))
        locator = ticker.LogLocator(subs=(1.0,) if powers >= 1 else (1.0, 2.0, 5.0), numticks=6)
    else:
        locator = ticker.MaxNLocator(nbins=6, steps=[1, 2, 5, 10], integer=integer)
    axis.set_major_locator(locator)
    axis.set_minor_locator(ticker.NullLocator())
    axis.set_major_formatter(lambda value, _: tick(value))


def thin(length: int) -> Array:
    """Return the indices of at most `MOST_POINTS` points, enough to draw a line."""
    if length <= MOST_POINTS:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, MOST_POINTS).astype(int))
