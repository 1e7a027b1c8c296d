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
from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.kmeans_plusplus import native, ref
from unsup_fast.kernels.kmeans_plusplus.rounds import Progress
from unsup_fast.kernels.kmeans_plusplus.scale import pow2_scale

__all__ = ["candidate_potentials", "kmeans_plusplus", "pow2_scale"]


def _numba(*arguments: Any) -> Array:
    from unsup_fast.kernels.kmeans_plusplus import numba_

    return numba_.kmeans_plusplus(*arguments)


def _numba_potentials(**arguments: Any) -> None:
    from unsup_fast.kernels.kmeans_plusplus import numba_

    numba_.candidate_potentials(**arguments)


def _ref(
    X: Any,
    sample_weight: Array | None,
    uniform: Array,
    first: int,
    n_threads: int,
    progress: Progress | None,
) -> Array:
    return ref.kmeans_plusplus(X, sample_weight, uniform, first)[0]


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
    backend : {"native", "numba", "ref", "triton"}, optional
        Implementation; None chooses. Tensors have "triton", the others the rest.
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
    implementations = {"native": native.kmeans_plusplus, "numba": _numba, "ref": _ref}
    run = choose("kmeans_plusplus", implementations, backend)
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
    backend : {"native", "numba", "ref"}, optional
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
    implementations: dict[str, Callable[..., None]] = {
        "native": native.candidate_potentials,
        "numba": _numba_potentials,
        "ref": ref.candidate_potentials,
    }
    run = choose("kmeans_plusplus", implementations, backend)
    distances = np.empty((len(candidates), n_rows), dtype=X.dtype)
    potentials = np.empty(len(candidates))
    run(
        X=X,
        candidates=candidates,
        closest=closest,
        sample_weight=sample_weight,
        distances=distances,
        potentials=potentials,
        scale=scale,
        n_threads=threads.effective(n_threads),
    )
    return distances, potentials
