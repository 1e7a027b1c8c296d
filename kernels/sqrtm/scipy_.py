"""The steps of `_lapack` by NumPy and SciPy, where there is no compiled module.

Arguments are those of `_lapack`: C-contiguous, worked on in place, and the triangle that LAPACK
calls lower is the upper one of the rows.
"""

import numpy as np
from scipy.linalg import blas, lapack

from unsup_fast.kernels._types import Array


def inspect(a: Array, extremes: Array) -> bool:
    """Compute the largest |a_ij| and |a_ij - a_ji| of a [N, N]; return whether it is finite."""
    with np.errstate(invalid="ignore"):
        extremes[:] = np.abs(a).max(), np.abs(a - a.T).max()
    return bool(np.isfinite(a).all())


def halve(a: Array, scale: float, out: Array) -> None:
    """Compute out [N, N] = scale (a + a^T) / 2."""
    half = 0.5 * (scale * a)
    np.add(half, half.T, out=out)


def cholesky(a: Array) -> int:
    """Compute U of a [N, N] = U^T U in the upper triangle in place."""
    factor, info = lapack.dpotrf(a.T, lower=1, clean=0, overwrite_a=1)
    a[:] = factor.T
    return int(info)


def pivoted(a: Array, tolerance: float, pivots: Array, work: Array) -> int:
    """Compute U [rank, N] of P^T a P = U^T U in the upper triangle in place; return the rank."""
    factor, pivots[:], rank, info = lapack.dpstrf(a.T, tol=tolerance, lower=1, overwrite_a=1)
    a[:] = factor.T
    return int(rank) if info >= 0 else int(info)


def congruent(a: Array, u: Array) -> int:
    """Compute U a U^T [N, N] in the upper triangle in place."""
    product, info = lapack.dsygst(a.T, u.T, itype=2, lower=1, overwrite_a=1)
    a[:] = product.T
    return int(info)


def eigenvalues(a: Array, values: Array, off_diagonal: Array, tau: Array, work: Array) -> int:
    """Compute the eigenvalues [N], ascending, of a; its upper triangle alone is read."""
    _, diagonal, off_diagonal[:-1], tau[:-1], info = lapack.dsytrd(
        a.T, lower=1, lwork=len(work), overwrite_a=1
    )
    values[:] = diagonal
    if info == 0 and len(values) > 1:
        values[:], info = lapack.dsterf(diagonal, off_diagonal[:-1])
    return int(info)


def triangular_product(u: Array, v: Array) -> None:
    """Compute V U^T [N, N] in place of v, for upper triangular U and V."""
    v[:] = blas.dtrmm(1.0, u.T, v.T, side=0, lower=1, trans_a=1, overwrite_b=1).T


def singular_values(a: Array, values: Array, work: Array, iwork: Array) -> int:
    """Compute the singular values [min(N, M)], descending, of a [N, M], which is overwritten."""
    _, values[:], _, info = lapack.dgesdd(a.T, compute_uv=0, lwork=len(work), overwrite_a=1)
    return int(info)
