"""The portable `moments`: chunks of rows in two passes while they are in cache, merged in order."""

import numpy as np

from unsup_fast.kernels import _chunks
from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array

CHUNK = 1 << 16  # values, about
LEAST = 256  # rows: the moments of chunks take little memory next to X


def moments(
    X: Array, mean: Array, variance: Array, minimum: Array, maximum: Array, n_threads: int
) -> int:
    """Fill the outputs; return the flat index of the first non-finite value or -1."""
    n_rows, n_columns = X.shape
    rows = max(LEAST, CHUNK // n_columns)
    n_chunks = -(-n_rows // rows)
    first = np.empty(n_chunks, np.int64)
    parts = np.empty((4, n_chunks, n_columns))

    def work(chunk: int) -> None:
        part = X[chunk * rows : (chunk + 1) * rows]
        first[chunk] = _chunk(part, *parts[:, chunk])

    _chunks.run(work, n_chunks, n_threads)
    bad = np.flatnonzero(first >= 0)
    if len(bad) > 0:
        return int(bad[0]) * rows * n_columns + int(first[bad[0]])
    counts = np.full(n_chunks, rows)
    counts[-1] = n_rows - rows * (n_chunks - 1)
    _merge(counts, parts[0], parts[1])
    mean[:], variance[:] = parts[0, 0], parts[1, 0] / n_rows
    minimum[:], maximum[:] = parts[2].min(axis=0), parts[3].max(axis=0)
    return -1


@jit()
def _chunk(X: Array, mean: Array, squares: Array, minimum: Array, maximum: Array) -> int:
    """Fill the moments of a chunk, squares about the mean; return its first non-finite value."""
    n_rows, n_columns = X.shape
    mean[:] = 0.0
    squares[:] = 0.0
    for j in range(n_columns):
        minimum[j] = maximum[j] = X[0, j]
    for i in range(n_rows):
        for j in range(n_columns):
            value = np.float64(X[i, j])
            mean[j] += value - X[0, j]
            minimum[j] = min(minimum[j], value)
            maximum[j] = max(maximum[j], value)
    if not np.isfinite(mean).all():
        for i in range(n_rows):
            for j in range(n_columns):
                if not np.isfinite(X[i, j]):
                    return i * n_columns + j
    for j in range(n_columns):
        if np.isfinite(mean[j]):
            mean[j] = X[0, j] + mean[j] / n_rows
        else:  # differences overflow
            mean[j] = 0.0
            for i in range(n_rows):
                mean[j] += X[i, j] / n_rows
    for i in range(n_rows):
        for j in range(n_columns):
            deviation = X[i, j] - mean[j]
            squares[j] += deviation * deviation
    return -1


@jit()
def _merge(counts: Array, mean: Array, squares: Array) -> None:
    """Merge the moments of chunks [C, D] into the first (Chan, Golub & LeVeque 1983)."""
    n_chunks, n_columns = mean.shape
    count = counts[0]
    for chunk in range(1, n_chunks):
        total = count + counts[chunk]
        share = counts[chunk] / total
        for j in range(n_columns):
            # Halves, since the difference of finite means may overflow.
            half = 0.5 * mean[chunk, j] - 0.5 * mean[0, j]
            mean[0, j] += share * half
            mean[0, j] += share * half
            squares[0, j] += squares[chunk, j] + 4.0 * half * half * (count * share)
        count = total
