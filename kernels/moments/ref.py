"""Reference for `moments`: two passes in float64."""

import numpy as np

from unsup_fast.kernels._types import Array


def moments(
    X: Array, mean: Array, variance: Array, minimum: Array, maximum: Array, n_threads: int
) -> int:
    """Fill the outputs; return the flat index of the first non-finite value or -1."""
    finite = np.isfinite(X)
    if not finite.all():
        return int(np.flatnonzero(~finite.ravel())[0])
    rows = X.astype(np.float64)
    mean[:] = rows.mean(axis=0)
    variance[:] = rows.var(axis=0)
    minimum[:] = rows.min(axis=0)
    maximum[:] = rows.max(axis=0)
    return -1
