"""Reference for `eigh`: all eigenpairs by NumPy."""

import numpy as np

from unsup_fast.kernels._types import Array


def eigh(A: Array) -> tuple[Array, Array]:
    """Return eigenvalues [N], descending, and eigenvectors [N, N] as rows."""
    values, vectors = np.linalg.eigh(A)
    return values[::-1], vectors.T[::-1]
