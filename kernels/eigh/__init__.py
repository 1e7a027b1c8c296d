"""`eigh`: all eigenvalues of a symmetric matrix, then as many leading eigenvectors as are wanted.

The matrix is reduced to a tridiagonal one once (LAPACK's dsytrd, two thirds of the work of all
eigenpairs). Eigenvalues cost little from there (dsterf), and so does each eigenvector (dstemr,
dormtr). The BLAS runs in one thread meanwhile: sums that it shares among threads round differently
for each number of them.
"""

from typing import Any

import numpy as np

from unsup_fast.kernels import threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array

__all__ = ["Eigen", "eigh"]


class Eigen:
    """Eigenvalues of a symmetric matrix, and its leading eigenvectors on request.

    Attributes
    ----------
    values : ndarray of shape (N,), float64
        All eigenvalues, descending.
    """

    values: Array

    def leading(self, k: int) -> Array:
        """Return the eigenvectors of the `k` largest eigenvalues as orthonormal rows [k, N]."""
        raise NotImplementedError


class _Native(Eigen):
    def __init__(self, A: Array) -> None:
        lapack = _compiled()
        n = len(A)
        self._scale = _scale(A)
        self._reflectors = A * self._scale  # [N, N]
        self._work = np.empty(max(64, 18) * n)
        self._diagonal, self._off_diagonal, self._tau = np.empty((3, n))
        with threads.one_in_blas():
            info = lapack.tridiagonalise(
                self._reflectors, self._diagonal, self._off_diagonal, self._tau, self._work
            )
            values = self._diagonal.copy()
            info = info or lapack.eigenvalues(values, self._off_diagonal.copy())
        _check_info(info)
        self.values = values[::-1] / self._scale

    def leading(self, k: int) -> Array:
        n = len(self._diagonal)
        if k == 0:
            return np.empty((0, n))
        vectors, values = np.empty((k, n)), np.empty(n)
        support, iwork = np.empty(2 * k, np.int32), np.empty(10 * n, np.int32)
        with threads.one_in_blas():
            info = _compiled().eigenvectors(
                self._reflectors,
                self._diagonal.copy(),
                self._off_diagonal.copy(),
                self._tau,
                values,
                vectors,
                support,
                self._work,
                iwork,
            )
        _check_info(info)
        return np.ascontiguousarray(vectors[::-1])


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
    backend : {"native", "ref"}, optional
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
    eigen: Eigen = choose("eigh", {"native": _Native, "ref": _Ref}, backend)(A)
    return eigen


def _scale(A: Array) -> float:
    """Return the power of two that brings the largest entry near one, where squares are safe."""
    largest = np.abs(A).max()
    return float(np.ldexp(1.0, -int(np.frexp(largest)[1]))) if largest > 0 else 1.0


def _check_info(info: int) -> None:
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK's symmetric eigensolver failed with info={info}")


def _compiled() -> Any:
    try:
        from unsup_fast.kernels.eigh import _lapack
    except ImportError as error:
        raise ImportError(
            "unsup_fast's compiled part could not be loaded "
            f"({error}); reinstall with 'pip install .' from the source tree"
        ) from error
    return _lapack
