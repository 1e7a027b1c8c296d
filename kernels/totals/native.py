"""Calls of the compiled operations on totals."""

from typing import TYPE_CHECKING

import numpy as np

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array

if TYPE_CHECKING:
    from unsup_fast.kernels import _native
    from unsup_fast.kernels.totals import Totals


def bound(totals: "Totals") -> "_native.Totals":
    """Return what `Totals.bound` holds."""
    arrays: _native.Totals = compiled().Totals(
        quanta=totals.quanta, sums=totals.sums, counts=totals.counts
    )
    return arrays


def move(
    X: Array, centers: Array, shift: Array, labels: Array, *, totals: "Totals", n_threads: int
) -> int:
    """Compute the labels of `assign` and move rows between sums; return the labels that changed."""
    changed: int = compiled().move(
        X=X,
        centers=centers,
        shift=shift,
        labels=labels,
        totals=totals.bound,
        n_threads=n_threads,
    )
    return changed


def means(
    centers: Array, shift: Array, *, totals: "Totals", n_threads: int
) -> tuple[Array, Array, Array, Array]:
    """Return means [K, D], and moved, cross and own [K] of csrc/totals."""
    n_clusters = len(centers)
    centers_new = np.empty_like(centers)
    moved, cross, own = np.empty(n_clusters), np.empty(n_clusters), np.empty(n_clusters)
    compiled().means(
        centers=centers,
        shift=shift,
        totals=totals.bound,
        means=centers_new,
        moved=moved,
        cross=cross,
        own=own,
        n_threads=n_threads,
    )
    return centers_new, moved, cross, own
