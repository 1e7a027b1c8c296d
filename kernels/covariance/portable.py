"""The portable `covariance`: products of blocks of rows by NumPy's BLAS, in one thread each."""

import numpy as np

from unsup_fast.kernels import _chunks, threads
from unsup_fast.kernels._types import Array

BLOCK = 512  # rows whose products are added in the type of X
PANEL = 256  # columns of the products that a task computes
BLOCKS = 16  # blocks of a task
ROOM = 1 << 27  # bytes of products before they are merged


def covariance(
    X: Array, shift: Array, scale: Array, sums: Array, products: Array, n_threads: int
) -> None:
    """Fill sums [D] and products [D, D] of the columns less the shift, times the scale.

    A task takes `BLOCKS` blocks of rows and a panel of columns, down to the diagonal. Tasks of the
    same panel are merged in order, as many at a time as do not depend on the threads.
    """
    n_rows, n_columns = X.shape
    span = BLOCK * BLOCKS
    n_spans, n_panels = -(-n_rows // span), -(-n_columns // PANEL)
    wave = max(1, min(16, n_spans, ROOM // (8 * n_columns**2)))  # spans
    part_sums, parts = np.empty((wave, n_columns)), np.zeros((wave, n_columns, n_columns))
    sums[:], products[:] = 0.0, 0.0
    with threads.one_in_blas():
        for start in range(0, n_spans, wave):
            count = min(wave, n_spans - start)

            def work(task: int, start: int = start) -> None:
                at, panel = divmod(task, n_panels)
                rows = X[(start + at) * span :][:span]
                _add(rows, shift, scale, panel * PANEL, part_sums[at], parts[at])

            _chunks.run(work, count * n_panels, n_threads)
            for at in range(count):
                sums += part_sums[at]
                products += parts[at]
    products[:] = np.triu(products) + np.triu(products, 1).T


def _add(X: Array, shift: Array, scale: Array, first: int, sums: Array, products: Array) -> None:
    """Fill a panel of sums [D] and products [D, D] from its first column on, up to the diagonal."""
    last = min(first + PANEL, len(shift))
    panel = slice(first, last)
    sums[panel], products[:last, panel] = 0.0, 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        for start in range(0, len(X), BLOCK):
            x = X[start : start + BLOCK, :last] - shift[:last]  # [B, last]
            x *= scale[:last]
            sums[panel] += x[:, panel].sum(axis=0, dtype=np.float64)
            products[:last, panel] += x.T @ x[:, panel]
