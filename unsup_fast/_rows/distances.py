"""Distances between rows and centroids on the host, and how far they may reach."""

from typing import Any

import numpy as np
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.utils import gen_batches

from unsup_fast._rows.directions import COST
from unsup_fast.blocks import DataError
from unsup_fast.kernels._types import Array

BLOCK = 1 << 22  # elements of a block of rows or distances: 32 MiB
NEAR = 1e-6  # below this share of the squared lengths, digits are lost to cancellation


def distances(X: Any, centers: Array, shift: Array | None, metric: str) -> Array:
    """Return the distance [N, K] of each row to each centroid, about the shift, in float64.

    The cosine distance is half the square of the Euclidean one between points of unit length.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (N, D)
    centers : ndarray of shape (K, D), type of X
    shift : ndarray of shape (D,), type of X, or None for CSR
    metric : {"euclidean", "cosine"}

    Returns
    -------
    ndarray of shape (N, K), type of X
    """
    if metric == "cosine":
        distance = distances(X, centers, shift, "euclidean")
        distance *= distance
        distance *= COST["cosine"]
        return distance
    if shift is None:
        sparse: Array = euclidean_distances(X, centers)
        return sparse
    origin = shift.astype(np.float64)
    moved = centers - origin  # [K, D] float64
    out = np.empty((len(X), len(centers)), dtype=X.dtype)
    for block in gen_batches(len(X), max(1, BLOCK // max(out.shape[1], X.shape[1]))):
        out[block] = _block_distances(X[block] - origin, moved)
    return out


def _block_distances(x: Array, c: Array) -> Array:
    squared: Array = euclidean_distances(x, c, squared=True)  # [B, K]
    # |x|^2 - 2 x.c + |c|^2 cancels for a row very near a centroid: compute |x - c|^2 instead.
    lengths = (x**2).sum(axis=1)[:, None] + (c**2).sum(axis=1).max()  # [B, 1]
    near = squared < NEAR * lengths  # [B, K]
    for k in np.flatnonzero(near.any(axis=0)):
        i = np.flatnonzero(near[:, k])
        squared[i, k] = ((x[i] - c[k]) ** 2).sum(axis=1)
    return np.sqrt(squared, out=squared)


def check_range(farthest: float, dtype: np.dtype[Any], name: str = "X") -> None:
    """Raise DataError if a distance from the median, in float64, is too large for the type."""
    if farthest > float(np.finfo(dtype).max):
        raise DataError(
            f"values of {name} lie up to {farthest:.3g} from their median, beyond {dtype}; "
            f"divide {name} by its largest magnitude, or pass float64"
        )
