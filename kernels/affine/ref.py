"""Reference for `affine`: the formula in float64."""

import numpy as np

from unsup_fast.kernels._types import Array


def affine(
    X: Array, shift: Array, weights: Array, offset: Array, out: Array, n_threads: int
) -> None:
    """Fill out [N, K]."""
    x = X.astype(np.float64) - shift  # [N, D]
    out[:] = (x[:, None, :] * weights).sum(axis=2) + offset
