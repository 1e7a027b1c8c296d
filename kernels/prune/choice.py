"""Whether pruning pays, and what rows are scored by: bytes or numbers, in the columns of a basis.

Sampled rows say how many centroids the bounds would leave; costs measured on real data say which
pass is the cheapest. Nothing here changes a result.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from unsup_fast.kernels._dispatch import is_native
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.prune import native
from unsup_fast.kernels.prune.columns import MOST, MOST_CODED, encode_rows, frame, project_rows
from unsup_fast.kernels.prune.records import Basis, ScoredRows

COUNTS = (15, 31, 63, 127, MOST)
"""Numbers of directions that `choose_basis` tries."""


class Costs(NamedTuple):
    """Costs in multiply-adds of the dense kernel, and shares of what a pass without bounds does.

    Those of two products are from least squares over the passes of runs on MNIST (k = 100, 1000)
    and on sentence embeddings (Zen 3, AVX2), whose time they predict to 10 %. The others were
    fitted by hand on Zen 5, before there were fine codes: `refined` is an estimate there.
    """

    column: float
    """A column in which a centroid is scored."""
    compared: float
    """A centroid that is scored, whatever the columns."""
    own: float
    """A column of the distance to the own centroid."""
    refined: float
    """A survivor that is scored by fine codes, of which few are left."""
    surviving: float
    """A column of any other survivor."""
    survivor: float
    """Such a survivor, whatever the columns."""
    row: float
    active: float
    """Share of the centroids that are scored, on average over the passes of a run."""
    survive: float
    """Survivors of such a pass, as a share of those of the first one."""


COSTS = {  # by `_products`
    0: Costs(
        column=3.0,
        compared=60.0,
        own=32.0,
        refined=0.0,
        surviving=20.0,
        survivor=4000.0,
        row=10000.0,
        active=0.3,
        survive=0.12,
    ),
    2: Costs(
        column=0.47,
        compared=135.0,
        own=25.0,
        refined=1800.0,
        surviving=2.6,
        survivor=0.0,
        row=0.0,
        active=0.5,
        survive=0.2,
    ),
    4: Costs(
        column=0.3,
        compared=60.0,
        own=32.0,
        refined=2500.0,
        surviving=20.0,
        survivor=4000.0,
        row=10000.0,
        active=0.3,
        survive=0.12,
    ),
}
COUNTED = 256  # rows whose survivors `choose_basis` counts
LEFT = 3.0  # survivors of a row, at most, that fine codes leave
CLOSE = 1.3  # times the least cost of directions that codes may have without these being tried
WORTH = 0.75  # share of the dense pass's cost that a pruned one may have


def _products(dtype: np.dtype[Any]) -> int:
    """Return how many products of bytes an instruction sums; 0 where numbers are faster."""
    products = native.byte_products()
    return products if products > 1 and dtype == np.float32 else 0


def _cost(
    n_clusters: int, n_columns: int, count: int | None, products: int, survivors: float
) -> float:
    """Return the cost of a row that is scored in `count` directions, or in all columns if None."""
    costs = COSTS[products]
    width = n_columns if count is None else count + 1
    scored = costs.active * n_clusters * (costs.column * width + costs.compared)
    full = costs.surviving * n_columns + costs.survivor
    if products and count is not None and n_columns <= MOST_CODED:
        settled = costs.survive * (survivors * costs.refined + min(survivors, LEFT) * full)
    else:
        settled = costs.survive * survivors * full
    return scored + costs.own * n_columns + settled + costs.row


def may_pay(n_clusters: int, n_columns: int, dtype: np.dtype[Any]) -> bool:
    """Return whether a pass could be cheaper than the dense one if nearly nothing survived.

    There is no portable pass with bounds.
    """
    if not is_native():
        return False
    least, products = WORTH * n_clusters * n_columns, _products(dtype)
    coded = products > 0 and n_columns <= MOST_CODED
    if coded and _cost(n_clusters, n_columns, None, products, 1.0) < least:
        return True
    fewest = COUNTS[0]
    return 2 * fewest <= n_columns and (_cost(n_clusters, n_columns, fewest, products, 1.0) < least)


def choose_basis(X: Array, centers: Array, shift: Array, find: Callable[[], Basis]) -> Basis | None:
    """Return what makes the cheapest pass, or None if that is the dense one.

    Codes of all columns are tried first, and taken where directions could not be much better; else
    `find` is asked for the `basis`. Survivors are counted on evenly spaced rows.
    """
    rows = _counted(X)  # [M, D]
    n_clusters, n_columns = centers.shape
    products = _products(X.dtype)

    def cost(count: int | None, survivors: float) -> float:
        return _cost(n_clusters, n_columns, count, products, survivors)

    known = np.sqrt(_distances_to_nearest(rows, centers, shift))  # [M]
    best, cheapest = None, WORTH * n_clusters * n_columns
    if products and n_columns <= MOST_CODED:
        coded = frame(X, shift)
        all_columns = cost(None, _survivors(rows, centers, coded, known))
        if all_columns < cheapest:
            best, cheapest = coded, all_columns
    if cheapest < CLOSE * cost(COUNTS[0], 1.0):
        return best
    basis = find()
    for count in COUNTS:
        least = cost(count, 1.0)
        if 2 * count > n_columns or count > len(basis.directions) or least > cheapest:
            break
        candidate = basis.first(count, coded=products > 0)
        total = cost(count, _survivors(rows, centers, candidate, known))
        if total < cheapest:
            best, cheapest = candidate, total
    return best


def pays(X: Array, centers: Array, shift: Array, basis: Basis) -> bool:
    """Return whether passes with these bounds are cheaper than dense ones, for later centroids.

    The first centroids may be rows far from each other while the means of their clusters are not:
    on noise few survive the first pass, and nearly all the second.
    """
    rows = _counted(X)  # [M, D]
    known = np.sqrt(_distances_to_nearest(rows, centers, shift))  # [M]
    count = len(basis.directions) or None
    survivors = _survivors(rows, centers, basis, known)
    n_clusters, n_columns = centers.shape
    cost = _cost(n_clusters, n_columns, count, _products(X.dtype), survivors)
    least: float = WORTH * n_clusters * n_columns
    return cost < least


def _counted(X: Array) -> Array:
    """Return the evenly spaced rows [M, D] whose survivors are counted."""
    return np.ascontiguousarray(X[:: max(1, len(X) // COUNTED)])


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
