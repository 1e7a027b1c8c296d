"""`prune`: the labels of `assign`, with most centroids of a row ruled out by exact bounds.

With an orthonormal basis Q of R directions, z = Q^T x' and the tail t = |x' - Q z|::

    |x' - c'|^2 >= |z_x - z_c|^2 + (t_x - t_c)^2 = |y_x - y_c|^2        y = (z, t)

A centroid whose bound exceeds the distance of the row to its own centroid cannot be nearest. For
each row and each group of near centroids the bound is stored, and lowered by the displacement of
the centroids from pass to pass. Rounding is bounded throughout (`Bounds.slack`, csrc/prune),
and close calls are scored in the order of `assign`, so labels are bitwise its own whatever the
basis.
"""

import numpy as np

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.prune import native
from unsup_fast.kernels.prune.choice import COUNTS, choose_basis, may_pay, pays
from unsup_fast.kernels.prune.columns import basis, project_rows
from unsup_fast.kernels.prune.records import NEAR, Basis, Bounds
from unsup_fast.kernels.prune.state import bounds, bounds_size, slots
from unsup_fast.kernels.totals import Totals, move

__all__ = [
    "COUNTS",
    "NEAR",
    "Basis",
    "Bounds",
    "assign_update",
    "basis",
    "bounds",
    "bounds_size",
    "choose_basis",
    "may_pay",
    "pays",
    "slots",
]


def assign_update(
    X: Array,
    centers: Array,
    labels: Array,
    shift: Array,
    *,
    totals: Totals | None = None,
    bounds: Bounds | None = None,
    n_threads: int | None = None,
) -> int:
    """Compute the labels of `assign`, bit for bit, and move rows between running sums.

    Parameters
    ----------
    X : C-contiguous ndarray of shape (N, D), float32 or float64
    centers : ndarray of shape (K, D), type of X
    labels : int32 ndarray of shape (N,)
        Labels of the pass before, or -1; overwritten with the new ones.
    shift : ndarray of shape (D,), type of X
        As in `assign`.
    totals : Totals, optional
        Sums of the rows with the labels that come in; become those of the new ones.
    bounds : Bounds, optional
        Bounds of earlier passes over X with this shift (`kernels.prune.bounds`), which rule
        out most centroids. They are updated, and invalid after a KeyboardInterrupt.
    n_threads : int, optional
        Threads to run; None for all.

    Returns
    -------
    int
        How many labels differ from those that came in.

    Raises
    ------
    TypeError, ValueError
        If an argument's type or shape does not fit.
    KeyboardInterrupt
        Within a second of Ctrl-C; labels are then a mixture of old and new, and totals fit them.
    """
    _check.matrix("X", X)
    _check.matrix("centers", centers, X.dtype)
    _check.vector("labels", labels, len(X), np.int32)
    _check.vector("shift", shift, X.shape[1], X.dtype)
    workers = threads.effective(n_threads)
    if bounds is not None:
        return _pruned(X, centers, labels, shift, bounds, totals, workers)
    if totals is not None:
        return move(X, centers, shift, labels, totals=totals, n_threads=workers)
    assigned = assign(
        X,
        centers,
        shift=shift,
        labels=labels,
        update=False,
        return_inertia=False,
        n_threads=workers,
    )
    return int(assigned.n_changed)


def _pruned(
    X: Array,
    centers: Array,
    labels: Array,
    shift: Array,
    bounds: Bounds,
    totals: Totals | None,
    n_threads: int,
) -> int:
    if not np.array_equal(shift, bounds.basis.shift):
        raise ValueError("bounds and assign_update must have the same shift")
    projected, slack = None, 0.0
    if len(bounds.basis.directions) > 0:
        projected, _, off = project_rows(centers[bounds.cluster], bounds.basis, n_threads)
        slack = float(off.max())
    changed, work = native.prune(
        X,
        centers,
        shift,
        labels,
        bounds=bounds,
        projected_centers=projected,
        centers_slack=slack,
        totals=totals,
        n_threads=n_threads,
    )
    bounds.before, bounds.work = centers.copy(), work
    return changed
