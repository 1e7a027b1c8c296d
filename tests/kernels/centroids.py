"""Rows near centroids, and their distances in float64."""

import numpy as np


def make(n, d, k, dtype, offset=0.0, spread=1.0, seed=0):
    """Return rows, centroids near some of them, and weights of the rows."""
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) * spread + offset).astype(dtype)
    centers = (X[rng.integers(0, n, k)] + rng.normal(size=(k, d)) * spread * 0.3).astype(dtype)
    return X, centers, rng.random(n).astype(dtype)


def squared_distances(X, centers):
    x, c = X.astype(np.float64), centers.astype(np.float64)
    return np.stack([((x - row) ** 2).sum(axis=1) for row in c], axis=1)  # [N, K]
