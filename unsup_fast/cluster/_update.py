"""The centroids after an iteration, from the sums of the clusters; arrays of size K x D."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast._rows.directions import directions
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._far import Far
from unsup_fast.kernels._types import Array

VANISHED = float(np.finfo(np.float64).tiny)  # replaces a movement whose squares underflow to zero


class Moved(NamedTuple):
    """Centroids after an iteration."""

    centers: Array
    """[K, D], type of X."""
    original: Array
    """[K, D]: the same in the units of X."""
    center_shift: float
    """Sum over the centroids of their squared movement."""


def movement(before: Array, after: Array) -> float:
    """Return the sum of squared movement, which is 0 only if no centroid [K, D] moved."""
    squares = float(((after.astype(np.float64) - before) ** 2).sum())
    return VANISHED if squares == 0.0 and not np.array_equal(after, before) else squares


def in_units(
    before: Array, centers: Array, scale: Array | None, center_shift: float | None = None
) -> Moved:
    """Return new centroids as a fitted model will hold them, and how far they moved.

    Parameters
    ----------
    before, centers : ndarray of shape (K, D)
    scale : ndarray of shape (D,), optional
        What columns are divided by.
    center_shift : float, optional
        Summed squared movement, if it is known.
    """
    if scale is None:
        shift = center_shift or movement(before, centers)
        return Moved(centers=centers, original=centers, center_shift=shift)
    original, centers = scaling.rounded(centers, scale)
    return Moved(centers=centers, original=original, center_shift=movement(before, centers))


def updated(
    rows: Rows,
    metric: str,
    centers: Array,
    sums: Array,
    weights: Array,
    farthest: Callable[[Array, int], Far],
) -> Array:
    """Return the weighted means of the clusters, or their directions, in the type of X.

    Parameters
    ----------
    rows : Rows
    metric : {"euclidean", "cosine"}
    centers : ndarray of shape (K, D)
        Centroids that the rows were assigned to.
    sums : ndarray of shape (K, D), float64
        Weighted sums of the rows less their shift.
    weights : ndarray of shape (K,), float64
    farthest : callable
        ``farthest(centers, M)`` returns the M rows of `Far`; called if a cluster is empty.
    """
    if not weights.all():
        far = farthest(centers, int(np.count_nonzero(weights == 0)))
        sums, weights = _relocated(far, sums, weights)
    origin = 0.0 if rows.shift is None else rows.origin.astype(np.float64)
    filled = weights > 0
    means = origin + sums / np.where(filled, weights, 1.0)[:, None]  # [K, D] float64
    if metric == "cosine":
        means = directions(means, centers)
    updated: Array = means.astype(centers.dtype)
    if not filled.all():
        # A cluster that stays empty sits on the heaviest one, where it gains no rows as long as
        # its index is the higher of the two; otherwise it stays where it is.
        empty, heaviest = np.flatnonzero(~filled), int(weights.argmax())
        above = empty > heaviest
        updated[empty[above]] = updated[heaviest]
        updated[empty[~above]] = centers[empty[~above]]
    return updated


def _relocated(far: Far, sums: Array, weights: Array) -> tuple[Array, Array]:
    """Return sums and weights with a far row moved into each empty cluster.

    The rows farthest from their centroids leave their old clusters; their neighbours follow in
    the next iteration. Nothing moves if every row lies on its centroid, which happens if there
    are fewer distinct rows than clusters. A row without weight founds no cluster: it counts as
    absent (scikit-learn may choose it, and the cluster then stays empty).
    """
    if not far.distances.any():
        return sums, weights
    sums, weights = sums.copy(), weights.copy()
    empty = np.flatnonzero(weights == 0)
    for cluster, label, values, weight in zip(
        empty, far.labels, far.values, far.weights, strict=False
    ):
        sums[label] -= values * weight
        sums[cluster] = values * weight
        weights[label] -= weight
        weights[cluster] = weight
    return sums, weights
