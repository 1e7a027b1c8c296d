"""Rounds of `kmeans_plusplus` one by one, for rows whose distances a function measures."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from unsup_fast.kernels._types import Array

Progress: TypeAlias = Callable[[int, int], None]
Measure: TypeAlias = Callable[[Array, Array | None, Array, Array], None]
"""Of candidates [T], indices of rows, and closest [N] or None, fill distances [T, N] and potentials
[T] as `candidate_potentials` does."""


def choose_rows(
    measure: Measure,
    dtype: np.dtype[np.floating],
    n_rows: int,
    sample_weight: Array | None,
    uniform: Array,
    first: int,
    progress: Progress | None,
) -> Array:
    """Return the chosen rows [K]; `uniform` [K, T] holds the draws of each round."""
    n_clusters, trials = uniform.shape
    w = np.ones((), dtype) if sample_weight is None else sample_weight
    chosen = np.full(n_clusters, first, dtype=np.int64)
    closest: Array | None = None  # [N]
    candidates = chosen[:1]  # [T]
    distances, potentials = np.empty((1, n_rows), dtype), np.empty(1)  # [T, N], [T]
    for k in range(n_clusters):
        measure(candidates, closest, distances, potentials)
        best = int(potentials.argmin())
        chosen[k], potential, closest = candidates[best], potentials[best], distances[best].copy()
        if progress is not None:
            progress(k + 1, n_clusters)
        if k == 0:
            distances, potentials = np.empty((trials, n_rows), dtype), np.empty(trials)
        if k + 1 < n_clusters:
            cumulated = np.cumsum(w * closest, dtype=np.float64)
            drawn = np.searchsorted(cumulated, uniform[k + 1] * potential)
            candidates = np.minimum(drawn, n_rows - 1)
    return chosen
