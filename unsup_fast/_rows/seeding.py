"""Starting rows chosen from a source of blocks by greedy k-means++."""

from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast._rows.draws import draw, masses_of
from unsup_fast.blocks import Source
from unsup_fast.kernels.kmeans_plusplus import candidate_potentials, pow2_scale

Array = npt.NDArray[Any]
Measure = Callable[[Array, Array, Array, Array | None], tuple[Array, Array]]

IMPROVED = 128 << 20  # bytes of a round's shorter distances that are cached, to save a second pass


def parts(X: Source) -> Iterator[tuple[slice, Any]]:
    """Yield the blocks of a source, each with the slice of its rows."""
    with closing(X.blocks()) as blocks:
        for row, block in blocks:
            yield slice(row, row + len(block)), block


def kmeans_plusplus(
    X: Source,
    n_clusters: int,
    random_state: np.random.RandomState,
    *,
    sample_weight: Array | None,
    n_local_trials: int | None = None,
    n_threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Array:
    """Choose rows of a source by greedy k-means++, in one pass over the blocks a round.

    Draws and candidates are those of `kernels.kmeans_plusplus`; distances are too, up to a power of
    two. Memory holds two numbers a row, and the distances that a candidate of the round would
    shorten, up to 128 MiB of them; if there are more, as in the first rounds on much data, the
    round takes a second pass.

    Parameters
    ----------
    X : Source
    n_clusters : int
    random_state : RandomState
    sample_weight : ndarray of shape (N,), type of X, or None
    n_local_trials : int, optional
        Candidates T of a round; None takes ``2 + int(log(n_clusters))``.
    n_threads : int, optional
    progress : callable, optional
        Called after each round with the number of rows chosen and `n_clusters`.

    Returns
    -------
    ndarray of shape (n_clusters,), int64
    """
    trials = 2 + int(np.log(n_clusters)) if n_local_trials is None else n_local_trials
    chosen = np.empty(n_clusters, dtype=np.int64)
    chosen[:1] = draw(masses_of(sample_weight, X.n_rows), 1, random_state)
    closest = np.full(X.n_rows, np.inf, X.dtype)  # [N]
    first = X.take(chosen[:1])  # [1, D]
    spread = X.moments.max_abs_about(first).max()
    measure = partial(candidate_potentials, scale=pow2_scale(spread, X.dtype), n_threads=n_threads)
    potential = _shorten(X, first, closest, sample_weight, measure)
    if progress is not None:
        progress(1, n_clusters)
    cumulated = np.empty(X.n_rows)
    for k in range(1, n_clusters):
        draws = random_state.uniform(size=trials) * potential
        weighted = closest if sample_weight is None else sample_weight * closest
        np.cumsum(weighted, dtype=np.float64, out=cumulated)
        candidates = np.minimum(np.searchsorted(cumulated, draws), X.n_rows - 1)  # [T]
        rows = X.take(candidates)  # [T, D]
        best, potential, shorter = _compare(X, rows, closest, sample_weight, measure)
        chosen[k] = candidates[best]
        if shorter is None:
            _shorten(X, rows[best : best + 1], closest, sample_weight, measure)
        else:
            for start, where, distances in shorter:
                closest[start + where] = distances
        if progress is not None:
            progress(k + 1, n_clusters)
    return chosen


def _shorten(
    X: Source, row: Array, closest: Array, sample_weight: Array | None, measure: Measure
) -> float:
    """Lower `closest` [N] to the squared distance to a row [1, D]; return its sum."""
    potential = 0.0
    for part, block in parts(X):
        weight = None if sample_weight is None else sample_weight[part]
        distances, sums = measure(block, row, closest[part], weight)
        closest[part] = distances[0]
        potential += float(sums[0])
    return potential


def _compare(
    X: Source, candidates: Array, closest: Array, sample_weight: Array | None, measure: Measure
) -> tuple[int, float, list[tuple[int, Array, Array]] | None]:
    """Return the best candidate, the potential with it, and the distances that it shortens.

    The distances are (first row of a block, rows of the block, distances), or None if there were
    too many to store those of every candidate.
    """
    potentials = np.zeros(len(candidates))  # [T]
    shorter: list[list[tuple[int, Array, Array]]] | None = [[] for _ in candidates]
    room = IMPROVED
    for part, block in parts(X):
        weight = None if sample_weight is None else sample_weight[part]
        distances, sums = measure(block, candidates, closest[part], weight)
        potentials += sums
        for t, row in enumerate(distances):
            if shorter is None:
                break
            where = np.flatnonzero(row < closest[part]).astype(np.int32)
            room -= where.nbytes + where.size * row.itemsize
            shorter[t].append((part.start, where, row[where]))
            if room < 0:
                shorter = None
    best = int(potentials.argmin())
    return best, float(potentials[best]), None if shorter is None else shorter[best]
