"""Reference for `nearest`: brute force in float64."""

import numpy as np

from unsup_fast.kernels._types import Array


def nearest(
    X: Array,
    centers: Array,
    shift: Array,
    labels: Array,
    distances: Array | None,
    n_threads: int,
) -> None:
    """Fill labels and distances, both [N, m]; neither shift nor threads have an effect."""
    c = centers.astype(np.float64)  # [K, D]
    for i, row in enumerate(X.astype(np.float64)):
        squared = ((row - c) ** 2).sum(axis=1)  # [K]
        labels[i] = squared.argsort(kind="stable")[: labels.shape[1]]
        if distances is not None:
            distances[i] = squared[labels[i]]
