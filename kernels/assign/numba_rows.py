"""Compiled loops of the portable `assign` over dense rows."""

import numpy as np

from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array


@jit()
def pack(
    X: Array,
    shift: Array,
    scale: np.floating,
    begin: int,
    end: int,
    x: Array,
    best: Array,
    index: Array,
) -> None:
    """Fill x [B, D] with rows less the shift, scaled; start `best` and `index`, [B] each."""
    for i in range(end - begin):
        for j in range(X.shape[1]):
            x[i, j] = (X[begin + i, j] - shift[j]) * scale
    for i in range(len(best)):
        best[i] = -np.inf
        index[i] = 0


@jit()
def keep_best(scores: Array, half_norm: Array, first: int, best: Array, index: Array) -> None:
    """Compare scores [P, B], P a multiple of 4, of the centroids from `first` on with the best."""
    for k in range(0, len(scores), 4):
        h0, h1 = half_norm[first + k], half_norm[first + k + 1]
        h2, h3 = half_norm[first + k + 2], half_norm[first + k + 3]
        k0 = np.int32(first + k)
        k1, k2, k3 = np.int32(k0 + 1), np.int32(k0 + 2), np.int32(k0 + 3)
        for i in range(len(best)):
            high, whose = best[i], index[i]
            score = scores[k, i] + h0
            whose = k0 if score > high else whose
            high = score if score > high else high
            score = scores[k + 1, i] + h1
            whose = k1 if score > high else whose
            high = score if score > high else high
            score = scores[k + 2, i] + h2
            whose = k2 if score > high else whose
            high = score if score > high else high
            score = scores[k + 3, i] + h3
            whose = k3 if score > high else whose
            high = score if score > high else high
            best[i] = high
            index[i] = whose


@jit()
def relabel(index: Array, begin: int, end: int, labels: Array) -> int:
    """Write the labels of rows; return how many are new."""
    changed = 0
    for i in range(end - begin):
        changed += index[i] != labels[begin + i]
        labels[begin + i] = index[i]
    return changed


@jit(fastmath={"contract", "reassoc", "nsz"})
def add_rows(
    X: Array,
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
    """Add rows to the sums of their clusters and fill distances, where these are not empty.

    Sums [K, D] are float64; returned is the inertia of scaled rows.
    """
    unscale = 1.0 / np.float64(scale)
    inertia = 0.0
    for i in range(begin, end):
        k = labels[i]
        w = np.float64(1) if len(weight) == 0 else np.float64(weight[i])
        squared = X.dtype.type(0)
        if len(weights) > 0:
            unscaled = w * unscale
            for j in range(X.shape[1]):
                value = (X[i, j] - shift[j]) * scale
                gap = value - centroids[k, j]
                squared += gap * gap
                sums[k, j] += unscaled * np.float64(value)
            weights[k] += w
            touched[k] = True
        else:
            for j in range(X.shape[1]):
                gap = (X[i, j] - shift[j]) * scale - centroids[k, j]
                squared += gap * gap
        inertia += w * np.float64(squared)
        if len(distances) > 0:
            distances[i] = np.float64(squared) * unscale * unscale
    return inertia


@jit()
def merge(sums: Array, weights: Array, part: Array, part_weights: Array, touched: Array) -> None:
    """Add the sums and weights of a chunk to the total."""
    for k in range(len(sums)):
        if touched[k]:
            weights[k] += part_weights[k]
            for j in range(sums.shape[1]):
                sums[k, j] += part[k, j]
