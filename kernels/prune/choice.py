"""Whether pruning pays, and what rows are scored by: bytes, or the columns of a basis.

Sampled rows say how many centroids the bounds would leave; costs measured on real data say which
pass is the cheapest. Nothing here changes a result.
"""

from collections.abc import Callable

import numpy as np

from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.prune import native
from unsup_fast.kernels.prune.columns import MOST, encode_rows, frame, project_rows
from unsup_fast.kernels.prune.records import Basis, ScoredRows

COUNTS = (15, 31, 63, 127, MOST)
"""Numbers of directions that `choose_basis` tries."""
# Costs in multiply-adds of the dense kernel, measured on MNIST and sentence embeddings: a projected
# column and the comparison of a centroid; a column of the distance to the own centroid; a column of
# a survivor and its fixed cost; a row. CODED: a column as a byte.
CODED = 0.3
PROJECTED, COMPARED, OWN, SURVIVING, SURVIVOR, ROW = 3.0, 60.0, 32.0, 20.0, 4000.0, 10000.0
# Shares, on average over the passes of a run, of what a pass without bounds does.
ACTIVE, SURVIVE = 0.3, 0.12
MOST_CODED = 32768  # columns, as in csrc/prune
COUNTED = 256  # rows whose survivors `choose_basis` counts
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
    if native.has_byte_products() and _cost(n_clusters, n_columns, 0, 1.0) < least:
        return True
    fewest = COUNTS[0]
    return 2 * fewest <= n_columns and _cost(n_clusters, n_columns, fewest, 1.0) < least


def choose_basis(X: Array, centers: Array, shift: Array, find: Callable[[], Basis]) -> Basis | None:
    """Return what makes the cheapest pass, or None if that is the dense one.

    Codes are tried first, and taken where directions could not be much better; else `find` is
    asked for the `basis`. Survivors are counted on evenly spaced rows.
    """
    step = max(1, len(X) // COUNTED)
    rows = np.ascontiguousarray(X[::step])  # [M, D]
    n_clusters, n_columns = centers.shape
    known = np.sqrt(_distances_to_nearest(rows, centers, shift))  # [M]
    best, cheapest = None, WORTH * n_clusters * n_columns
    if native.has_byte_products() and X.dtype == np.float32 and n_columns <= MOST_CODED:
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


def _distances_to_nearest(rows: Array, centers: Array, shift: Array) -> Array:
    """Return the squared distance [M] of each row to its nearest centroid, in float64."""
    assigned = assign(rows, centers, shift=shift, update=False, return_distances=True, n_threads=1)
    assert assigned.distances is not None
    return assigned.distances.astype(np.float64)


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


def _decoded(rows: ScoredRows) -> Array:
    assert rows.codes is not None
    assert rows.unit is not None
    decoded: Array = rows.codes * rows.unit[:, None]  # [M, C]
    return decoded


def _distances(y: Array, y_squares: Array, z: Array, z_squares: Array) -> Array:
    squares = y_squares[:, None] + z_squares - 2 * (y @ z.T)  # [M, K]
    distances: Array = np.sqrt(np.maximum(squares, 0))
    return distances
