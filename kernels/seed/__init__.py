"""`seed`: rows that start k-means, by greedy k-means++.

Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007: the first
row is drawn by weight; each next round draws T candidates with probability proportional to
weight times squared distance to the nearest row chosen so far, and keeps the candidate that
leaves the smallest sum of those. Distances are computed from differences (no cancellation);
sums and the cumulated distribution are float64. The draws are scikit-learn's, in its order.
"""

from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._check import Array
from unsup_fast.kernels._dispatch import choose, native

__all__ = ["seed"]


def _native(
    X: Any,
    candidates: Array,
    closest: Array | None,
    sample_weight: Array | None,
    distances: Array,
    potentials: Array,
    n_threads: int,
) -> None:
    rest = (candidates, closest, sample_weight, distances, potentials, n_threads)
    if sp.issparse(X):
        native().seed_csr(X.data, X.indices, X.indptr, *rest)
    else:
        native().seed(X, *rest)


def _ref(*arguments: Any) -> None:
    from unsup_fast.kernels.seed import ref

    ref.score(*arguments)


def _rows(X: Any, indices: Array) -> Array:
    chosen = X[indices]
    return np.ascontiguousarray(chosen.toarray() if sp.issparse(chosen) else chosen)


def seed(
    X: Any,
    n_clusters: int,
    random_state: np.random.RandomState,
    *,
    sample_weight: Array | None = None,
    n_local_trials: int | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Array:
    """Choose `n_clusters` rows of X by greedy k-means++.

    Parameters
    ----------
    X : ndarray or CSR matrix of shape (N, D), float32 or float64
        The rows; an ndarray must be C-contiguous. Values must be finite.
    n_clusters : int
        How many rows to choose, at most N.
    random_state : numpy.random.RandomState
        Where draws come from: one ``choice``, then one ``uniform(size=T)`` a round.
    sample_weight : ndarray of shape (N,), type of X, optional
        Weights of the rows; None stands for ones.
    n_local_trials : int, optional
        Candidates T of a round; None takes ``2 + int(log(n_clusters))``.
    n_threads : int, optional
        Threads to run; None for all.
    backend : {"native", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    ndarray of shape (n_clusters,), int64
        Indices of the chosen rows, in the order chosen.

    Raises
    ------
    ValueError
        If `n_clusters` exceeds the rows of X.
    """
    if not sp.issparse(X):
        _check.matrix("X", X)
    n_rows = X.shape[0]
    if not 1 <= n_clusters <= n_rows:
        raise ValueError(f"n_clusters={n_clusters} must be between 1 and the {n_rows} rows of X")
    if sample_weight is not None:
        _check.vector("sample_weight", sample_weight, n_rows, X.dtype)
    trials = 2 + int(np.log(n_clusters)) if n_local_trials is None else n_local_trials
    run = choose("seed", {"native": _native, "ref": _ref}, backend)
    workers = threads.effective(n_threads)

    w = np.ones(n_rows, X.dtype) if sample_weight is None else sample_weight
    chosen = np.empty(n_clusters, dtype=np.int64)
    chosen[0] = random_state.choice(n_rows, p=w / w.sum())
    distances = np.empty((1, n_rows), dtype=X.dtype)  # [T, N]
    potentials = np.empty(1)  # [T]
    run(X, _rows(X, chosen[:1]), None, sample_weight, distances, potentials, workers)
    closest, potential = distances[0], potentials[0]
    distances = np.empty((trials, n_rows), dtype=X.dtype)
    potentials = np.empty(trials)
    cumulated = np.empty(n_rows)
    for k in range(1, n_clusters):
        draws = random_state.uniform(size=trials) * potential
        if sample_weight is None:
            np.cumsum(closest, dtype=np.float64, out=cumulated)
        else:
            np.cumsum(w * closest, dtype=np.float64, out=cumulated)
        candidates = np.minimum(np.searchsorted(cumulated, draws), n_rows - 1)  # [T]
        run(X, _rows(X, candidates), closest, sample_weight, distances, potentials, workers)
        best = int(potentials.argmin())
        chosen[k], potential = candidates[best], potentials[best]
        closest = distances[best].copy()
    return chosen
