"""Compiled loops of the portable `nearest`."""

import numpy as np

from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array


@jit()
def start(best: Array, index: Array) -> None:
    """Start what `keep_top` improves, [B, m] each."""
    for i in range(len(best)):
        for j in range(best.shape[1]):
            best[i, j] = -np.inf
            index[i, j] = 0


@jit()
def keep_top(
    scores: Array, n_rows: int, half_norm: Array, first: int, best: Array, index: Array
) -> None:
    """Insert the scores [P, B] of the centroids from `first` on into those of the first rows.

    `best` falls along a row; a score enters behind equal ones, whose index is lower.
    """
    last = best.shape[1] - 1
    for k in range(len(scores)):
        half = half_norm[first + k]
        for i in range(n_rows):
            score = scores[k, i] + half
            if score > best[i, last]:
                j = last
                while j > 0 and score > best[i, j - 1]:
                    best[i, j] = best[i, j - 1]
                    index[i, j] = index[i, j - 1]
                    j -= 1
                best[i, j] = score
                index[i, j] = first + k


@jit(fastmath={"contract", "reassoc", "nsz"})
def measure(
    X: Array, centroids: Array, shift: Array, scale: np.floating, labels: Array, out: Array
) -> None:
    """Fill `out` with the squared distances of rows to their centroids, [N, m] like labels."""
    unscale = 1.0 / np.float64(scale)
    for i in range(len(X)):
        for j in range(labels.shape[1]):
            squared = X.dtype.type(0)
            for q in range(X.shape[1]):
                gap = (X[i, q] - shift[q]) * scale - centroids[labels[i, j], q]
                squared += gap * gap
            out[i, j] = np.float64(squared) * unscale * unscale
