"""The portable `affine`: blocks of rows by NumPy's BLAS, in one thread each."""

import numpy as np

from unsup_fast.kernels import _chunks, threads
from unsup_fast.kernels._types import Array

CHUNK = 1 << 17  # values of X


def affine(
    X: Array, shift: Array, weights: Array, offset: Array, out: Array, n_threads: int
) -> None:
    """Fill out [N, K]."""
    rows = max(64, CHUNK // X.shape[1])

    def work(chunk: int) -> None:
        part = slice(chunk * rows, (chunk + 1) * rows)
        with np.errstate(invalid="ignore", over="ignore"):
            np.matmul(X[part] - shift, weights.T, out=out[part])
            out[part] += offset

    with threads.one_in_blas():
        _chunks.run(work, -(-len(X) // rows), n_threads)
