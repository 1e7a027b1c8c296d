"""The charts of a k-means report: sizes, inertia, changes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.report import figure, frame
from unsup_fast.report.numbers import count, percent, real

# Above this many clusters single bars are too thin to point at.
MOST_BARS = 60
# Above this many bars colours would repeat too often to lead from bar to cluster.
MOST_COLOURED = 30
# Above this many bars their numbers would run into each other.
MOST_NAMED = 16
# Largest over smallest cluster above which a histogram of sizes needs a logarithmic axis.
WIDE = 50


def sizes(cluster_sizes: Array, colours: Sequence[int], thing: str = "cluster") -> str:
    """Return the sizes of clusters or components as sorted bars, or as a histogram of many.

    Parameters
    ----------
    cluster_sizes : ndarray of shape (K,)
    colours : sequence of int, of length K
        Number of each cluster's colour.
    thing : str
        What they are called.
    """
    if len(cluster_sizes) <= MOST_BARS:
        return _bars(cluster_sizes, colours, thing)
    return _histogram(cluster_sizes, thing)


def _bars(cluster_sizes: Array, colours: Sequence[int], thing: str) -> str:
    order = np.argsort(-cluster_sizes, kind="stable").tolist()
    positions, named = range(1, len(order) + 1), len(order) <= MOST_NAMED

    def paint(axes: Any) -> None:
        paints = [figure.CLUSTER[colours[cluster]] for cluster in order]
        bars = axes.bar(
            positions,
            cluster_sizes[order],
            width=0.76 if len(order) > 20 else 0.68,
            color=paints if len(order) <= MOST_COLOURED else figure.ACCENT,
        )
        for bar, cluster in zip(bars, order, strict=True):
            rows = int(cluster_sizes[cluster])
            share = percent(rows / cluster_sizes.sum())
            figure.mark(bar, "bar", [f"{thing} {cluster}: {count(rows)} rows ({share})"])
        axes.set_xlim(0.5, len(order) + 0.5)
        axes.set_ylim(0, 1.04 * cluster_sizes.max())
        axes.set_xticks(positions if named else [], order if named else [])

    name = (
        f"Bars of {len(order)} {thing} sizes, from {count(cluster_sizes.max())} "
        f"to {count(cluster_sizes.min())} rows"
    )
    x_title = thing if named else f"{thing}s, largest first"
    return frame.chart(f"Rows in each {thing}", name, x_title, paint)


def _histogram(cluster_sizes: Array, thing: str) -> str:
    filled = cluster_sizes[cluster_sizes > 0]
    low, high = float(filled.min()), float(filled.max())
    log = high > WIDE * low
    bins = min(32, max(8, int(np.sqrt(len(filled)) * 1.5)))
    if high - low < bins:
        edges = np.arange(low - 0.5, high + 1.5)
    elif log:
        edges = np.geomspace(low, high * (1 + 1e-9), bins + 1)
    else:
        edges = np.linspace(low, high, bins + 1)

    def paint(axes: Any) -> None:
        if log:
            axes.set_xscale("log")
        heights, _, bars = axes.hist(filled, edges, rwidth=0.9, color=figure.ACCENT)
        for bar, height, left, right in zip(bars, heights, edges[:-1], edges[1:], strict=True):
            span = f"{count(np.ceil(left))} to {count(np.floor(right))} rows"
            figure.mark(bar, "bar", [f"{count(height)} {thing}s of {span}"])
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(0, 1.04 * max(heights))
        frame.round_ticks(axes.xaxis, edges[0], edges[-1], log=log, integer=not log)

    name = f"Histogram of {len(filled)} {thing} sizes, from {count(low)} to {count(high)} rows"
    return frame.chart(f"{thing.capitalize()}s of each size", name, f"rows in a {thing}", paint)


def inertia(values: Array) -> str:
    """Return the inertia by iteration."""
    indices = frame.thin(len(values))
    notes = [f"iteration {i + 1}: {real(values[i])}" for i in indices.tolist()]
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    # Where the curve drops to almost nothing, zero is the honest lower end.
    bottom = 0.0 if low - room < 0.1 * high else low - room

    def paint(axes: Any) -> None:
        frame.line(axes, indices + 1, values[indices], notes)
        axes.set_xlim(1, max(2, len(values)))
        axes.set_ylim(bottom, high + room)
        frame.round_ticks(axes.xaxis, 1, len(values), integer=True)

    name = f"Inertia over {len(values)} iterations, from {real(values[0])} to {real(values[-1])}"
    return frame.chart("Inertia", name, "iteration", paint)


def changes(values: Array, n_rows: int) -> str:
    """Return the changed labels by iteration, on a logarithmic axis."""
    indices = frame.thin(len(values))
    indices = indices[values[indices] > 0]
    if not len(indices):
        return ""
    notes = [
        f"iteration {i + 1}: {count(values[i])} ({percent(values[i] / n_rows)})"
        for i in indices.tolist()
    ]
    low, high = values[indices].min(), values[indices].max()

    def paint(axes: Any) -> None:
        axes.set_yscale("log")
        frame.line(axes, indices + 1, values[indices], notes)
        bottom, top = max(0.5, low / 1.5), high * 1.5
        axes.set_xlim(1, max(2, len(values)))
        axes.set_ylim(bottom, top)
        frame.round_ticks(axes.xaxis, 1, len(values), integer=True)
        frame.round_ticks(axes.yaxis, bottom, top, log=True)

    last = "none" if values[-1] == 0 else count(values[-1])
    name = f"Rows that changed cluster in each iteration, from {count(values[0])} to {last}"
    caption = "Rows that changed cluster (logarithmic" + (
        ", last: none)" if last == "none" else ")"
    )
    return frame.chart(caption, name, "iteration", paint)
