"""The rows nearest to their centroids, for as many clusters as a reader will look at."""

from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from unsup_fast._rows.directions import unit_rows
from unsup_fast._types import Array
from unsup_fast.blocks import Source

MOST_CLUSTERS = 50
LARGEST, SMALLEST, BETWEEN = 16, 8, 12

# Values looked at; beyond, the rows of each cluster are sampled.
MOST_VALUES = 400_000_000
BLOCK_VALUES = 1 << 22


@dataclass(frozen=True)
class Central:
    """The most central rows of a cluster, nearest first."""

    cluster: int
    size: int
    rows: Array
    distances: Array


def choose(sizes: Array) -> Array:
    """Return the clusters to show, largest first.

    All of up to 50; of more the 16 largest, the 8 smallest and 12 spread evenly between.
    """
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    if len(order) <= MOST_CLUSTERS:
        return order
    between = np.linspace(LARGEST, len(order) - SMALLEST - 1, BETWEEN + 2)[1:-1].astype(int)
    return np.concatenate([order[:LARGEST], order[between], order[-SMALLEST:]])


def find(
    X: Source, labels: Array, centers: Array, sizes: Array, n_each: int, metric: str = "euclidean"
) -> tuple[list[Central], bool]:
    """Return the `n_each` most central rows of the chosen clusters, and whether it sampled.

    Parameters
    ----------
    X : Source of shape (N, D)
    labels : ndarray of shape (N,)
    centers : ndarray of shape (K, D)
    sizes : ndarray of shape (K,)
    n_each : int
    metric : {"euclidean", "cosine"}
        That of the distances.
    """
    shown = choose(sizes)
    wanted = np.zeros(len(sizes), dtype=bool)
    wanted[shown] = True
    most, total = max(n_each * len(shown), MOST_VALUES // X.n_columns), int(sizes[shown].sum())
    sampled = total > most
    chosen: Any = ...
    if sampled:
        chosen = np.sort(np.random.default_rng(0).choice(total, most, replace=False))
    rows = np.flatnonzero(wanted[labels])[chosen]  # ascending, as a file is best read
    distances = _distances(X, rows, labels, centers, metric == "cosine")
    order = np.lexsort((distances, labels[rows]))
    rows, distances = rows[order], distances[order]
    starts = np.searchsorted(labels[rows], shown, side="left")
    ends = np.searchsorted(labels[rows], shown, side="right")
    clusters = []
    for cluster, start, end in zip(shown.tolist(), starts.tolist(), ends.tolist(), strict=True):
        few = slice(start, min(end, start + n_each))
        clusters.append(Central(cluster, int(sizes[cluster]), rows[few], distances[few]))
    return clusters, sampled


def _distances(X: Source, rows: Array, labels: Array, centers: Array, cosine: bool) -> Array:
    """Return the distance of each of the rows, ascending, to its own centroid."""
    distances = np.empty(len(rows))
    step = max(1, BLOCK_VALUES // X.n_columns)
    with closing(X.blocks()) as blocks:
        for row, block in blocks:
            low, high = np.searchsorted(rows, (row, row + len(block)))
            for start in range(low, high, step):
                part = slice(start, min(start + step, high))
                some = rows[part]
                taken = block[some - row]
                differences = (unit_rows(taken) if cosine else taken) - centers[
                    labels[some]
                ]  # [step, D]
                squares = np.einsum("ij,ij->i", differences, differences, dtype=np.float64)
                distances[part] = squares / 2 if cosine else np.sqrt(squares)
    return distances
