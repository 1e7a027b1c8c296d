"""Bounds of distances between rows and centroids, stored from pass to pass."""

import numpy as np

from unsup_fast.kernels._types import Array
from unsup_fast.kernels.prune.columns import FINE, MOST_CODED, encode_rows, project_rows
from unsup_fast.kernels.prune.records import NEAR, Basis, Bounds, ScoredRows

FINE_SCALARS = 24  # bytes of a row's unit, sum, square and slack


def bounds(
    X: Array, centers: Array, basis: Basis, n_threads: int, guess: Array | None = None
) -> Bounds:
    """Project or encode the rows of X, and assign centroids to slots, near ones together."""
    n_rows, n_columns = X.shape
    span, n_bounds = _spread(n_columns, len(centers), _width(basis))
    if basis.coded:
        rows = encode_rows(X, basis, n_threads)
    else:
        projected, squares, slack = project_rows(X, basis, n_threads)
        rows = ScoredRows(projected=projected, squares=squares, slack=slack)
    order = slots(project_rows(centers, basis, n_threads)[0] if len(basis.directions) else centers)
    return Bounds(
        basis=basis,
        span=span,
        cluster=order,
        rows=rows,
        upper=np.empty(n_rows, dtype=X.dtype),
        tight=np.zeros(n_rows, dtype=np.uint8),
        lower=np.empty((n_rows, -(-n_bounds // NEAR) * NEAR), dtype=X.dtype),
        moved=np.zeros(n_bounds),
        max_norm=np.zeros(1),
        guess=guess,
    )


def _spread(n_columns: int, n_clusters: int, projected: int) -> tuple[int, int]:
    """Return groups to a bound, and bounds: so many that all takes less memory than the rows."""
    n_groups = -(-n_clusters // NEAR)
    most = max(1, (n_columns - projected - 8) // NEAR * NEAR)
    span = -(-n_groups // most)
    return span, -(-n_groups // span)


def bounds_size(n_columns: int, n_clusters: int, basis: Basis) -> int:
    """Return how many numbers of X's type `Bounds` keep for a row, about."""
    width = _width(basis)
    return width + _spread(n_columns, n_clusters, width)[1] + 8


def _width(basis: Basis) -> int:
    """Return how many numbers of X's type a row takes as it is scored."""
    if not basis.coded:
        return basis.width + 1
    n_bytes = -(-basis.width // 4) * 4
    if len(basis.directions) > 0 and len(basis.shift) <= MOST_CODED:
        n_bytes += -(-len(basis.shift) // FINE) * FINE + FINE_SCALARS
    return -(-n_bytes // 4)


def slots(projected: Array) -> Array:
    """Return an order of the centroids, int32 [K], in which each `NEAR` of them are near.

    The centroids are halved again and again, at whole groups, along the column in which they
    differ most.
    """
    order = np.arange(len(projected), dtype=np.int32)
    parts = [(0, len(projected))]
    while parts:
        start, end = parts.pop()
        if end - start <= NEAR:
            continue
        members = order[start:end]
        values = projected[members]
        with np.errstate(over="ignore", invalid="ignore"):  # any order is valid
            spread = values.var(axis=0, dtype=np.float64)  # [C]
        column = values[:, int(spread.argmax())]
        half = -(-(end - start) // NEAR) // 2 * NEAR
        order[start:end] = members[np.argsort(column, kind="stable")]
        parts += [(start, start + half), (start + half, end)]
    return order
