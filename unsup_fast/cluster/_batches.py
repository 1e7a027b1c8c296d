"""Random rows: those of a mini-batch, and those that starting centroids are chosen from."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from unsup_fast._rows.directions import COST, unit_rows
from unsup_fast.blocks import Source
from unsup_fast.cluster import _init
from unsup_fast.cluster._lloyd import Problem
from unsup_fast.cluster._pruning import Passes

Array = npt.NDArray[Any]


class Rows(Protocol):
    """Rows that mini-batches are drawn from."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    def take(self, indices: Array) -> Any:
        """Return the rows [B, D] of these indices, C-contiguous or CSR, float32 or float64."""


class Memory:
    """Rows of an array or a CSR matrix, as `Rows`."""

    def __init__(self, X: Any) -> None:
        self.n_rows: int = X.shape[0]
        self._X = X

    def take(self, indices: Array) -> Any:
        """Return the rows [B, D] of these indices."""
        return self._X[indices] if sp.issparse(self._X) else self._X.take(indices, axis=0)


def rows_of(X: Any) -> Rows:
    """Return an array, a CSR matrix or a source as `Rows`."""
    return X if isinstance(X, Source) else Memory(X)


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
    problem: Problem,
    rows: Rows,
    init: Any,
    n_clusters: int,
    init_size: int,
    random_state: np.random.RandomState,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Return starting centroids [K, D] chosen from `init_size` random rows.

    Rows of a subset that has too few with a weight are drawn again, from those with one.
    """
    weight, n_rows = problem.passes.sample_weight, rows.n_rows
    if init_size < n_rows:
        chosen = random_state.randint(0, n_rows, init_size)
        if weight is not None and np.count_nonzero(weight[chosen]) < n_clusters:
            weighty = np.flatnonzero(weight)
            chosen = weighty[random_state.randint(0, len(weighty), init_size)]
        problem = replace(problem, passes=_part(problem, rows, chosen))
    centers = _init.start(problem, init, n_clusters, random_state, progress)
    return unit_rows(centers, name="init") if problem.metric == "cosine" else centers


def best_start(
    problem: Problem,
    rows: Rows,
    init: Any,
    n_clusters: int,
    init_size: int,
    random_state: np.random.RandomState,
    n_init: int,
    verbose: bool,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Return the starting centroids of least inertia on `init_size` random rows."""
    chosen = random_state.randint(0, rows.n_rows, init_size)
    make = partial(start, problem, rows, init, n_clusters, init_size, random_state, progress)
    if n_init == 1 and not verbose:
        return make()
    some = _part(problem, rows, chosen)
    best, lowest = None, np.inf
    for number in range(1, n_init + 1):
        if verbose:
            print(f"Init {number}/{n_init} with method {init}")
        centers = make()
        labels = np.full(init_size, -1, dtype=np.int32)
        inertia = some.finish(centers, labels, False)[0] * COST[problem.metric]
        if verbose:
            print(f"Inertia for init {number}/{n_init}: {inertia}")
        if best is None or inertia < lowest:
            best, lowest = centers, inertia
    assert best is not None
    return best


def _part(problem: Problem, rows: Rows, chosen: Array) -> Passes:
    passes = problem.passes
    weight = None if passes.sample_weight is None else passes.sample_weight[chosen]
    return Passes(rows.take(chosen), passes.shift, weight, passes.n_threads, False)
