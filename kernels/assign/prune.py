"""Exact pruning for `assign`: few projected columns rule out most centroids of a row.

With an orthonormal basis Q of R directions, z = Q^T x' and the tail t = |x' - Q z|::

    |x' - c'|^2 >= |z_x - z_c|^2 + (t_x - t_c)^2 = |y_x - y_c|^2        y = (z, t)

A centroid whose bound exceeds the distance of the row to the centroid of its old label cannot be
nearest. Rounding is bounded on the way (`Projection.slack`, and csrc/prune.hpp), and close calls
are scored in the order of `assign`, so its labels come out to the bit whatever the basis.
"""

from dataclasses import dataclass, replace

import numpy as np

from unsup_fast.kernels._check import Array
from unsup_fast.kernels._dispatch import native

SAMPLE = 2048  # rows that choose the basis
COUNTS = (15, 31, 63, 127)  # directions that `choose` tries
# Costs in multiply-adds of the dense kernel, measured on MNIST and sentence embeddings: a projected
# column and the comparison of a centroid; a column of the distance to the old centroid; a column of
# a survivor and what it costs beside; a row.
PROJECTED, COMPARED, OWN, SURVIVING, SURVIVOR, ROW = 1.4, 16.0, 16.0, 2.6, 500.0, 6000.0
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

    def first(self, count: int) -> "Basis":
        """Return the basis of the first `count` directions."""
        return replace(self, directions=self.directions[:count])


def basis(X: Array, shift: Array) -> Basis:
    """Find leading principal directions of evenly spaced rows, by subspace iteration.

    Halko, Martinsson & Tropp, "Finding structure with randomness", SIAM Review 53 (2011),
    algorithm 4.4. Any orthonormal basis is valid; a better one only prunes more.
    """
    n_rows, n_columns = X.shape
    step = max(1, n_rows // SAMPLE)
    rows = X[::step][:SAMPLE] - shift  # [M, D]
    largest = float(np.abs(rows).max(initial=0))
    scale = 2.0 ** -np.frexp(largest)[1] if largest > 0 else 1.0
    rows *= X.dtype.type(scale)
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
    return Basis(directions, defect, shift, scale)


def _cost(n_clusters: int, n_columns: int, count: int, survivors: float) -> float:
    projected = n_clusters * (PROJECTED * (count + 1) + COMPARED) + OWN * n_columns
    return projected + survivors * (SURVIVING * n_columns + SURVIVOR) + ROW


def may_pay(n_clusters: int, n_columns: int) -> bool:
    """Whether a pass could be cheaper than the dense one if nearly nothing survived."""
    fewest = COUNTS[0]
    if 2 * fewest > n_columns:
        return False
    return _cost(n_clusters, n_columns, fewest, 1.0) < WORTH * n_clusters * n_columns


def choose(X: Array, centers: Array, labels: Array, basis: Basis) -> Basis | None:
    """Return as many directions as make the cheapest pass, or None if the dense pass is.

    Survivors are counted on evenly spaced rows, from the labels of the pass before.
    """
    step = max(1, len(X) // 512)
    rows = np.ascontiguousarray(X[::step])  # [M, D]
    n_clusters, n_columns = centers.shape
    y, y_squares, _ = project_rows(rows, basis, 1)
    c, c_squares, _ = project_rows(centers, basis, 1)
    own = (rows.astype(np.float64) - centers[labels[::step]]) * basis.scale
    known = (own**2).sum(axis=1)[:, None]  # [M, 1]
    best, cheapest = None, WORTH * n_clusters * n_columns
    for count in COUNTS:
        if 2 * count > n_columns or count > len(basis.directions):
            break
        z, w = y[:, :count].astype(np.float64), c[:, :count].astype(np.float64)
        tail = np.sqrt(np.maximum(y_squares - (z**2).sum(axis=1), 0))  # [M]
        c_tail = np.sqrt(np.maximum(c_squares - (w**2).sum(axis=1), 0))  # [K]
        bound = y_squares[:, None] + c_squares - 2 * (z @ w.T + np.outer(tail, c_tail))  # [M, K]
        survivors = np.count_nonzero(bound <= known) / len(rows)
        cost = _cost(n_clusters, n_columns, count, survivors)
        if cost < cheapest:
            best, cheapest = basis.first(count), cost
    return best


@dataclass
class Projection:
    """Rows in the columns of a basis and their tail, kept from pass to pass."""

    basis: Basis
    rows: Array
    """[N, R + 1], type of X."""
    squares: Array
    """[N] float64: squared length of each projected row."""
    slack: Array
    """[N] float64: how far a projected row may be from the truth."""
    survivors: int = 0
    """Row-centroid pairs that the last pass scored in all columns."""


def project(X: Array, basis: Basis, n_threads: int) -> Projection:
    """Project the rows of X."""
    return Projection(basis, *project_rows(X, basis, n_threads))


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
