"""`sqrtm`: Tr (S1 S2)^(1/2) of two covariances, the principal square root, and their gradients.

With S1 = F1^T F1 and S2 = F2^T F2 the trace is the sum of the singular values of W = F1 F2^T, so it
is real and never NaN; (S1 S2)^(1/2) = F1^T Q F2 with Q the polar factor of W, W = Q (W^T W)^(1/2);
and the gradient by F1 is Q F2. F is a Cholesky factor, one by eigenvectors where S is singular, or
the rows of data, so that with fewer rows than columns the small side is worked on.

On the CPU all is float64, by LAPACK: Cholesky, F1 S2 F1^T, and its eigenvalues alone. Where these
differ so much that rounding may cost the trace 1e-10, singular values of W are used instead.
Tensors on a GPU go through matrix products alone once they are factored; see polar.py.
"""

import functools
from importlib import import_module
from typing import Any, NamedTuple

from unsup_fast.kernels import _check
from unsup_fast.kernels._dispatch import choose, is_native
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.sqrtm import checks

__all__ = ["Trace", "factor", "sqrtm", "trace_sqrtm", "trace_sqrtm_factors", "trace_with_error"]

LAPACK = "unsup_fast.kernels.sqrtm._lapack"


class Trace(NamedTuple):
    """A trace and a bound of its error."""

    value: Any
    """Tr (S1 S2)^(1/2), not negative"""
    error: Any
    """On a GPU ("polar"): value <= trace <= value + error, up to the rounding of one product. On
    the CPU: what backward errors of a few units of rounding in each step may add up to, if none of
    their signs differ. Neither counts the rounding that S1 and S2 came with."""


def trace_sqrtm(
    S1: Any,
    S2: Any,
    *,
    tol: float | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Any:
    """Return Tr (S1 S2)^(1/2) of two symmetric semi-definite matrices.

    Parameters
    ----------
    S1, S2 : ndarray or tensor of shape (D, D), float32 or float64
        Both arrays or both tensors of one type and device. Eigenvalues below zero by no more than
        1e-3 of the largest are taken as rounding, and as zero. Not modified.
    tol : float, optional
        Relative error at which "polar" ends; None is 1e-10 in float64, 1e-6 in float32.
    n_threads : int, optional
        Threads of the BLAS; None leaves them as they are.
    backend : {"native", "portable", "ref"} for arrays, optional
        Tensors on the CPU have "polar" for "ref", those on a GPU "polar" alone. None is "native" or
        "portable" on the CPU, which compute in float64, and "polar" on a GPU, which computes in the
        type of the tensors and never in TF32.

    Returns
    -------
    float, or 0-dimensional tensor
        Tensors have a gradient: Q of the polar decomposition, from the factors. Along directions in
        which S1 or S2 has no variance the derivative is infinite; it is left out there.

    Raises
    ------
    TypeError, ValueError
        If S1 or S2 is no such matrix: not square, not finite, not symmetric, or with eigenvalues
        well below zero.
    numpy.linalg.LinAlgError
        If LAPACK's iteration does not converge.
    """
    return trace_with_error(S1, S2, tol=tol, n_threads=n_threads, backend=backend).value


def trace_with_error(
    S1: Any,
    S2: Any,
    *,
    tol: float | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Trace:
    """Return Tr (S1 S2)^(1/2) and its absolute error; see `trace_sqrtm` and `Trace`."""
    checks.square("S1", S1)
    checks.square("S2", S2)
    checks.alike("S1", S1, "S2", S2)
    tol = checks.tolerance(tol, S1.dtype.itemsize == 4)
    if _check.is_tensor(S1):
        module, name = _tensors(S1, backend)
        return Trace(*module.trace(S1, S2, tol, n_threads, name))
    module, name = _arrays(backend)
    return Trace(*module.trace(S1, S2, n_threads, name))


def trace_sqrtm_factors(
    A: Any,
    B: Any,
    *,
    tol: float | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Any:
    """Return Tr (S1 S2)^(1/2) for S1 = A^T A and S2 = B^T B, of rows A and B.

    Rows less their mean, over sqrt(N - 1), are such factors of a covariance. No D x D matrix is
    formed where there are fewer rows than columns, and nothing is squared, so the error does not
    depend on how singular S1 and S2 are: u sqrt(R) (D |A| |B| + 8 R |A B^T|) with u the unit
    roundoff, R = min(N, M) and Frobenius norms.

    Parameters
    ----------
    A, B : ndarray or tensor of shape (N, D) and (M, D), float32 or float64
        Both arrays or both tensors of one type and device. Not modified.
    tol, n_threads, backend
        As for `trace_sqrtm`.

    Returns
    -------
    float, or 0-dimensional tensor
        Tensors have a gradient: Q B by A and Q^T A by B.

    Raises
    ------
    TypeError, ValueError
        If A and B are no such matrices, or not finite.
    numpy.linalg.LinAlgError
        If LAPACK's iteration does not converge.
    """
    for name, value in (("A", A), ("B", B)):
        checks.matrix(name, value)
    checks.alike("A", A, "B", B)
    tol = checks.tolerance(tol, A.dtype.itemsize == 4)
    if _check.is_tensor(A):
        module, name = _tensors(A, backend)
        return module.trace_factors(A, B, tol, n_threads, name)[0]
    module, name = _arrays(backend)
    return module.trace_factors(A, B, n_threads, name)[0]


def sqrtm(
    S1: Any, S2: Any = None, *, n_threads: int | None = None, backend: str | None = None
) -> Any:
    """Return the principal square root of S1, or of the product S1 S2.

    Parameters
    ----------
    S1, S2 : ndarray or tensor of shape (D, D), float32 or float64
        Symmetric and semi-definite, as for `trace_sqrtm`. The product of two such matrices always
        has a root with real eigenvalues, none of them negative.
    n_threads, backend
        As for `trace_sqrtm`.

    Returns
    -------
    ndarray or tensor of shape (D, D), of the type of S1
        Symmetric for one matrix, of which tensors have a gradient (to a root of a product they have
        none: `trace_sqrtm` is what has one). Singular values of F1 F2^T below D times the rounding
        unit are taken as zero.

    Raises
    ------
    TypeError, ValueError, numpy.linalg.LinAlgError
        As `trace_sqrtm`.
    """
    checks.square("S1", S1)
    if S2 is not None:
        checks.square("S2", S2)
        checks.alike("S1", S1, "S2", S2)
    if _check.is_tensor(S1):
        module, name = _tensors(S1, backend)
        return module.root(S1, S2, n_threads, name)
    module, name = _arrays(backend)
    return module.root(S1, S2, n_threads, name).astype(S1.dtype, copy=False)


def factor(S: Array, *, n_threads: int | None = None) -> Array:
    """Return F [R, D] with S = F^T F, R being the rank of S: rows for `trace_sqrtm_factors`.

    Parameters
    ----------
    S : ndarray of shape (D, D), float32 or float64
        Symmetric and semi-definite, as for `trace_sqrtm`.
    n_threads : int, optional
        Threads of the BLAS; None leaves them as they are.

    Returns
    -------
    ndarray of shape (R, D), float64
        Upper triangular where S has full rank.

    Raises
    ------
    TypeError, ValueError
        As `trace_sqrtm`.
    """
    checks.square("S", S)
    module, name = _arrays("native" if is_native(LAPACK) else "portable")
    F: Array = module.factor(S, n_threads, name)
    return F


def _arrays(backend: str | None) -> tuple[Any, str]:
    """Return the module that computes with arrays, and its backend's name."""
    name = _chosen(("native", "portable", "ref"), backend)
    return import_module(f"unsup_fast.kernels.sqrtm.{'ref' if name == 'ref' else 'native'}"), name


def _tensors(S: Any, backend: str | None) -> Any:
    """Return the module that computes with tensors, and its backend's name."""
    from unsup_fast.kernels.sqrtm import torch_

    if S.device.type == "cpu":
        return torch_, _chosen(("native", "portable", "polar"), backend, torch_.DEFAULT)
    return torch_, _chosen(("polar",), backend, "polar")


def _chosen(names: tuple[str, ...], backend: str | None, default: str | None = None) -> str:
    offers = {name: functools.partial(str, name) for name in names}
    return choose("sqrtm", offers, backend, default, LAPACK)()
