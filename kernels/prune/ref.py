"""Reference for `prune`: a dense pass, sums of all rows, and the distances that bounds bound."""

import numpy as np

from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import ref as assign_ref
from unsup_fast.kernels.prune.records import NEAR, Bounds
from unsup_fast.kernels.totals import Totals
from unsup_fast.kernels.totals import ref as totals_ref


def assign_update(
    X: Array, centers: Array, labels: Array, shift: Array, *, totals: Totals | None = None
) -> int:
    """Fill labels and totals; return how many labels differ from those that came in."""
    _, changed = assign_ref.assign(
        X, centers, None, shift, labels, None, None, None, False, False, 1
    )
    if totals is not None:
        totals.sums[:], totals.counts[:] = totals_ref.totals(
            X, shift, labels, totals.quanta, len(centers)
        )
    return changed


def distances(X: Array, centers: Array, labels: Array, bounds: Bounds) -> tuple[Array, Array]:
    """Return the distances in the units of `Bounds`, float64.

    They are those [N] of each row to its own centroid, and those [N, B] to the nearest other
    centroid of each bound, infinity where there is no other.
    """
    basis, width = bounds.basis, NEAR * bounds.span
    x = (X - basis.shift).astype(np.float64) * basis.scale  # [N, D]
    c = (centers - basis.shift).astype(np.float64) * basis.scale  # [K, D]
    own = np.empty(len(x))
    others = np.empty((len(x), len(bounds.moved)))
    for i, row in enumerate(x):
        distance = np.sqrt(((row - c) ** 2).sum(axis=1))  # [K]
        own[i] = distance[labels[i]]
        distance[labels[i]] = np.inf
        for q in range(len(bounds.moved)):
            others[i, q] = distance[bounds.cluster[q * width : (q + 1) * width]].min()
    return own, others
