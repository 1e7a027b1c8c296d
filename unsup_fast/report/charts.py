"""The charts of a k-means report."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast.report.numbers import count, percent, real
from unsup_fast.report.svg import Scale, across, bar, frame, line, tick, upward

Array = npt.NDArray[Any]

# Above this many clusters single bars are too thin to point at.
MOST_BARS = 60
# Above this many bars colours would repeat too often to lead from bar to cluster.
MOST_COLOURED = 30
# Above this many bars their numbers would run into each other.
MOST_NAMED = 16
# Above this many points a line has more of them than pixels.
MOST_POINTS = 400
# Largest over smallest cluster above which a histogram of sizes needs a logarithmic axis.
WIDE = 50


def sizes(cluster_sizes: Array, colours: Sequence[str]) -> str:
    """Return the cluster sizes as sorted bars, or as a histogram if there are many."""
    if len(cluster_sizes) <= MOST_BARS:
        return _bars(cluster_sizes, colours)
    return _histogram(cluster_sizes)


def _bars(cluster_sizes: Array, colours: Sequence[str]) -> str:
    order = np.argsort(-cluster_sizes, kind="stable")
    x, y = across(0.5, len(order) + 0.5), upward(0, float(cluster_sizes.max()) * 1.04)
    gap = 0.12 if len(order) > 20 else 0.16
    parts = []
    for place, cluster in enumerate(order.tolist(), start=1):
        rows = int(cluster_sizes[cluster])
        note = f"cluster {cluster}: {count(rows)} rows ({percent(rows / cluster_sizes.sum())})"
        edges = x(place - 0.5 + gap), x(place + 0.5 - gap)
        colour = colours[cluster] if len(order) <= MOST_COLOURED else ""
        parts.append(bar(*edges, y(rows), note, colour))
    name = (
        f"Bars of {len(order)} cluster sizes, from {count(cluster_sizes.max())} "
        f"to {count(cluster_sizes.min())} rows"
    )
    named = len(order) <= MOST_NAMED
    ticks = [(place, str(cluster)) for place, cluster in enumerate(order.tolist(), start=1)]
    title = "cluster" if named else "clusters, largest first"
    return frame(name, parts, x, y, title, "Rows in each cluster", ticks if named else [])


def _histogram(cluster_sizes: Array) -> str:
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
    heights, edges = np.histogram(filled, edges)
    x, y = across(float(edges[0]), float(edges[-1]), log), upward(0, float(heights.max()) * 1.04)
    parts = [
        bar(x(left) + 0.6, x(right) - 0.6, y(height), f"{count(height)} clusters of {span}")
        for left, right, height in zip(
            edges[:-1].tolist(), edges[1:].tolist(), heights, strict=True
        )
        if height
        for span in [f"{count(np.ceil(left))} to {count(np.floor(right))} rows"]
    ]
    name = f"Histogram of {len(filled)} cluster sizes, from {count(low)} to {count(high)} rows"
    return frame(name, parts, x, y, "rows in a cluster", "Clusters of each size")


def inertia(values: Array) -> str:
    """Return the inertia by iteration."""
    places = _thin(len(values))
    xs, ys = (places + 1).tolist(), values[places].tolist()
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    # Where the curve drops to almost nothing, zero is the honest lower end.
    bottom = 0.0 if low - room < 0.1 * high else low - room
    x, y = across(1, max(2, len(values))), upward(bottom, high + room)
    notes = [f"iteration {a}: {real(b)}" for a, b in zip(xs, ys, strict=True)]
    name = f"Inertia over {len(values)} iterations, from {real(values[0])} to {real(values[-1])}"
    marks = [line(xs, ys, x, y, notes)]
    return frame(name, marks, x, y, "iteration", "Inertia", _whole(x))


def changes(values: Array, n_rows: int) -> str:
    """Return the changed labels by iteration, on a logarithmic axis."""
    places = _thin(len(values))
    places = places[values[places] > 0]
    if not len(places):
        return ""
    xs, ys = (places + 1).tolist(), values[places].tolist()
    x = across(1, max(2, len(values)))
    y = upward(max(0.5, min(ys) / 1.5), max(ys) * 1.5, log=True)
    notes = [
        f"iteration {a}: {count(b)} ({percent(b / n_rows)})" for a, b in zip(xs, ys, strict=True)
    ]
    last = "none" if values[-1] == 0 else count(values[-1])
    name = f"Rows that changed cluster in each iteration, from {count(values[0])} to {last}"
    caption = "Rows that changed cluster (logarithmic" + (
        ", last: none)" if last == "none" else ")"
    )
    marks = [line(xs, ys, x, y, notes)]
    return frame(name, marks, x, y, "iteration", caption, _whole(x))


def _whole(x: Scale) -> list[tuple[float, str]]:
    return [(value, tick(value)) for value in x.ticks() if value == round(value)]


def _thin(length: int) -> Array:
    if length <= MOST_POINTS:
        return np.arange(length)
    return np.unique(np.linspace(0, length - 1, MOST_POINTS).astype(int))
