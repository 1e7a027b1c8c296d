"""The compiled labels of the portable `assign` for rows of few columns."""

import numpy as np

from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array

BLOCK = 256  # rows scored together


@jit(fastmath={"contract"})
def label(
    X: Array,
    centroids: Array,
    half_norm: Array,
    shift: Array,
    scale: np.floating,
    begin: int,
    end: int,
    labels: Array,
) -> int:
    """Label the rows from `begin` to `end`; return how many labels are new.

    Centroids [K, D'] are filled up with zeros to a multiple of 4 columns. Rows stand in the lanes:
    a block is transposed, and a column of it is multiplied by one value of a centroid. Rows past
    the end are worked on too, so that no loop has a remainder.
    """
    k, depth = centroids.shape
    tile = np.zeros((depth, BLOCK), X.dtype)
    score, best = np.empty(BLOCK, X.dtype), np.empty(BLOCK, X.dtype)
    index = np.empty(BLOCK, np.int32)
    changed = 0
    for start in range(begin, end, BLOCK):
        rows = min(BLOCK, end - start)
        for j in range(X.shape[1]):
            from_j = shift[j]
            for i in range(rows):
                tile[j, i] = (X[start + i, j] - from_j) * scale
        for i in range(BLOCK):
            best[i] = -np.inf
            index[i] = 0
        for c in range(k):
            initial = half_norm[c]
            for i in range(BLOCK):
                score[i] = initial
            for j in range(0, depth, 4):
                c0, c1, c2, c3 = (
                    centroids[c, j],
                    centroids[c, j + 1],
                    centroids[c, j + 2],
                    centroids[c, j + 3],
                )
                for i in range(BLOCK):
                    score[i] = (
                        score[i]
                        + tile[j, i] * c0
                        + tile[j + 1, i] * c1
                        + tile[j + 2, i] * c2
                        + tile[j + 3, i] * c3
                    )
            whose = np.int32(c)
            for i in range(BLOCK):
                better = score[i] > best[i]
                best[i] = score[i] if better else best[i]
                index[i] = whose if better else index[i]
        for i in range(rows):
            changed += index[i] != labels[start + i]
            labels[start + i] = index[i]
    return changed
