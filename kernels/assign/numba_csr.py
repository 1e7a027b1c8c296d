"""Compiled loops of the portable `assign` over the rows of a CSR matrix."""

import numpy as np

from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array


@jit(fastmath={"contract"})
def label(
    data: Array,
    indices: Array,
    indptr: Array,
    columns: Array,
    half_norm: Array,
    scale: np.floating,
    begin: int,
    end: int,
    labels: Array,
) -> int:
    """Label the rows from `begin` to `end`; return how many labels are new.

    `columns` [D, K] are the centroids transposed, so that a row's value is multiplied by a column
    of all centroids.
    """
    k = len(half_norm)
    scores = np.empty(k, data.dtype)
    changed = 0
    for i in range(begin, end):
        for c in range(k):
            scores[c] = half_norm[c]
        for q in range(indptr[i], indptr[i + 1]):
            value, j = data[q] * scale, indices[q]
            for c in range(k):
                scores[c] += value * columns[j, c]
        nearest = 0
        for c in range(1, k):
            if scores[c] > scores[nearest]:
                nearest = c
        changed += nearest != labels[i]
        labels[i] = nearest
    return changed


@jit()
def add_rows(
    data: Array,
    indices: Array,
    indptr: Array,
    centroids: Array,
    half_norm: Array,
    shift: Array,
    scale: np.floating,
    weight: Array,
    labels: Array,
    begin: int,
    end: int,
    sums: Array,
    weights: Array,
    touched: Array,
    distances: Array,
) -> float:
    """Add rows to the sums of their clusters and fill distances, as `numba_rows.add_rows` does.

    |x - c|^2 = |c|^2 + sum over the values of the row of (x_j - c_j)^2 - c_j^2, in float64. There
    is no shift.
    """
    unscale = 1.0 / np.float64(scale)
    norms = np.full(len(centroids), np.nan)  # those that are needed
    inertia = 0.0
    for i in range(begin, end):
        k = labels[i]
        w = np.float64(1) if len(weight) == 0 else np.float64(weight[i])
        if np.isnan(norms[k]):
            norms[k] = 0.0
            for j in range(centroids.shape[1]):
                norms[k] += np.float64(centroids[k, j]) * np.float64(centroids[k, j])
        squared = norms[k]
        for q in range(indptr[i], indptr[i + 1]):
            j = indices[q]
            value, center = np.float64(data[q] * scale), np.float64(centroids[k, j])
            squared += (value - center) * (value - center) - center * center
            if len(weights) > 0:
                sums[k, j] += w * unscale * value
        if len(weights) > 0:
            weights[k] += w
            touched[k] = True
        squared = max(squared, 0.0)
        inertia += w * squared
        if len(distances) > 0:
            distances[i] = squared * unscale * unscale
    return inertia
