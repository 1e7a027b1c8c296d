"""Dense linear algebra of arrays, and of tensors on the device that holds them.

Arrays are worked on by LAPACK, scikit-learn's randomized SVD and the kernels of this library,
tensors by torch. Functions take and return either, unless they say otherwise.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import scipy.linalg
from sklearn.utils.extmath import randomized_svd

from unsup_fast._rows import arrays
from unsup_fast._types import Array, is_tensor
from unsup_fast.kernels import affine as affine_kernel
from unsup_fast.kernels import covariance as covariance_kernel
from unsup_fast.kernels import eigh as eigh_kernel
from unsup_fast.kernels import moments as moments_kernel
from unsup_fast.kernels import threads

if TYPE_CHECKING:
    from torch import Tensor

    from unsup_fast._rows.protocol import ArrayOrTensor

WIDE = 1 << 22  # elements of a block of transposed columns
BLOCK = 1 << 24  # elements of a block of rows on a device: 128 MiB in float64
EPS = float(np.finfo(np.float64).eps)


class Eigen(NamedTuple):
    """Eigenvalues of a symmetric matrix [N, N], and its leading eigenvectors on request."""

    values: Array
    """[N] float64, descending, on the host"""
    leading: Callable[[int], "ArrayOrTensor"]
    """``leading(k)`` returns the eigenvectors of the k largest as orthonormal rows [k, N]."""


def eigh(A: "ArrayOrTensor") -> Eigen:
    """Return the eigenvalues and eigenvectors of a symmetric float64 matrix [N, N]."""
    if not is_tensor(A):
        eigen = eigh_kernel.eigh(A)
        return Eigen(values=eigen.values, leading=eigen.leading)
    import torch

    values, vectors = torch.linalg.eigh(A)  # ascending
    rows = vectors.T.flip(0)  # [N, N]
    return Eigen(values=arrays.on_host(values.flip(0)), leading=lambda k: rows[:k])


def svd(X: "ArrayOrTensor") -> tuple[Array, "ArrayOrTensor"]:
    """Return the singular values [M] of X [N, D] and its right singular vectors [M, D].

    The values are float64 on the host, descending; M = min(N, D). An array X is overwritten.
    """
    if is_tensor(X):
        import torch

        _, singular, axes = torch.linalg.svd(X, full_matrices=False)
        return arrays.on_host(singular.double()), axes
    _, singular, axes = scipy.linalg.svd(X, full_matrices=False, overwrite_a=True)
    return singular.astype(np.float64), axes


def ritz(rows: "ArrayOrTensor", axes: "ArrayOrTensor") -> tuple[Array, "ArrayOrTensor"]:
    """Return variances [k], and axes [k, D] turned so that coordinates of rows are uncorrelated.

    A truncated SVD's own singular values are those of its approximation of the rows. By the method
    of Rayleigh and Ritz the axes that span the same space best, and the variances along them, are
    those of the coordinates [N, k] themselves.
    """
    if is_tensor(rows):
        import torch

        with _full_precision():
            coordinates = rows @ axes.T  # [N, k]
            singular, turn = svd(torch.linalg.qr(coordinates).R)
            return singular**2 / (len(coordinates) - 1), turn @ axes
    coordinates = rows @ axes.T
    r = scipy.linalg.qr(coordinates, mode="r", overwrite_a=True)[0]
    singular, turn = svd(r[: len(axes)])
    return singular**2 / (len(coordinates) - 1), turn @ axes


def affine(
    X: "ArrayOrTensor",
    weights: "ArrayOrTensor",
    *,
    shift: Array | None = None,
    offset: Array | None = None,
    n_threads: int | None = None,
) -> "ArrayOrTensor":
    """Return ``(X - shift) @ weights.T + offset`` [N, K] in the type of the weights.

    Parameters
    ----------
    X : ndarray or tensor of shape (N, D), float32 or float64
    weights : C-contiguous ndarray of shape (K, D), K >= 1, float32 or float64
        Or a tensor on the device of X.
    shift : ndarray of shape (D,), type of the weights, optional
    offset : ndarray of shape (K,), type of the weights, optional
    n_threads : int, optional
        Threads to run; None for all. Not for tensors.
    """
    if not is_tensor(X):
        assert not is_tensor(weights)
        return affine_kernel.affine(
            np.ascontiguousarray(X, dtype=weights.dtype),
            weights,
            shift=shift,
            offset=offset,
            n_threads=n_threads,
        )
    transposed, origin, constant = (_like(value, X) for value in (weights.T, shift, offset))
    out = X.new_empty((len(X), len(weights)), dtype=transposed.dtype)
    for rows in _blocks(len(X), max(X.shape[1], len(weights))):
        block = X[rows] if origin is None else X[rows] - origin  # [B, D]
        with _full_precision():
            out[rows] = block.to(transposed.dtype) @ transposed
        if constant is not None:
            out[rows] += constant
    return out


def divided(coordinates: "ArrayOrTensor", divisors: Array | None) -> "ArrayOrTensor":
    """Return coordinates [N, K] divided by [K], in place; None divides by ones."""
    if divisors is None:
        return coordinates
    if is_tensor(coordinates):
        return coordinates.div_(_like(divisors, coordinates))
    np.divide(coordinates, divisors, out=coordinates, casting="same_kind")
    return coordinates


def centered(X: "ArrayOrTensor", mean: Array, unit: float) -> "ArrayOrTensor":
    """Return ``(X - mean) / unit`` [N, D] in the type of X, from differences in float64."""
    rows = X - _like(mean, X)
    if unit != 1:
        rows /= unit
    rounded: ArrayOrTensor
    rounded = rows.to(X.dtype) if is_tensor(X) else rows.astype(X.dtype, copy=False)
    return rounded


def variance(X: "ArrayOrTensor") -> Array:
    """Return the variance [D] of each column, divided by N, in float64 on the host."""
    if not is_tensor(X):
        return moments_kernel.moments(X).variance
    from unsup_fast._rows import tensors

    return tensors.moments(X).variance


def gram(X: "ArrayOrTensor", mean: Array, unit: float, n_threads: int | None) -> tuple[Any, float]:
    """Return the inner products [N, N] of the rows ``(X - mean) / unit``, and their eps.

    The products are float64, summed up to within that eps.
    """
    if not is_tensor(X):
        products = covariance_kernel.gram(X, mean, unit=unit, n_threads=n_threads)
        return products, float(np.finfo(X.dtype).eps)
    total = _like(np.zeros((len(X), len(X))), X)
    for columns in _centered_columns(X, mean, unit, BLOCK):
        total += columns.T @ columns
    return total, EPS


def row_combinations(
    X: "ArrayOrTensor",
    mean: Array,
    unit: float,
    weights: "ArrayOrTensor",
    n_threads: int | None,
) -> "ArrayOrTensor":
    """Return ``((X - mean) / unit).T @ weights.T`` [D, k] for float64 weights [k, N]."""
    if is_tensor(X):
        import torch

        parts = _centered_columns(X, mean, unit, BLOCK)
        return torch.cat([columns @ weights.T for columns in parts])
    out = np.empty((X.shape[1], len(weights)))
    first = 0
    for columns in _centered_columns(X, mean, unit, WIDE):
        rows = np.ascontiguousarray(columns)
        out[first : first + len(rows)] = affine_kernel.affine(
            rows, arrays.on_host(weights), n_threads=n_threads
        )
        first += len(rows)
    return out


def orthonormal(columns: "ArrayOrTensor") -> Array:
    """Return an orthonormal basis [k, D] of columns [D, k] by QR, on the host."""
    if is_tensor(columns):
        import torch

        q, r = torch.linalg.qr(columns)  # [D, k]
        basis: Array = arrays.on_host(torch.where(r.diagonal() < 0, -q, q).T)
        return basis
    with threads.one_in_blas():
        q, r = scipy.linalg.qr(columns, mode="economic", overwrite_a=True)
    return np.ascontiguousarray((q * np.where(r.diagonal() < 0, -1.0, 1.0)).T)


def randomized_axes(
    X: "ArrayOrTensor",
    k: int,
    *,
    n_oversamples: int,
    n_iter: int | str,
    normalizer: str,
    random_state: np.random.RandomState,
) -> "ArrayOrTensor":
    """Return k right singular vectors [k, D] of X by scikit-learn's randomized SVD.

    Halko, Martinsson & Tropp, "Finding structure with randomness", SIAM Review 53 (2011). Tensors
    take the draws and steps of scikit-learn on their device.
    """
    if not is_tensor(X):
        axes: Array = randomized_svd(
            X,
            k,
            n_oversamples=n_oversamples,
            n_iter=n_iter,
            power_iteration_normalizer=normalizer,
            flip_sign=False,
            random_state=random_state,
        )[2]
        return axes
    import torch

    is_wide = len(X) < X.shape[1]
    M = X.T if is_wide else X
    n_iter = (7 if k < 0.1 * min(X.shape) else 4) if isinstance(n_iter, str) else n_iter
    if normalizer == "auto":
        normalizer = "none" if n_iter <= 2 else "LU"
    drawn = random_state.normal(size=(M.shape[1], k + n_oversamples))
    Q = _like(drawn, X).to(X.dtype)
    with _full_precision():
        for _ in range(n_iter):
            Q = _normalized(M @ Q, normalizer)
            Q = _normalized(M.T @ Q, normalizer)
        Q = torch.linalg.qr(M @ Q).Q
        left, _, right = torch.linalg.svd(Q.T @ M, full_matrices=False)
        leading: Tensor = (Q @ left).T if is_wide else right
        return leading[:k]


def _like(value: Any, X: "ArrayOrTensor") -> Any:
    """Return an array on the device of X if X is a tensor, and all else unchanged."""
    return arrays.to_device(value, arrays.device_of(X))


def _full_precision() -> AbstractContextManager[None]:
    from unsup_fast.kernels.precision import full_precision

    return full_precision()


def _normalized(Y: "Tensor", normalizer: str) -> "Tensor":
    """Return a basis of what the columns of Y span; `normalizer` says how well conditioned."""
    import torch

    if normalizer == "LU":
        P, L, _ = torch.linalg.lu(Y)
        basis: Tensor = P @ L
    else:
        basis = torch.linalg.qr(Y).Q if normalizer == "QR" else Y
    return basis


def _centered_columns(X: Any, mean: Array, unit: float, elements: int) -> Iterator[Any]:
    """Yield ``((X - mean) / unit).T`` in blocks [B, N] of up to `elements` float64 elements."""
    point = _like(mean, X)
    for part in _blocks(X.shape[1], len(X), elements):
        yield ((X[:, part] - point[part]) / unit).T


def _blocks(length: int, width: int, elements: int = BLOCK) -> Iterator[slice]:
    step = max(1, elements // width)
    for start in range(0, length, step):
        yield slice(start, start + step)
