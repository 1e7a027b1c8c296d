"""Compiled loops of the portable `assign` over dense rows."""

import numpy as np

from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array

NARROW_BLOCK = 256  # rows of few columns that are scored together


@jit()
def pack(X: Array, shift: Array, scale: np.floating, begin: int, end: int, x: Array) -> None:
    """Fill x [B, D] with rows less the shift, scaled."""
    for i in range(end - begin):
        for j in range(X.shape[1]):
            x[i, j] = (X[begin + i, j] - shift[j]) * scale


@jit()
def transpose(
    X: Array, shift: Array, scale: np.floating, begin: int, end: int, tile: Array
) -> None:
    """Fill a tile [D', NARROW_BLOCK] with rows less the shift, scaled."""
    for i in range(end - begin):
        for j in range(X.shape[1]):
            tile[j, i] = (X[begin + i, j] - shift[j]) * scale


@jit()
def start(best: Array, index: Array) -> None:
    """Start what `keep_best` improves, [B] each."""
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
        for i in range(scores.shape[1]):
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


@jit(fastmath={"contract"})
def product(tile: Array, center: Array, out: Array) -> None:
    """Fill `out` with the products of the rows of a tile and a centroid.

    `tile` is [D', NARROW_BLOCK], D' a multiple of 4; eight columns are added at a time, or
    four that are left.
    """
    j, depth = 0, len(center)
    for i in range(NARROW_BLOCK):
        out[i] = 0
    while j + 8 <= depth:
        c0, c1, c2, c3 = center[j], center[j + 1], center[j + 2], center[j + 3]
        c4, c5, c6, c7 = center[j + 4], center[j + 5], center[j + 6], center[j + 7]
        for i in range(NARROW_BLOCK):
            near = tile[j, i] * c0 + tile[j + 1, i] * c1 + tile[j + 2, i] * c2 + tile[j + 3, i] * c3
            far = tile[j + 4, i] * c4 + tile[j + 5, i] * c5
            out[i] += near + (far + tile[j + 6, i] * c6 + tile[j + 7, i] * c7)
        j += 8
    if j < depth:
        c0, c1, c2, c3 = center[j], center[j + 1], center[j + 2], center[j + 3]
        for i in range(NARROW_BLOCK):
            near = tile[j, i] * c0 + tile[j + 1, i] * c1
            out[i] += near + (tile[j + 2, i] * c2 + tile[j + 3, i] * c3)


@jit()
def products(tile: Array, centroids: Array, scores: Array) -> None:
    """Fill scores [P, NARROW_BLOCK] with the products of the rows of a tile and P centroids."""
    for k in range(len(centroids)):
        product(tile, centroids[k], scores[k])


@jit()
def label_narrow(
    X: Array,
    centroids: Array,
    half_norm: Array,
    shift: Array,
    scale: np.floating,
    begin: int,
    end: int,
    labels: Array,
) -> int:
    """Label the rows from `begin` to `end`, of few columns; return how many labels are new.

    Centroids [K', D'] and half_norm [K'] are filled up to multiples of 4. A block is transposed, so
    that rows stand in the lanes. Rows past the end are worked on too, so that no loop has a
    remainder.
    """
    tile = np.zeros((centroids.shape[1], NARROW_BLOCK), X.dtype)
    scores, best = np.empty((4, NARROW_BLOCK), X.dtype), np.empty(NARROW_BLOCK, X.dtype)
    index = np.empty(NARROW_BLOCK, np.int32)
    changed = 0
    for first in range(begin, end, NARROW_BLOCK):
        past = min(end, first + NARROW_BLOCK)
        transpose(X, shift, scale, first, past, tile)
        start(best, index)
        for k in range(0, len(centroids), 4):
            for c in range(4):
                product(tile, centroids[k + c], scores[c])
            keep_best(scores, half_norm, k, best, index)
        changed += relabel(index, first, past, labels)
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
