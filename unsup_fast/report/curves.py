"""The charts of PCA and mixtures: spectra, likelihoods, criteria."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.report import figure, frame
from unsup_fast.report.numbers import counted, percent, real

# Up to this many shares are bars.
MOST_BARS = 60
# Named columns that a chart of profiles shows, and the height of each.
MOST_COLUMNS, COLUMN_HEIGHT = 24, 22
# Letters of a column's name, and the width of one on a phone, whose letters are larger.
LONGEST_NAME, LETTER = 18, 7.5


def scree(shares: Array) -> str:
    """Return the share of the variance along each axis, as bars or, of many, as a line."""
    indices = frame.thin(len(shares))
    notes = [f"axis {i + 1}: {percent(shares[i])}" for i in indices.tolist()]
    top = 100 * float(shares.max(initial=0.0)) or 1.0

    def paint(axes: Any) -> None:
        if len(shares) <= MOST_BARS:
            width = 0.76 if len(shares) > 20 else 0.68
            bars = axes.bar(indices + 1, 100 * shares, width=width, color=figure.ACCENT)
            for bar, note in zip(bars, notes, strict=True):
                figure.mark(bar, "bar", [note])
        else:
            frame.line(axes, indices + 1, 100 * shares[indices], notes)
        axes.set_xlim(0.4, len(shares) + 0.6)
        axes.set_ylim(0, 1.04 * top)
        frame.round_ticks(axes.xaxis, 1, len(shares), integer=True)

    name = f"Share of the variance along each of {len(shares)} axes, from {percent(shares[0])}"
    return frame.chart("Variance along each axis, % of the whole", name, "axis", paint)


def cumulative(shares: Array) -> str:
    """Return the share of the variance that the first axes explain together."""
    sums = np.minimum(np.cumsum(shares), 1.0)
    indices = frame.thin(len(sums))
    notes = [f"{i + 1} axes: {percent(round(sums[i], 9))}" for i in indices.tolist()]

    def paint(axes: Any) -> None:
        frame.line(axes, indices + 1, 100 * sums[indices], notes)
        axes.set_xlim(min(1, len(sums) - 1), max(2, len(sums)))
        axes.set_ylim(0, 102)
        frame.round_ticks(axes.xaxis, 1, len(sums), integer=True)

    name = f"Share of the variance that the first axes explain, up to {percent(sums[-1])}"
    return frame.chart("Variance explained together, %", name, "axes", paint)


def likelihood(bounds: Array) -> str:
    """Return the mean log-likelihood of a row by iteration."""
    indices = frame.thin(len(bounds))
    notes = [f"iteration {i + 1}: {real(bounds[i])}" for i in indices.tolist()]
    low, high = float(bounds.min()), float(bounds.max())
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0

    def paint(axes: Any) -> None:
        frame.line(axes, indices + 1, bounds[indices], notes)
        axes.set_xlim(1, max(2, len(bounds)))
        axes.set_ylim(low - room, high + room)
        frame.round_ticks(axes.xaxis, 1, len(bounds), integer=True)

    name = (
        f"Log-likelihood over {len(bounds)} iterations, from {real(bounds[0])} to "
        f"{real(bounds[-1])}"
    )
    return frame.chart("Log-likelihood of a row, mean", name, "iteration", paint)


def criteria(numbers: Sequence[int], values: Mapping[str, Array], best: int) -> str:
    """Return criteria by the number of components, with a ring around the best fit.

    Parameters
    ----------
    numbers : sequence of int, of length M
        Components of each fit.
    values : mapping of str to ndarray of shape (M,)
        By the criterion's name, that which chose first.
    best : int
        Place of the best fit.
    """
    x = np.array(numbers)
    low = min(float(each.min()) for each in values.values())
    high = max(float(each.max()) for each in values.values())
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    first = next(iter(values))

    def paint(axes: Any) -> None:
        for (name, each), colour in zip(values.items(), figure.CLUSTER, strict=False):
            notes = [
                f"{counted(k, 'component')}: {name} {real(value)}"
                for k, value in zip(numbers, each, strict=True)
            ]
            frame.line(axes, x, each, notes, colour)
            above = each[-1] >= max(other[-1] for other in values.values())
            axes.annotate(
                name,
                (x[-1], each[-1]),
                xytext=(0, 8 if above else -8),
                textcoords="offset points",
                ha="right",
                va="bottom" if above else "top",
            )
        axes.scatter(
            x[best : best + 1],
            values[first][best : best + 1],
            s=150,
            facecolors="none",
            edgecolors=figure.INK,
            linewidths=1.6,
            clip_on=False,
        )
        space = 0.03 * (x[-1] - x[0]) or 1
        axes.set_xlim(x[0] - space, x[-1] + space)
        axes.set_ylim(low - 2 * room, high + room)
        frame.round_ticks(axes.xaxis, x[0], x[-1], integer=True)

    name = (
        f"{' and '.join(values)} of {len(x)} fits, from {x[0]} to {x[-1]} components; "
        f"{first} is least at {x[best]}"
    )
    return frame.chart(f"{' and '.join(values)}; less is better", name, "components", paint)


def profiles(
    means: Array, colours: Sequence[int], named: Sequence[int], columns: Sequence[str] | None
) -> str:
    """Return the means of components by column, as lines.

    Parameters
    ----------
    means : ndarray of shape (K, D)
        In deviations of a column from its mean.
    colours : sequence of int, of length K
    named : sequence of int, of length K
        Numbers of the components.
    columns : sequence of D str, or None
        Names of the columns, which then stand below each other: up to 24 of them, those in which
        the means differ most.
    """
    caption = "Means by column, in deviations of all rows; colours as below"
    name = f"Means of components {', '.join(map(str, named))} by column"
    if columns is None:
        return frame.chart(caption, name, "column", _across(means, colours))
    shown = np.sort(np.argsort(-np.ptp(means, axis=0), kind="stable")[:MOST_COLUMNS])
    if len(shown) < len(columns):
        caption = (
            f"Means in the {len(shown)} of {len(columns)} columns in which they differ most, in "
            "deviations of all rows; colours as below"
        )
    names = [_short(columns[j]) for j in shown]
    left = 20 + max(2, math.ceil(LETTER * max(map(len, names))))
    height = frame.MARGINS[2] + frame.MARGINS[3] + COLUMN_HEIGHT * len(shown)
    return frame.chart(
        caption,
        name,
        "deviations from the mean of all rows",
        _downward(means[:, shown], colours, names),
        size=(frame.SIZE[0], height),
        margins=(left, *frame.MARGINS[1:]),
    )


def _across(means: Array, colours: Sequence[int]) -> Callable[[Any], None]:
    """Return what draws columns by number from left to right."""
    x = np.arange(means.shape[1])
    largest = float(np.abs(means).max(initial=0.0)) or 1.0

    def paint(axes: Any) -> None:
        for mean, colour in zip(means, colours, strict=True):
            axes.plot(x, mean, color=figure.CLUSTER[colour], linewidth=1.6, clip_on=False)
        axes.set_xlim(-0.3, max(1, len(x) - 1) + 0.3)
        axes.set_ylim(-1.06 * largest, 1.06 * largest)
        frame.round_ticks(axes.xaxis, 0, len(x), integer=True)

    return paint


def _downward(means: Array, colours: Sequence[int], names: Sequence[str]) -> Callable[[Any], None]:
    """Return what draws columns by name from top to bottom."""
    y = np.arange(means.shape[1])
    largest = float(np.abs(means).max(initial=0.0)) or 1.0

    def paint(axes: Any) -> None:
        axes.axvline(0, color=figure.SOFT, linewidth=1)
        for mean, colour in zip(means, colours, strict=True):
            axes.plot(mean, y, color=figure.CLUSTER[colour], linewidth=1.6, clip_on=False)
        axes.set_xlim(-1.06 * largest, 1.06 * largest)
        axes.set_ylim(len(y) - 0.5, -0.5)
        frame.round_ticks(axes.xaxis, -largest, largest)
        axes.set_yticks(y, names, parse_math=False)

    return paint


def _short(name: str) -> str:
    """Return a name that fits next to a chart, of letters that an SVG may hold."""
    name = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1].rstrip() + "…"
