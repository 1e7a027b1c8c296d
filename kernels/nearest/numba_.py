"""The portable `nearest`: the products of the portable `assign`, and lists compiled by Numba."""

import contextlib

import numpy as np

from unsup_fast.kernels import _chunks
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign.numba_ import (
    chunk_rows,
    one_thread_in_blas,
    padded,
    scaled,
    scored,
)
from unsup_fast.kernels.nearest import numba_rows


def nearest(
    X: Array,
    centers: Array,
    shift: Array,
    labels: Array,
    distances: Array | None,
    n_threads: int,
) -> None:
    """Fill labels and distances, both [N, m]."""
    n, top = labels.shape
    c = scaled(centers, shift)
    to = padded(c)
    step = chunk_rows(centers.size)

    def work(chunk: int) -> None:
        end = min(n, (chunk + 1) * step)
        best = np.empty((to.block, top), X.dtype)
        index = np.empty((to.block, top), np.int32)
        for i, past, panels in scored(X, c, to, chunk * step, end):
            numba_rows.start(best, index)
            for first, out in panels:
                numba_rows.keep_top(out, past - i, to.half_norm, first, best, index)
            labels[i:past] = index[: past - i]
        if distances is not None:
            part = slice(chunk * step, end)
            numba_rows.measure(X[part], c.rows, c.shift, c.scale, labels[part], distances[part])

    with contextlib.nullcontext() if to.narrow else one_thread_in_blas():
        _chunks.run(work, -(-n // step), n_threads)
