"""Bounds of distances between rows and centroids, stored from pass to pass."""

from dataclasses import dataclass

import numpy as np

from unsup_fast.kernels._types import Array
from unsup_fast.kernels.prune.columns import Basis, ScoredRows, encode_rows, project_rows

NEAR = 16
"""Centroids of a group, as in csrc/prune."""


@dataclass(kw_only=True)
class Bounds:
    """Bounds of distances between rows and centroids, from pass to pass; see csrc/prune."""

    basis: Basis
    span: int
    """Groups of `NEAR` slots to a bound."""
    cluster: Array
    """[K] int32: the centroid in each slot."""
    rows: ScoredRows
    upper: Array
    """[N], type of X: distance that a centroid must keep so as not to be nearest."""
    tight: Array
    """[N] uint8: whether the row's own centroid has not moved since `upper` was computed."""
    lower: Array
    """[N, W], type of X: distance of the nearest other centroid of each bound, plus `moved`; W is B
    rounded up to a multiple of `NEAR`, with infinity past B."""
    moved: Array
    """[B] float64: how far the centroids of each bound have moved."""
    max_norm: Array
    """[1] float64: upper bound of the norms of the centroids."""
    before: Array | None = None
    """[K, D]: centroids of the pass before; None if no bounds are known yet."""
    work: tuple[int, int, int] = (0, 0, 0)
    """Of the last pass: rows whose distance to their own centroid was computed, pairs of a row and
    a group scored in the projected columns, pairs of a row and a centroid scored in all columns."""


def bounds(X: Array, centers: Array, basis: Basis, n_threads: int) -> Bounds:
    """Project or encode the rows of X, and assign centroids to slots, near ones together."""
    n_rows, n_columns = X.shape
    span, n_bounds = _spread(n_columns, len(centers), _width(n_columns, basis))
    if basis.coded:
        rows = encode_rows(X, basis, n_threads)
        order = slots(centers)
    else:
        projected, squares, slack = project_rows(X, basis, n_threads)
        rows = ScoredRows(projected=projected, squares=squares, slack=slack)
        order = slots(project_rows(centers, basis, n_threads)[0])
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
    )


def _spread(n_columns: int, n_clusters: int, projected: int) -> tuple[int, int]:
    """Return groups to a bound, and bounds: so many that all takes less memory than the rows."""
    n_groups = -(-n_clusters // NEAR)
    most = max(1, (n_columns - projected - 8) // NEAR * NEAR)
    span = -(-n_groups // most)
    return span, -(-n_groups // span)


def bounds_size(n_columns: int, n_clusters: int, basis: Basis) -> int:
    """Return how many numbers of X's type `Bounds` keep for a row, about."""
    width = _width(n_columns, basis)
    return width + _spread(n_columns, n_clusters, width)[1] + 8


def _width(n_columns: int, basis: Basis) -> int:
    """Return how many numbers of X's type a row takes as it is scored."""
    return -(-n_columns // 4) if basis.coded else len(basis.directions) + 1


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
