"""LAPACK's symmetric eigensolver in steps, each by the compiled module or by `scipy_`."""

from types import ModuleType

import numpy as np

from unsup_fast.kernels import threads
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.eigh.eigen import Eigen


class SteppedEigen(Eigen):
    """Eigenvalues of a matrix A by LAPACK, in the steps of a module: `_lapack` or `scipy_`."""

    def __init__(self, A: Array, lapack: ModuleType) -> None:
        n = len(A)
        self._lapack = lapack
        self._scale = _scale(A)
        self._reflectors = A * self._scale  # [N, N]
        self._work = np.empty(max(64, 18) * n)
        self._diagonal, self._off_diagonal, self._tau = np.empty((3, n))
        with threads.one_in_blas():
            info = lapack.tridiagonalise(
                a=self._reflectors,
                diagonal=self._diagonal,
                off_diagonal=self._off_diagonal,
                tau=self._tau,
                work=self._work,
            )
            values = self._diagonal.copy()
            info = info or lapack.eigenvalues(
                diagonal=values, off_diagonal=self._off_diagonal.copy()
            )
        _check_info(info)
        self.values = values[::-1] / self._scale

    def leading(self, k: int) -> Array:
        """Return the eigenvectors of the `k` largest eigenvalues as rows [k, N]."""
        n = len(self._diagonal)
        if k == 0:
            return np.empty((0, n))
        vectors, values = np.empty((k, n)), np.empty(n)
        support, iwork = np.empty(2 * k, np.int32), np.empty(10 * n, np.int32)
        with threads.one_in_blas():
            info = self._lapack.eigenvectors(
                a=self._reflectors,
                diagonal=self._diagonal.copy(),
                off_diagonal=self._off_diagonal.copy(),
                tau=self._tau,
                values=values,
                vectors=vectors,
                support=support,
                work=self._work,
                iwork=iwork,
            )
        _check_info(info)
        return np.ascontiguousarray(vectors[::-1])


def _scale(A: Array) -> float:
    """Return the power of two that brings the largest entry near one, where squares are safe."""
    largest = np.abs(A).max()
    return float(np.ldexp(1.0, -int(np.frexp(largest)[1]))) if largest > 0 else 1.0


def _check_info(info: int) -> None:
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK's symmetric eigensolver failed with info={info}")
