"""`eigh`: all eigenvalues of a symmetric matrix, then as many leading eigenvectors as are wanted.

The matrix is reduced to a tridiagonal one once (LAPACK's dsytrd, two thirds of the work of all
eigenpairs). Eigenvalues cost little from there (dsterf), and so does each eigenvector (dstemr,
dormtr). The BLAS runs in one thread meanwhile: sums that it shares among threads round differently
for each number of them.
"""

import numpy as np

from unsup_fast.kernels._dispatch import choose, compiled
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.eigh.eigen import Eigen
from unsup_fast.kernels.eigh.native import SteppedEigen

__all__ = ["Eigen", "eigh"]

LAPACK = "unsup_fast.kernels.eigh._lapack"


def _native(A: Array) -> Eigen:
    return SteppedEigen(A, compiled(LAPACK))


def _portable(A: Array) -> Eigen:
    from unsup_fast.kernels.eigh import scipy_

    return SteppedEigen(A, scipy_)


class _Ref(Eigen):
    def __init__(self, A: Array) -> None:
        from unsup_fast.kernels.eigh import ref

        self.values, self._vectors = ref.eigh(A)

    def leading(self, k: int) -> Array:
        return self._vectors[:k]


def eigh(A: Array, *, backend: str | None = None) -> Eigen:
    """Return the eigenvalues of a symmetric matrix, with its leading eigenvectors on request.

    Parameters
    ----------
    A : ndarray of shape (N, N), N >= 1, float64
        Finite and symmetric.
    backend : {"native", "portable", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    Eigen

    Raises
    ------
    TypeError, ValueError
        If A is not such a matrix.
    numpy.linalg.LinAlgError
        If the iteration does not converge.
    """
    if not isinstance(A, np.ndarray) or A.ndim != 2 or A.shape[0] != A.shape[1] or len(A) == 0:
        shape = getattr(A, "shape", type(A).__name__)
        raise ValueError(f"A must be a square matrix with at least one row, got {shape}")
    if A.dtype != np.float64:
        raise TypeError(f"A must be float64, got {A.dtype}")
    if not np.isfinite(A).all():
        raise ValueError("A holds NaN or infinity; it must be finite")
    implementations = {"native": _native, "portable": _portable, "ref": _Ref}
    return choose("eigh", implementations, backend, module=LAPACK)(A)
