"""Whether pruning pays, and what rows are scored by: bytes or numbers, in the columns of a basis.

Sampled rows say how many centroids the bounds would leave; costs measured on real data say which
pass is the cheapest. Nothing here changes a result.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.prune import native
from unsup_fast.kernels.prune.columns import MOST, encode_rows, frame, project_rows
from unsup_fast.kernels.prune.records import Basis, ScoredRows

COUNTS = (15, 31, 63, 127, MOST)
"""Numbers of directions that `choose_basis` tries."""
# Costs in multiply-adds of the dense kernel, measured on MNIST and sentence embeddings: the
# comparison of a centroid; a column of the distance to the own centroid; a column of a survivor and
# its fixed cost; a row. COLUMN: a column in which a centroid is scored, by `_products`.
COLUMN = {0: 3.0, 2: 1.2, 4: 0.3}
COMPARED, OWN, SURVIVING, SURVIVOR, ROW = 60.0, 32.0, 20.0, 4000.0, 10000.0
# Shares, on average over the passes of a run, of what a pass without bounds does.
ACTIVE, SURVIVE = 0.3, 0.12
MOST_CODED = 32768  # columns, as in csrc/prune
COUNTED = 256  # rows whose survivors `choose_basis` counts
CLOSE = 2.0  # times the least cost of directions that codes may have without these being tried
WORTH = 0.75  # share of the dense pass's cost that a pruned one may have


def _products(dtype: np.dtype[Any]) -> int:
    """Return how many products of bytes an instruction sums; 0 where numbers are faster."""
    products = native.byte_products()
    return products if products > 1 and dtype == np.float32 else 0


def _cost(n_clusters: int, n_columns: int, width: int, products: int, survivors: float) -> float:
    """Return the cost of a row of `width` scored columns."""
    scored = ACTIVE * n_clusters * (COLUMN[products] * width + COMPARED)
    full = SURVIVE * survivors * (SURVIVING * n_columns + SURVIVOR)
    return scored + OWN * n_columns + full + ROW


def may_pay(n_clusters: int, n_columns: int, dtype: np.dtype[Any]) -> bool:
    """Return whether a pass could be cheaper than the dense one if nearly nothing survived."""
    products = _products(dtype)
    width = min(COUNTS[0], n_columns) if products else COUNTS[0]
    if not products and 2 * width > n_columns:
        return False
    least = _cost(n_clusters, n_columns, width + 1, products, 1.0)
    return least < WORTH * n_clusters * n_columns


def choose_basis(X: Array, centers: Array, shift: Array, find: Callable[[], Basis]) -> Basis | None:
    """Return what makes the cheapest pass, or None if that is the dense one.

    Codes of all columns are tried first, and taken where directions could not be much better; else
    `find` is asked for the `basis`. Survivors are counted on evenly spaced rows.
    """
    step = max(1, len(X) // COUNTED)
    rows = np.ascontiguousarray(X[::step])  # [M, D]
    n_clusters, n_columns = centers.shape
    products = _products(X.dtype)

    def cost(width: int, survivors: float) -> float:
        return _cost(n_clusters, n_columns, width, products, survivors)

    known = np.sqrt(_distances_to_nearest(rows, centers, shift))  # [M]
    best, cheapest = None, WORTH * n_clusters * n_columns
    if products and n_columns <= MOST_CODED:
        coded = frame(X, shift)
        all_columns = cost(n_columns, _survivors(rows, centers, coded, known))
        if all_columns < cheapest:
            best, cheapest = coded, all_columns
    if cheapest < CLOSE * cost(COUNTS[0] + 1, 1.0):
        return best
    basis = find()
    for count in COUNTS:
        least = cost(count + 1, 1.0)
        if 2 * count > n_columns or count > len(basis.directions) or least > cheapest:
            break
        candidate = basis.first(count, coded=products > 0)
        total = cost(count + 1, _survivors(rows, centers, candidate, known))
        if total < cheapest:
            best, cheapest = candidate, total
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
    return decoded if rows.tail is None else np.column_stack([decoded, rows.tail])


def _distances(y: Array, y_squares: Array, z: Array, z_squares: Array) -> Array:
    squares = y_squares[:, None] + z_squares - 2 * (y @ z.T)  # [M, K]
    distances: Array = np.sqrt(np.maximum(squares, 0))
    return distances
