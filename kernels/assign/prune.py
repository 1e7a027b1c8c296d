"""Exact pruning for `assign`: few projected columns rule out most centroids of a row.

With an orthonormal basis Q of R directions, z = Q^T x' and the tail t = |x' - Q z|::

    |x' - c'|^2 >= |z_x - z_c|^2 + (t_x - t_c)^2 = |y_x - y_c|^2        y = (z, t)

A centroid whose bound exceeds the distance of the row to its own centroid cannot be nearest. For
each row and each group of near centroids the bound is stored, and lowered by the displacement of
the centroids from pass to pass. Rounding is bounded throughout (`Bounds.slack`, csrc/prune.hpp),
and close calls are scored in the order of `assign`, so labels are bitwise its own whatever the
basis.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from unsup_fast.kernels._dispatch import native
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign.columns import MOST, Basis, Rows, encode_rows, frame, project_rows

NEAR = 16  # centroids of a group, as in csrc/prune-inl.h
COUNTS = (15, 31, 63, 127, MOST)  # directions that `choose` tries
# Costs in multiply-adds of the dense kernel, measured on MNIST and sentence embeddings: a projected
# column and the comparison of a centroid; a column of the distance to the own centroid; a column of
# a survivor and its fixed cost; a row. CODED: a column as a byte.
CODED = 0.3
PROJECTED, COMPARED, OWN, SURVIVING, SURVIVOR, ROW = 3.0, 60.0, 32.0, 20.0, 4000.0, 10000.0
# Shares, on average over the passes of a run, of what a pass without bounds does.
ACTIVE, SURVIVE = 0.3, 0.12
MOST_CODED = 32768  # columns, as in csrc/prune.hpp
COUNTED = 256  # rows whose survivors `choose` counts
CLOSE = 2.0  # times the least cost of directions that codes may have without these being tried
WORTH = 0.75  # share of the dense pass's cost that a pruned one may have


def _cost(n_clusters: int, n_columns: int, count: int, survivors: float) -> float:
    """Return the cost of a row; `count` is 0 for codes."""
    scored = PROJECTED * (count + 1) if count else CODED * n_columns
    projected = ACTIVE * n_clusters * (scored + COMPARED)
    full = SURVIVE * survivors * (SURVIVING * n_columns + SURVIVOR)
    return projected + OWN * n_columns + full + ROW


def may_pay(n_clusters: int, n_columns: int) -> bool:
    """Return whether a pass could be cheaper than the dense one if nearly nothing survived."""
    least = WORTH * n_clusters * n_columns
    if native().has_byte_products() and _cost(n_clusters, n_columns, 0, 1.0) < least:
        return True
    fewest = COUNTS[0]
    return 2 * fewest <= n_columns and _cost(n_clusters, n_columns, fewest, 1.0) < least


def choose(X: Array, centers: Array, shift: Array, find: Callable[[], Basis]) -> Basis | None:
    """Return what makes the cheapest pass, or None if that is the dense one.

    Codes are tried first, and taken where directions could not be much better; else `find` is
    asked for the `basis`. Survivors are counted on evenly spaced rows.
    """
    step = max(1, len(X) // COUNTED)
    rows = np.ascontiguousarray(X[::step])  # [M, D]
    n_clusters, n_columns = centers.shape
    labels, distances = np.full(len(rows), -1, dtype=np.int32), np.empty(len(rows), X.dtype)
    native().assign(rows, centers, None, shift, labels, None, None, distances, True, False, 1)
    known = np.sqrt(distances.astype(np.float64))  # [M]
    best, cheapest = None, WORTH * n_clusters * n_columns
    if native().has_byte_products() and X.dtype == np.float32 and n_columns <= MOST_CODED:
        coded = frame(X, shift)
        cost = _cost(n_clusters, n_columns, 0, _survivors(rows, centers, coded, known))
        if cost < cheapest:
            best, cheapest = coded, cost
    if cheapest < CLOSE * _cost(n_clusters, n_columns, COUNTS[0], 1.0):
        return best
    basis = find()
    for count in COUNTS:
        least = _cost(n_clusters, n_columns, count, 1.0)
        if 2 * count > n_columns or count > len(basis.directions) or least > cheapest:
            break
        left = _survivors(rows, centers, basis.first(count), known)
        cost = _cost(n_clusters, n_columns, count, left)
        if cost < cheapest:
            best, cheapest = basis.first(count), cost
    return best


def _survivors(rows: Array, centers: Array, basis: Basis, known: Array) -> float:
    """Return how many centroids a row's distance `known` [M] leaves it, on average."""
    if basis.coded:
        x, c = encode_rows(rows, basis, 1), encode_rows(centers, basis, 1)
        bound = _distances(_decoded(x), x.squares, _decoded(c), c.squares)  # [M, K]
        bound -= x.slack[:, None] + c.slack.max()
    else:
        y, y_squares, _ = project_rows(rows, basis, 1)
        z, z_squares, _ = project_rows(centers, basis, 1)
        bound = _distances(y, y_squares, z, z_squares)  # [M, K]
    return float(np.count_nonzero(bound <= known[:, None] * basis.scale)) / len(rows)


def _decoded(rows: Rows) -> Array:
    assert rows.codes is not None
    assert rows.unit is not None
    decoded: Array = rows.codes * rows.unit[:, None]  # [M, C]
    return decoded


def _distances(y: Array, y_squares: Array, z: Array, z_squares: Array) -> Array:
    squares = y_squares[:, None] + z_squares - 2 * (y @ z.T)  # [M, K]
    distances: Array = np.sqrt(np.maximum(squares, 0))
    return distances


@dataclass
class Bounds:
    """Bounds of distances between rows and centroids, from pass to pass; see csrc/prune.hpp."""

    basis: Basis
    span: int
    """Groups of `NEAR` slots to a bound."""
    cluster: Array
    """[K] int32: the centroid in each slot."""
    rows: Rows
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
        rows = Rows(projected, None, None, None, squares, slack)
        order = slots(project_rows(centers, basis, n_threads)[0])
    return Bounds(
        basis,
        span,
        order,
        rows,
        np.empty(n_rows, dtype=X.dtype),
        np.zeros(n_rows, dtype=np.uint8),
        np.empty((n_rows, -(-n_bounds // NEAR) * NEAR), dtype=X.dtype),
        np.zeros(n_bounds),
        np.zeros(1),
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
