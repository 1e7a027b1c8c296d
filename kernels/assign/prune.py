"""Exact pruning for `assign`: few projected columns rule out most centroids of a row.

With an orthonormal basis Q of R directions, z = Q^T x' and the tail t = |x' - Q z|::

    |x' - c'|^2 >= |z_x - z_c|^2 + (t_x - t_c)^2 = |y_x - y_c|^2        y = (z, t)

A centroid whose bound exceeds the distance of the row to its own centroid cannot be nearest. For
each row and each few near centroids the bound is kept, and lowered by the way that centroids move
from pass to pass. Rounding is bounded all along (`Bounds.slack`, and csrc/prune.hpp), and close
calls are scored in the order of `assign`, so its labels come out to the bit whatever the basis.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from unsup_fast.kernels._check import Array
from unsup_fast.kernels._dispatch import native

NEAR = 16  # centroids of a group, as in csrc/prune-inl.h
SAMPLE = 2048  # rows that choose the basis
COUNTS = (15, 31, 63, 127, 191)  # directions that `choose` tries
# Costs in multiply-adds of the dense kernel, measured on MNIST and sentence embeddings: a projected
# column and the comparison of a centroid; a column of the distance to the own centroid; a column of
# a survivor and what it costs beside; a row. CODED: a column as a byte.
CODED = 0.3
PROJECTED, COMPARED, OWN, SURVIVING, SURVIVOR, ROW = 3.0, 60.0, 32.0, 20.0, 4000.0, 10000.0
# Shares, on average over the passes of a run, of what a pass without bounds does.
ACTIVE, SURVIVE = 0.3, 0.12
MOST_CODED = 32768  # columns, as in csrc/prune.hpp
COUNTED = 256  # rows whose survivors `choose` counts
CLOSE = 2.0  # times the least cost of directions that codes may have without these being tried
WORTH = 0.75  # share of the dense pass's cost that a pruned one may have


@dataclass(frozen=True)
class Basis:
    """Directions in which rows differ most, in order."""

    directions: Array
    """[R, D], type of X, orthonormal up to `defect`."""
    defect: float
    """How far the directions are from orthonormal: |Q Q^T - I| in the Frobenius norm."""
    shift: Array
    """[D], type of X: subtracted from rows and centroids."""
    scale: float
    """Power of two that rows less the shift are multiplied by, so that they are near one."""

    @property
    def coded(self) -> bool:
        """Whether there are no directions: rows are scored as bytes, in all columns."""
        return len(self.directions) == 0

    def first(self, count: int) -> "Basis":
        """Return the basis of the first `count` directions."""
        return replace(self, directions=self.directions[:count])


@dataclass(frozen=True)
class Rows:
    """Rows as they are scored: y in the columns of a basis, or as bytes, y = unit * codes."""

    projected: Array | None
    """[N, R + 1], type of X: the rows in the columns of the basis, and their tail."""
    codes: Array | None
    """[N, C] int8: the rows in all columns; C is D rounded up to a multiple of 4."""
    unit: Array | None
    """[N], type of X."""
    start: Array | None
    """[N] int32: -128 times the sum of the codes."""
    squares: Array
    """[N] float64: |y|^2."""
    slack: Array
    """[N] float64: how far y may be from the truth."""


def frame(X: Array, shift: Array) -> Basis:
    """Return the basis that has no directions."""
    return _frame(_sample(X, shift), shift)


def _sample(X: Array, shift: Array) -> Array:
    """Return evenly spaced rows less the shift."""
    rows: Array = X[:: max(1, len(X) // SAMPLE)][:SAMPLE] - shift  # [M, D]
    return rows


def _frame(rows: Array, shift: Array) -> Basis:
    largest = float(np.abs(rows).max(initial=0))
    exponent = max(int(np.frexp(largest)[1]), int(np.finfo(rows.dtype).minexp))
    scale = 2.0**-exponent if largest > 0 else 1.0
    return Basis(np.empty((0, rows.shape[1]), dtype=rows.dtype), 0.0, shift, scale)


def basis(X: Array, shift: Array) -> Basis:
    """Find leading principal directions of evenly spaced rows, by subspace iteration.

    Halko, Martinsson & Tropp, "Finding structure with randomness", SIAM Review 53 (2011),
    algorithm 4.4. Any orthonormal basis is valid; a better one only prunes more.
    """
    rows = _sample(X, shift)  # [M, D]
    n_columns = X.shape[1]
    plain = _frame(rows, shift)
    rows *= X.dtype.type(plain.scale)
    count = min(COUNTS[-1], n_columns, len(rows))
    start = np.random.default_rng(0).standard_normal((n_columns, count))
    found = start.astype(X.dtype)  # [D, R]
    for _ in range(2):
        found = np.linalg.qr(rows.T @ (rows @ found))[0]
    # Turn the subspace so that its leading directions come first.
    inside = rows @ found  # [M, R]
    turn = np.linalg.eigh(inside.T @ inside)[1][:, ::-1]
    directions = np.ascontiguousarray((found @ turn).T, dtype=X.dtype)
    exact = directions.astype(np.float64)
    defect = float(np.linalg.norm(exact @ exact.T - np.eye(count)))
    return replace(plain, directions=directions, defect=defect)


def _cost(n_clusters: int, n_columns: int, count: int, survivors: float) -> float:
    """Return the cost of a row; `count` is 0 for codes."""
    scored = PROJECTED * (count + 1) if count else CODED * n_columns
    projected = ACTIVE * n_clusters * (scored + COMPARED)
    full = SURVIVE * survivors * (SURVIVING * n_columns + SURVIVOR)
    return projected + OWN * n_columns + full + ROW


def may_pay(n_clusters: int, n_columns: int) -> bool:
    """Whether a pass could be cheaper than the dense one if nearly nothing survived."""
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
    assert rows.codes is not None and rows.unit is not None
    return rows.codes * rows.unit[:, None]  # [M, C]


def _distances(y: Array, y_squares: Array, z: Array, z_squares: Array) -> Array:
    return np.sqrt(np.maximum(y_squares[:, None] + z_squares - 2 * (y @ z.T), 0))  # [M, K]


@dataclass
class Bounds:
    """What is known of rows and centroids from pass to pass; csrc/prune.hpp says what it means."""

    basis: Basis
    span: int
    """Groups of `NEAR` places to a bound."""
    cluster: Array
    """[K] int32: which centroid stands in each place."""
    rows: Rows
    upper: Array
    """[N], type of X: distance that a centroid must keep so as not to be nearest."""
    tight: Array
    """[N] uint8: whether the centroid of the row's label has not moved since `upper` was found."""
    lower: Array
    """[N, W], type of X: distance of the nearest other centroid of each bound, plus `moved`; W is B
    rounded up to a multiple of `NEAR`, with infinity past B."""
    moved: Array
    """[B] float64: how far the centroids of each bound have moved."""
    reach: Array
    """[1] float64: no centroid was longer."""
    before: Array | None = None
    """[K, D]: centroids of the pass before; None if no bounds are known yet."""
    work: tuple[int, int, int] = (0, 0, 0)
    """Of the last pass: rows whose distance to their own centroid was computed, pairs of a row and
    a group scored in the projected columns, pairs of a row and a centroid scored in all columns."""


def bounds(X: Array, centers: Array, basis: Basis, n_threads: int) -> Bounds:
    """Project or encode the rows of X, and put the centroids into places, near ones together."""
    n_rows, n_columns = X.shape
    span, n_bounds = _spread(n_columns, len(centers), _width(n_columns, basis))
    if basis.coded:
        rows = encode_rows(X, basis, n_threads)
        order = places(centers)
    else:
        projected, squares, slack = project_rows(X, basis, n_threads)
        rows = Rows(projected, None, None, None, squares, slack)
        order = places(project_rows(centers, basis, n_threads)[0])
    return Bounds(
        basis,
        span,
        order,
        rows,
        np.empty(n_rows, dtype=X.dtype),
        np.zeros(n_rows, dtype=np.uint8),
        np.full((n_rows, -(-n_bounds // NEAR) * NEAR), np.inf, dtype=X.dtype),
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


def places(projected: Array) -> Array:
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
        column = values[:, int(values.var(axis=0).argmax())]
        half = -(-(end - start) // NEAR) // 2 * NEAR
        order[start:end] = members[np.argsort(column, kind="stable")]
        parts += [(start, start + half), (start + half, end)]
    return order


def project_rows(X: Array, basis: Basis, n_threads: int) -> tuple[Array, Array, Array]:
    """Return projected rows [N, R + 1], their squared lengths and their slack.

    The computed z is off by at most e = (sqrt(R) (D + 2) u + defect) |x| (Higham 2002, 3.5, and
    the distance of Q to an orthonormal basis); the squared tail |x|^2 - |z|^2 then by
    d = e (2 |x| + e) + (D + 2) u |x|^2, and the tail by min(sqrt(d), d / tail). What underflows
    is below 1e-18 a column.
    """
    count, n_columns = basis.directions.shape
    roundoff = np.finfo(X.dtype).eps / 2
    y = np.empty((len(X), count + 1), dtype=X.dtype)
    total = np.empty(len(X), dtype=X.dtype)
    native().project(X, basis.directions, basis.shift, basis.scale, y, total, n_threads)
    square = total.astype(np.float64)  # [N] |x|^2
    z = y[:, :count]
    inner = np.einsum("ij,ij->i", z, z, dtype=np.float64)  # [N] |z|^2
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        length = 1.01 * np.sqrt(square)
        error = (1.01 * np.sqrt(count) * (n_columns + 2) * roundoff + basis.defect) * length
        unsure = error * (2 * length + error) + (n_columns + 2) * roundoff * length**2
        tail = np.sqrt(np.maximum(square - inner, 0))
        tail_error = np.minimum(np.sqrt(unsure), np.where(tail > 0, unsure / tail, np.inf))
    y[:, count] = tail
    slack = 1.01 * (error + tail_error + roundoff * length) + 1e-18 * np.sqrt(n_columns)
    return y, inner + y[:, count].astype(np.float64) ** 2, slack


def encode_rows(X: Array, basis: Basis, n_threads: int) -> Rows:
    """Return the rows of X, less the shift and times the scale, as bytes with a unit each."""
    n_rows, n_columns = X.shape
    codes = np.empty((n_rows, -(-n_columns // 4) * 4), dtype=np.int8)
    unit = np.empty(n_rows, dtype=X.dtype)
    start = np.empty(n_rows, dtype=np.int32)
    squares, slack = np.empty(n_rows), np.empty(n_rows)
    native().encode(X, basis.shift, basis.scale, codes, unit, start, squares, slack, n_threads)
    return Rows(None, codes, unit, start, squares, slack)
