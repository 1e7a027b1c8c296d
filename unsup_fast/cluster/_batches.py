"""Random rows: those of a mini-batch, and those that starting centroids are chosen from."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from unsup_fast._rows.directions import COST, unit_rows
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster import _init
from unsup_fast.kernels._types import Array


class Draws:
    """Draws rows by weight, the same as ``RandomState.choice(n_rows, size, p=share)`` draws.

    The cumulative distribution is computed once, not in each draw. With equal weights, or nearly
    so, the index of a row follows from the draw itself, without a search.

    Parameters
    ----------
    n_rows : int
    sample_weight : ndarray of shape (n_rows,), optional
    dtype : dtype
        Type of X, in which scikit-learn divides the weights by their sum.
    """

    def __init__(self, n_rows: int, sample_weight: Array | None, dtype: Any) -> None:
        weight = np.ones(n_rows, dtype) if sample_weight is None else sample_weight
        with np.errstate(over="ignore"):
            total = weight.sum()
        share = weight / (total if np.isfinite(total) else weight.sum(dtype=np.float64))
        self._cumulated = np.cumsum(share, dtype=np.float64)  # [N]
        self._cumulated /= self._cumulated[-1]

    def __call__(self, random_state: np.random.RandomState, size: int) -> Array:
        """Return `size` indices, int64."""
        cumulated = self._cumulated
        draws = random_state.random_sample(size)  # [B]
        rows = np.minimum((draws * len(cumulated)).astype(np.int64), len(cumulated) - 1)
        # cumulated[-1] is 1, so that row 0 counts as missed and is searched for.
        missed = np.flatnonzero((draws >= cumulated[rows]) | (draws < cumulated[rows - 1]))
        missed = missed[np.argsort(draws[missed])]  # in order, the search stays in cache
        rows[missed] = cumulated.searchsorted(draws[missed], side="right")
        return rows


def start(
    rows: Rows,
    init: Any,
    n_clusters: int,
    init_size: int,
    random_state: np.random.RandomState,
    metric: str,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Return starting centroids [K, D] chosen from `init_size` random rows.

    Rows of a subset that has too few with a weight are drawn again, from those with one.
    """
    weight, n_rows = rows.to_host(rows.sample_weight), rows.n_rows
    if init_size < n_rows:
        chosen = random_state.randint(0, n_rows, init_size)
        if weight is not None and np.count_nonzero(weight[chosen]) < n_clusters:
            weighty = np.flatnonzero(weight)
            chosen = weighty[random_state.randint(0, len(weighty), init_size)]
        rows = rows.subset(chosen)
    centers: Array = _init.start(rows, init, n_clusters, random_state, progress)
    return unit_rows(centers, name="init") if metric == "cosine" else centers


def best_start(
    rows: Rows,
    init: Any,
    n_clusters: int,
    init_size: int,
    random_state: np.random.RandomState,
    metric: str,
    n_init: int,
    verbose: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Return the starting centroids of least inertia on `init_size` random rows."""
    chosen = random_state.randint(0, rows.n_rows, init_size)
    make = partial(start, rows, init, n_clusters, init_size, random_state, metric, progress)
    if n_init == 1 and not verbose:
        return make()
    subset = rows.subset(chosen)
    best, lowest = None, np.inf
    for number in range(1, n_init + 1):
        if verbose:
            print(f"Init {number}/{n_init} with method {init}")
        centers = make()
        inertia = subset.assign(centers, update=False).inertia * COST[metric]
        if verbose:
            print(f"Inertia for init {number}/{n_init}: {inertia}")
        if best is None or inertia < lowest:
            best, lowest = centers, inertia
    assert best is not None
    return best
