"""Reference for `kmeans_plusplus`: greedy k-means++ by brute force in float64."""

from typing import Any

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels._types import Array


def kmeans_plusplus(
    X: Any, sample_weight: Array | None, uniform: Array, first: int
) -> tuple[Array, Array, Array]:
    """Return chosen rows [K], the potential [K] after each, and closest distances [N].

    `uniform` [K, T] holds the draws of each round; those of the first are not used.
    """
    x = (X.toarray() if sp.issparse(X) else X).astype(np.float64)  # [N, D]
    w = np.ones(len(x)) if sample_weight is None else sample_weight.astype(np.float64)
    closest = ((x - x[first]) ** 2).sum(axis=1)  # [N]
    chosen, potentials = [first], [closest @ w]
    for draws in uniform[1:]:
        cumulated = np.cumsum(w * closest)
        candidates = np.searchsorted(cumulated, draws * cumulated[-1])  # [T]
        squared = ((x - x[candidates][:, None]) ** 2).sum(axis=2)  # [T, N]
        scores = np.minimum(closest, squared) @ w  # [T]
        best = scores.argmin()
        closest = np.minimum(closest, squared[best])
        chosen.append(candidates[best])
        potentials.append(scores[best])
    return np.array(chosen), np.array(potentials), closest


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
    gaps = scale * (X.astype(np.float64) - candidates.astype(np.float64)[:, None])  # [T, N, D]
    np.minimum(closest, (gaps**2).sum(axis=2), out=distances, casting="same_kind")
    w = np.ones(len(X)) if sample_weight is None else sample_weight.astype(np.float64)
    potentials[:] = distances @ w
