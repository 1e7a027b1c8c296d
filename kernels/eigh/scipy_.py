"""The steps of `_lapack` by SciPy's wrappers of LAPACK, where there is no compiled module.

Arguments are those of `_lapack`: C-contiguous, worked on in place. What is the lower triangle of a
to LAPACK is the upper one of its rows.
"""

import numpy as np
from scipy.linalg import lapack

from unsup_fast.kernels._types import Array


def tridiagonalise(a: Array, diagonal: Array, off_diagonal: Array, tau: Array, work: Array) -> int:
    """Compute a [N, N] = Q T Q^T in place: Q as reflectors, T as two diagonals [N]."""
    last = len(a) - 1
    reflectors, diagonal[:], off_diagonal[:last], tau[:last], info = lapack.dsytrd(
        a.T, lower=1, lwork=len(work), overwrite_a=1
    )
    a[:] = reflectors.T
    return int(info)


def eigenvalues(diagonal: Array, off_diagonal: Array) -> int:
    """Compute the eigenvalues of T, ascending, in place of the diagonal."""
    if len(diagonal) == 1:
        return 0
    diagonal[:], info = lapack.dsterf(diagonal, off_diagonal[: len(diagonal) - 1])
    return int(info)


def eigenvectors(
    a: Array,
    diagonal: Array,
    off_diagonal: Array,
    tau: Array,
    values: Array,
    vectors: Array,
    support: Array,
    work: Array,
    iwork: Array,
) -> int:
    """Compute the last K eigenpairs: values [N], vectors [K, N] by rows, ascending."""
    n, k = len(a), len(vectors)
    if n == 1:
        values[:], vectors[:] = diagonal, 1.0
        return 0
    index = 2  # range: the eigenvalues il to iu
    count, largest, z, info = lapack.dstemr(
        diagonal, off_diagonal, index, 0.0, 0.0, n - k + 1, n, lwork=len(work), liwork=len(iwork)
    )
    if info != 0 or count != k:
        return int(info) if count == k else -1
    values[:] = largest
    z = np.asfortranarray(z[:, :k])  # [N, K]
    # The reflectors of T leave the first row as it is (LAPACK's dormtr).
    reflectors = np.asfortranarray(a.T[1:, :-1])  # [N - 1, N - 1]
    z[1:], _, info = lapack.dormqr("L", "N", reflectors, tau[: n - 1], z[1:], len(work))
    vectors[:] = z.T
    return int(info)
