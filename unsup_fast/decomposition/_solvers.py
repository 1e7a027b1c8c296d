"""From rows to principal axes: by the covariance's eigenvectors, or by an SVD of the rows.

With X' = X - mean = U S V^T, the covariance is V (S^2 / (N - 1)) V^T: its eigenvectors are the
right singular vectors, and where D > N they follow from the eigenvectors U of X' X'^T.

Rounding makes variances along axes that have none. By Weyl's inequality an eigenvalue is off by no
more than the norm of what rounding adds to the matrix: a few eps of the largest eigenvalue for the
sums of products and, in LAPACK, a small multiple of sqrt(M) eps for M x M (Golub & Van Loan, Matrix
Computations, 8.1). Singular values are off by that of the largest singular value, so their squares
by far less. `PRODUCTS` and `SUMS` are 30 times what random, low-rank and off-center rows showed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.utils.sparsefuncs import mean_variance_axis

from unsup_fast._rows import arrays
from unsup_fast._rows.protocol import Rows
from unsup_fast._types import Array
from unsup_fast.decomposition import _linalg
from unsup_fast.kernels.covariance import Covariance, too_far, unit_of
from unsup_fast.kernels.moments import Moments

if TYPE_CHECKING:
    import scipy.sparse as sp
    import torch

    from unsup_fast._rows.protocol import ArrayOrTensor

    Csr: TypeAlias = sp.csr_matrix | sp.csr_array

EPS = float(np.finfo(np.float64).eps)
SUMS, PRODUCTS = 32.0, 64.0  # of rounding errors: see above


class Axes(NamedTuple):
    """Principal axes of N rows, in float64."""

    n_rows: int
    """Number of rows N."""
    mean: Array
    """[D]"""
    variances: Array
    """[M], descending, in units of unit**2: along all min(N, D) axes, or along those wanted"""
    total: float
    """Variance along all axes, in units of unit**2."""
    leading: Callable[[int], Array]
    """``leading(k)`` returns the first k axes as orthonormal rows [k, D]."""
    rounding: float
    """Variance from rounding alone along an axis without variance, in units of unit**2."""
    unit: float = 1.0
    """A power of two, 1 unless variances leave the range of float64."""


def rounding_of_products(largest: float, size: int, eps: float) -> float:
    """Return the rounding of eigenvalues of products of rows, the largest of `size` known."""
    return float((PRODUCTS * eps + SUMS * np.sqrt(size) * EPS) * largest)


def rounding_of_svd(largest: float, size: int, eps: float) -> float:
    """Return the rounding of variances by an SVD of centered rows, the largest of `size` known."""
    return float((SUMS * np.sqrt(size) * eps) ** 2 * largest)


def rounding_of_mean(mean: Array, unit: float, eps: float = EPS) -> float:
    """Return the variance that centering leaves, which rounds the mean, along whatever axis."""
    deviation = 8 * eps * np.sqrt(len(mean)) * (np.abs(mean).max() / unit)
    return float(min(deviation, 1e150)) ** 2


def of_covariance(sums: Covariance, eps: float, device: "torch.device | None" = None) -> Axes:
    """Return the axes of rows whose mean and scatter are known, summed up to within `eps`.

    The eigenvectors are computed on the torch device, or on the CPU if it is None.
    """
    degrees = max(sums.n_rows - 1, 1)
    eigen = _linalg.eigh(arrays.to_device(sums.scatter, device))
    n_columns = len(sums.mean)
    values = np.maximum(eigen.values[: min(sums.n_rows, n_columns)] / degrees, 0)
    rounding = rounding_of_products(values[0], n_columns, eps)
    return Axes(
        n_rows=sums.n_rows,
        mean=sums.mean,
        variances=values,
        total=float(np.trace(sums.scatter)) / degrees,
        leading=lambda k: arrays.on_host(eigen.leading(k)),
        rounding=rounding + rounding_of_mean(sums.mean, sums.unit),
        unit=sums.unit,
    )


def of_gram(rows: Rows) -> Axes:
    """Return the axes of fewer rows than columns from their inner products."""
    moments, degrees = rows.moments, rows.n_rows - 1
    assert moments is not None
    mean, unit = moments.mean, unit_of(_largest(moments, rows.dtype), np.float64)
    products, eps = _linalg.gram(rows.X, mean, unit, rows.n_threads)
    eigen = _linalg.eigh(products)

    def leading(k: int) -> Array:
        # Along axes of hardly any variance the rows say nothing; QR makes them orthonormal too.
        return _linalg.orthonormal(
            _linalg.row_combinations(rows.X, mean, unit, eigen.leading(k), rows.n_threads)
        )

    values = np.maximum(eigen.values / degrees, 0)
    return Axes(
        n_rows=rows.n_rows,
        mean=mean,
        variances=values,
        total=float(products.trace()) / degrees,
        leading=leading,
        rounding=rounding_of_products(values[0], rows.n_rows, eps) + rounding_of_mean(mean, unit),
        unit=unit,
    )


def of_svd(rows: Rows) -> Axes:
    """Return the axes by an SVD of a centered copy of the rows, in their type."""
    assert rows.moments is not None
    mean = rows.moments.mean
    centered, unit = _centered_copy(rows, rows.moments)
    singular, axes = _linalg.svd(centered)
    variances = singular**2 / (rows.n_rows - 1)
    return _of_singular_values(rows, mean, variances, float(variances.sum()), axes, unit)


def randomized(
    rows: Rows,
    k: int,
    *,
    n_oversamples: int,
    n_iter: int | str,
    normalizer: str,
    random_state: np.random.RandomState,
) -> Axes:
    """Return k axes by scikit-learn's randomized SVD of a centered copy of the rows."""
    moments = rows.moments
    assert moments is not None
    centered, unit = _centered_copy(rows, moments)
    total = _total(centered, moments, unit)
    if total == 0:
        return _without_variance(rows, moments.mean, k)
    axes = _linalg.randomized_axes(
        centered,
        k,
        n_oversamples=n_oversamples,
        n_iter=n_iter,
        normalizer=normalizer,
        random_state=random_state,
    )
    variances, axes = _linalg.ritz(centered, axes)
    return _of_singular_values(rows, moments.mean, variances, total, axes, unit)


def arpack(rows: Rows, k: int, *, tol: float, random_state: np.random.RandomState) -> Axes:
    """Return k axes by ARPACK's Lanczos iteration; sparse rows are centered implicitly."""
    n_rows, dtype, moments, of_mean = rows.n_rows, rows.dtype, rows.moments, 0.0
    if moments is None:
        moved, shift = shifted(rows.X)
        largest = np.abs(moved.data).max(initial=0)
        if not np.isfinite(largest):
            raise too_far(dtype)
        unit = unit_of(2 * largest, dtype)
        scaled = moved if unit == 1 else moved / dtype.type(unit)
        middle = np.asarray(scaled.sum(axis=0, dtype=np.float64)).ravel() / n_rows
        variance = mean_variance_axis(scaled, axis=0)[1]
        total = float(variance.sum(dtype=np.float64)) * n_rows / (n_rows - 1)
        rest = middle * unit
        mean, operator = shift + rest, _centered_operator(scaled, middle.astype(dtype))
        # X v - mean v cancels in the type of X, here and in `transform`.
        of_mean = rounding_of_mean(rest, unit, float(np.finfo(dtype).eps))
    else:
        mean = moments.mean
        operator, unit = _centered_copy(rows, moments)
        total = _total(operator, moments, unit)
    if total == 0:
        return _without_variance(rows, mean, k)
    start = random_state.uniform(-1, 1, min(rows.shape))
    _, _, axes = svds(operator, k=k, tol=tol, v0=start.astype(dtype))
    variances, axes = _linalg.ritz(operator, axes)
    solution = _of_singular_values(rows, mean, variances, total, axes, unit)
    return solution._replace(rounding=solution.rounding + of_mean)


def _centered_copy(rows: Rows, moments: Moments) -> tuple["ArrayOrTensor", float]:
    """Return centered rows in the type of X, divided by a power of two, and that."""
    unit = unit_of(_largest(moments, rows.dtype), rows.dtype)
    return _linalg.centered(rows.X, moments.mean, unit), unit


def _largest(moments: Moments, dtype: np.dtype[Any]) -> float:
    """Return the largest distance from the mean, or raise RangeError if it overflows."""
    largest = float(moments.max_abs_deviation.max())
    if not largest <= np.finfo(dtype).max:
        raise too_far(dtype)
    return largest


def _total(centered: "ArrayOrTensor", moments: Moments, unit: float) -> float:
    """Return the variance along all axes of centered rows."""
    variance = moments.variance if unit == 1 else _linalg.variance(centered)
    return float(variance.sum()) * len(centered) / (len(centered) - 1)


def _of_singular_values(
    rows: Rows, mean: Array, variances: Array, total: float, axes: "ArrayOrTensor", unit: float
) -> Axes:
    """Return the axes [k, D] that an SVD of centered rows gave, with the variances along them."""
    eps, on_host = float(np.finfo(rows.dtype).eps), arrays.on_host(axes)
    rounding = rounding_of_svd(variances[0], min(rows.shape), eps)
    return Axes(
        n_rows=rows.n_rows,
        mean=mean,
        variances=variances,
        total=total,
        leading=lambda k: on_host[:k],
        rounding=rounding + rounding_of_mean(mean, unit),
        unit=unit,
    )


def _without_variance(rows: Rows, mean: Array, k: int) -> Axes:
    """Return k axes of equal rows, which iterations cannot start from."""
    axes = np.eye(k, rows.n_columns)
    return _of_singular_values(rows, mean, np.zeros(k), 0.0, axes, 1.0)


def shifted(X: "Csr") -> "tuple[Csr, Array]":
    """Return CSR rows less the first of them in columns without gaps, and what was subtracted [D].

    Only such columns can lie so far from zero that subtracting the mean of a product cancels.
    """
    is_full = np.bincount(X.indices, minlength=X.shape[1]) == X.shape[0]  # [D]
    shift = np.zeros(X.shape[1])
    if not is_full.any():
        return X, shift
    first = slice(0, X.indptr[1])
    shift[X.indices[first]] = X.data[first]
    shift[~is_full] = 0
    with np.errstate(over="ignore"):
        data = (X.data - shift[X.indices]).astype(X.dtype)
    return X.__class__((data, X.indices, X.indptr), shape=X.shape), shift


def _centered_operator(X: "Csr", mean: Array) -> LinearOperator:
    """Return sparse rows less their mean as an operator, never filled."""
    ones = np.ones(X.shape[0], X.dtype)
    transposed = X.T.tocsr()
    return LinearOperator(
        X.shape,
        dtype=X.dtype,
        matvec=lambda v: X @ v.ravel() - ones * (mean @ v.ravel()),  # SciPy passes [D, 1] too
        rmatvec=lambda v: transposed @ v - mean * v.sum(axis=0),
        matmat=lambda v: X @ v - ones[:, None] * (mean @ v),
        rmatmat=lambda v: transposed @ v - mean[:, None] * v.sum(axis=0),
    )
