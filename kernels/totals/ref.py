"""Reference for `totals`: sums in Python's integers, means in float64."""

import numpy as np

from unsup_fast.kernels._types import Array


def totals(
    X: Array, shift: Array, labels: Array, quanta: Array, n_clusters: int
) -> tuple[Array, Array]:
    """Return the sums [K, S] of all rows, integers of any size, and how many each cluster has."""
    n_columns = X.shape[1]
    whole = np.rint((X - shift).astype(np.float64) * quanta[:n_columns])  # [N, D]
    numbers = np.vectorize(int, otypes=[object])(whole)
    sums = np.zeros((n_clusters, len(quanta)), dtype=object)
    counts = np.zeros(n_clusters, dtype=np.int64)
    for cluster in range(n_clusters):
        members = numbers[labels == cluster]  # [n, D]
        sums[cluster, :n_columns] = members.sum(axis=0)
        counts[cluster] = len(members)
    return sums, counts


def means(X: Array, labels: Array, centers: Array, shift: Array) -> tuple[Array, float]:
    """Return the means [K, D] in float64, and the inertia of `Means`."""
    x, c = X.astype(np.float64), centers.astype(np.float64)
    means = c.copy()  # [K, D]
    for cluster in np.unique(labels):
        means[cluster] = x[labels == cluster].mean(axis=0)
    return means, float(((x - c[labels]) ** 2).sum() - ((x - shift) ** 2).sum())
