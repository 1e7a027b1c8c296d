"""Reference for `covariance`: products in float64."""

import numpy as np

from unsup_fast.kernels._types import Array


def covariance(
    X: Array, shift: Array, scale: Array, sums: Array, products: Array, n_threads: int
) -> None:
    """Fill sums [D] and products [D, D] of the columns less the shift, times the scale."""
    x = (X.astype(np.float64) - shift) * scale  # [N, D]
    sums[:] = x.sum(axis=0)
    products[:] = (x[:, :, None] * x[:, None, :]).sum(axis=0)
