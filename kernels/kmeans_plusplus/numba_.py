"""The portable `kmeans_plusplus`: every distance is computed, those of CSR rows from products."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels import _chunks
from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.kmeans_plusplus.rounds import Measure, Progress, choose_rows
from unsup_fast.kernels.kmeans_plusplus.scale import pow2_scale

CHUNK = 1 << 20  # multiply-adds, about


def kmeans_plusplus(
    X: Any,
    sample_weight: Array | None,
    uniform: Array,
    first: int,
    n_threads: int,
    progress: Progress | None,
) -> Array:
    """Return the chosen rows [K]; `uniform` [K, T] holds the draws of each round."""
    if sp.issparse(X):
        measure = _measure_csr(X, sample_weight)
    else:
        scale = pow2_scale(_spread(X, first), X.dtype)

        def measure(
            candidates: Array, closest: Array | None, distances: Array, potentials: Array
        ) -> None:
            if closest is None:
                closest = np.full(len(X), np.inf, X.dtype)
            candidate_potentials(
                X=X,
                candidates=X[candidates],
                closest=closest,
                sample_weight=sample_weight,
                distances=distances,
                potentials=potentials,
                n_threads=n_threads,
                scale=scale,
            )

    return choose_rows(measure, X.dtype, X.shape[0], sample_weight, uniform, first, progress)


def candidate_potentials(
    X: Array,
    candidates: Array,
    closest: Array,
    sample_weight: Array | None,
    distances: Array,
    potentials: Array,
    n_threads: int,
    scale: float,
) -> None:
    """Fill distances [T, N] and potentials [T] of a round."""
    n_rows, n_columns = X.shape
    trials = len(candidates)
    rows = max(64, CHUNK // (n_columns * trials))
    n_chunks = -(-n_rows // rows)
    sums = np.zeros((n_chunks, trials))
    factor = X.dtype.type(scale)
    scaled = candidates * factor  # [T, D]
    weight = np.ones(1, X.dtype) if sample_weight is None else sample_weight

    def work(chunk: int) -> None:
        start, stop = chunk * rows, min(n_rows, (chunk + 1) * rows)
        _measure(X, scaled, factor, closest, weight, distances, sums[chunk], start, stop)

    _chunks.run(work, n_chunks, n_threads)
    potentials[:] = sums.sum(axis=0)


@jit(fastmath={"reassoc", "contract"})
def _measure(
    X: Array,
    candidates: Array,
    scale: Any,
    closest: Array,
    weight: Array,
    distances: Array,
    sums: Array,
    start: int,
    stop: int,
) -> None:
    n_columns = X.shape[1]
    weighted = len(weight) == len(X)
    for i in range(start, stop):
        w = np.float64(weight[i] if weighted else weight[0])
        for t in range(len(candidates)):
            squared = X[i, 0] * 0
            for j in range(n_columns):
                gap = X[i, j] * scale - candidates[t, j]
                squared += gap * gap
            squared = min(closest[i], squared)
            distances[t, i] = squared
            sums[t] += w * squared


def _measure_csr(X: Any, sample_weight: Array | None) -> Measure:
    x = X.astype(np.float64)
    w = None if sample_weight is None else sample_weight.astype(np.float64)
    squares = np.asarray(x.multiply(x).sum(axis=1)).ravel()  # [N]

    def measure(
        candidates: Array, closest: Array | None, distances: Array, potentials: Array
    ) -> None:
        dense = np.ascontiguousarray(x[candidates].toarray().T)  # [D, T]
        gaps = squares[:, None] + squares[candidates] - 2 * (x @ dense)  # [N, T]
        gaps[candidates, np.arange(len(candidates))] = 0.0
        np.maximum(gaps.T, 0.0, out=distances, casting="same_kind")
        if closest is not None:
            np.minimum(distances, closest, out=distances)
        potentials[:] = distances.sum(axis=1, dtype=np.float64) if w is None else distances @ w

    return measure


def _spread(X: Array, first: int) -> float:
    """Return the largest magnitude of a difference to the first row."""
    with np.errstate(over="ignore"):
        gaps = np.maximum(X.max(axis=0) - X[first], X[first] - X.min(axis=0))
    return float(gaps.max())
