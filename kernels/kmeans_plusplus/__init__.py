"""`kmeans_plusplus`: rows that start k-means, by greedy k-means++.

Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007: the first row is
drawn by weight; each next round draws T candidates with probability proportional to weight times
squared distance to the nearest row chosen so far, and keeps the candidate that leaves the smallest
sum of those. Distances are computed from differences (no cancellation), at a scale where squares
neither vanish nor overflow; sums and the cumulated distribution are float64. The draws are scikit-
learn's, in its order. Bounds on distances from few projected columns
(`kernels.kmeans_plusplus.bounds`) rule out most pairs of row and candidate, without effect on the
result.
CUDA tensors are worked on where they are, and nothing waits for the device.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose, native
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.kmeans_plusplus import bounds

__all__ = ["candidate_potentials", "kmeans_plusplus", "pow2_scale"]

FIRST_BOUNDS = 8  # rounds without bounds, which leave too many pairs in them
AGAIN = 4  # the bounds are chosen anew when there are so many times more rows
REPORT_EVERY = 0.25  # seconds between calls of `progress`

Progress = Callable[[int, int], None]


def _native(
    X: Any,
    sample_weight: Array | None,
    uniform: Array,
    first: int,
    n_threads: int,
    progress: Progress | None,
) -> Array:
    if sp.issparse(X):
        return _csr(X, sample_weight, uniform, first, n_threads, progress)
    (n_rows, n_columns), (n_clusters, trials) = X.shape, uniform.shape
    chosen = np.full(n_clusters, first, dtype=np.int64)
    closest = np.empty(n_rows, dtype=X.dtype)  # [N]
    potentials = np.empty(n_clusters)
    scale = pow2_scale(native().spread(X, first, n_threads), X.dtype)
    bounded: bounds.Bounds | None = None
    done, again, pace = 0, FIRST_BOUNDS, 0.0
    if not bounds.may_pay(n_rows, n_columns, trials, n_clusters - FIRST_BOUNDS):
        again = n_clusters
    while done < n_clusters:
        if done == again:
            ahead = n_clusters - done
            bounded = bounds.choose(X, closest, scale, trials, ahead, bounded, n_threads)
            again *= AGAIN
        end = min(n_clusters, again)
        if progress is not None:
            end = min(end, done + max(1, int(REPORT_EVERY / pace)) if pace else done + 1)
        start = perf_counter()
        columns = (bounded.rows, bounded.slack, bounded.leading) if bounded is not None else ()
        native().seed_rounds(
            X,
            sample_weight,
            scale,
            uniform,
            chosen,
            closest,
            potentials,
            done,
            end,
            n_threads,
            *columns,
        )
        pace = (perf_counter() - start) / (end - done)
        done = end
        if progress is not None:
            progress(done, n_clusters)
    return chosen


def _csr(
    X: Any,
    sample_weight: Array | None,
    uniform: Array,
    first: int,
    n_threads: int,
    progress: Progress | None,
) -> Array:
    n_rows, (n_clusters, trials) = X.shape[0], uniform.shape
    w = np.ones((), X.dtype) if sample_weight is None else sample_weight
    chosen = np.full(n_clusters, first, dtype=np.int64)
    closest: Array | None = None  # [N]
    candidates = chosen[:1]  # [T]
    distances, potentials = np.empty((1, n_rows), X.dtype), np.empty(1)  # [T, N], [T]
    for k in range(n_clusters):
        native().seed_csr(
            X.data,
            X.indices,
            X.indptr,
            np.ascontiguousarray(X[candidates].toarray()),
            closest,
            sample_weight,
            distances,
            potentials,
            n_threads,
        )
        best = int(potentials.argmin())
        chosen[k], potential, closest = candidates[best], potentials[best], distances[best].copy()
        if progress is not None:
            progress(k + 1, n_clusters)
        if k == 0:
            distances, potentials = np.empty((trials, n_rows), X.dtype), np.empty(trials)
        if k + 1 < n_clusters:
            cumulated = np.cumsum(w * closest, dtype=np.float64)
            drawn = np.searchsorted(cumulated, uniform[k + 1] * potential)
            candidates = np.minimum(drawn, n_rows - 1)
    return chosen


def _ref(
    X: Any,
    sample_weight: Array | None,
    uniform: Array,
    first: int,
    n_threads: int,
    progress: Progress | None,
) -> Array:
    from unsup_fast.kernels.kmeans_plusplus import ref

    return ref.kmeans_plusplus(X, sample_weight, uniform, first)[0]


def _native_score(*arguments: Any) -> None:
    native().seed(*arguments)


def _ref_score(*arguments: Any) -> None:
    from unsup_fast.kernels.kmeans_plusplus import ref

    ref.candidate_potentials(*arguments)


def _on_device(
    X: Any,
    n_clusters: int,
    random_state: np.random.RandomState,
    sample_weight: Any,
    trials: int,
) -> Any:
    from unsup_fast.kernels.kmeans_plusplus import triton_

    if sample_weight is not None:
        _check.tensor("sample_weight", sample_weight, (len(X),), X.dtype, X.device)
    return triton_.kmeans_plusplus(X, n_clusters, random_state, sample_weight, trials)


def pow2_scale(spread: float, dtype: Any) -> float:
    """Return the power of two that brings differences of at most `spread` near one."""
    limits = np.finfo(dtype)
    exponent = np.frexp(spread)[1] if np.isfinite(spread) else limits.maxexp
    return 2.0 ** -int(np.clip(exponent, 4 - limits.maxexp, limits.maxexp - 2))


def kmeans_plusplus(
    X: Any,
    n_clusters: int,
    random_state: np.random.RandomState,
    *,
    sample_weight: Any = None,
    n_local_trials: int | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
    progress: Progress | None = None,
) -> Any:
    """Choose `n_clusters` rows of X by greedy k-means++.

    Parameters
    ----------
    X : ndarray, CSR matrix or CUDA tensor of shape (N, D), float32 or float64
        The rows; an ndarray or tensor must be C-contiguous. Values must be finite.
    n_clusters : int
        How many rows to choose, at most N.
    random_state : numpy.random.RandomState
        Where draws come from: one ``choice``, then ``uniform(size=T)`` for each further row.
    sample_weight : ndarray of shape (N,), type of X, optional
        Weights of the rows; None means ones. A tensor like X if that is one.
    n_local_trials : int, optional
        Candidates T of a round; None takes ``2 + int(log(n_clusters))``.
    n_threads : int, optional
        Threads to run; None for all. The result is the same for any number. Not for tensors.
    backend : {"native", "ref", "triton"}, optional
        Implementation; None chooses. Tensors have "triton", the others "native" and "ref".
    progress : callable, optional
        Called now and then with the number of rows chosen and `n_clusters`. Not for tensors.

    Returns
    -------
    ndarray or tensor of shape (n_clusters,), int64
        Indices of the chosen rows, in the order chosen.

    Raises
    ------
    ValueError
        If `n_clusters` exceeds the rows of X.
    KeyboardInterrupt
        Within a second of Ctrl-C.
    """
    tensor = _check.is_tensor(X)
    if tensor:
        _check.rows_on_device(X)
    elif not sp.issparse(X):
        _check.matrix("X", X)
    n_rows = X.shape[0]
    if not 1 <= n_clusters <= n_rows:
        raise ValueError(f"n_clusters={n_clusters} must be between 1 and the {n_rows} rows of X")
    trials = 2 + int(np.log(n_clusters)) if n_local_trials is None else n_local_trials
    if tensor:
        on_device = choose("kmeans_plusplus of tensors", {"triton": _on_device}, backend, "triton")
        return on_device(X, n_clusters, random_state, sample_weight, trials)
    if sample_weight is not None:
        _check.vector("sample_weight", sample_weight, n_rows, X.dtype)
    run = choose("kmeans_plusplus", {"native": _native, "ref": _ref}, backend)
    w = np.ones(n_rows, X.dtype) if sample_weight is None else sample_weight
    first = int(random_state.choice(n_rows, p=w / w.sum()))
    uniform = np.zeros((n_clusters, trials))
    uniform[1:] = random_state.uniform(size=(n_clusters - 1, trials))
    return run(X, sample_weight, uniform, first, threads.effective(n_threads), progress)


def candidate_potentials(
    X: Array,
    candidates: Array,
    closest: Array,
    sample_weight: Array | None = None,
    *,
    scale: float = 1.0,
    n_threads: int | None = None,
    backend: str | None = None,
) -> tuple[Array, Array]:
    """Measure what each candidate of a round would leave, on one block of the rows.

    Distances are those of `kmeans_plusplus` at the same scale, bit for bit.

    Parameters
    ----------
    X : C-contiguous ndarray of shape (N, D), float32 or float64
        The rows. Values must be finite.
    candidates : ndarray of shape (T, D), type of X
    closest : ndarray of shape (N,), type of X
        Squared distance of each row to the nearest row chosen so far, or infinity.
    sample_weight : ndarray of shape (N,), type of X, optional
        Weights of the rows; None means ones.
    scale : float
        What rows are multiplied by before squaring; see `pow2_scale`.
    n_threads : int, optional
        Threads to run; None for all.
    backend : {"native", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    distances : ndarray of shape (T, N), type of X
        ``min(closest, |scale * (x - candidate)|^2)``
    potentials : ndarray of shape (T,), float64
        Their weighted sums.
    """
    _check.matrix("X", X)
    n_rows = X.shape[0]
    _check.matrix("candidates", candidates, X.dtype)
    if candidates.shape[1] != X.shape[1]:
        raise ValueError(f"candidates must have the {X.shape[1]} columns of X")
    _check.vector("closest", closest, n_rows, X.dtype)
    if sample_weight is not None:
        _check.vector("sample_weight", sample_weight, n_rows, X.dtype)
    run = choose("kmeans_plusplus", {"native": _native_score, "ref": _ref_score}, backend)
    distances = np.empty((len(candidates), n_rows), dtype=X.dtype)
    potentials = np.empty(len(candidates))
    workers = threads.effective(n_threads)
    run(X, candidates, closest, sample_weight, distances, potentials, workers, scale)
    return distances, potentials
