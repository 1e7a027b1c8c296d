"""From rows to principal axes: by the covariance's eigenvectors, or by an SVD of the rows.

With X' = X - mean = U S V^T, the covariance is V (S^2 / (N - 1)) V^T: its eigenvectors are the
right singular vectors, and where D > N they follow from the eigenvectors U of X' X'^T.

Rounding makes variances along axes that have none. By Weyl's inequality an eigenvalue is off by no
more than the norm of what rounding adds to the matrix: a few eps of the largest eigenvalue for the
sums of products and, in LAPACK, a small multiple of sqrt(M) eps for M x M (Golub & Van Loan, Matrix
Computations, 8.1). Singular values are off by that of the largest singular value, so their squares
by far less. `PRODUCTS` and `SUMS` are 30 times what random, low-rank and off-centre rows showed.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.linalg
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.utils import check_random_state
from sklearn.utils.extmath import randomized_svd
from sklearn.utils.sparsefuncs import mean_variance_axis

from unsup_fast.kernels import threads
from unsup_fast.kernels.affine import affine
from unsup_fast.kernels.covariance import Covariance, gram, too_far, unit_of
from unsup_fast.kernels.eigh import eigh
from unsup_fast.kernels.moments import Moments, moments

Array = npt.NDArray[Any]

WIDE = 1 << 22  # elements of a block of transposed columns
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
    leading: Callable[[int], Any]
    """``leading(k)`` returns the first k axes as orthonormal rows [k, D]."""
    rounding: float
    """Variance from rounding alone along an axis without variance, in units of unit**2."""
    unit: float = 1.0
    """A power of two, 1 unless variances leave the range of float64."""


def rounding_of_products(largest: float, size: int, eps: float) -> float:
    """Return the rounding of eigenvalues of products of rows, the largest of `size` known."""
    return float((PRODUCTS * eps + SUMS * np.sqrt(size) * EPS) * largest)


def rounding_of_svd(largest: float, size: int, eps: float) -> float:
    """Return the rounding of variances by an SVD of centred rows, the largest of `size` known."""
    return float((SUMS * np.sqrt(size) * eps) ** 2 * largest)


def rounding_of_mean(mean: Array, unit: float, eps: float = EPS) -> float:
    """Return the variance that centring leaves, which rounds the mean, along whatever axis."""
    deviation = 8 * eps * np.sqrt(len(mean)) * (np.abs(mean).max() / unit)
    return float(min(deviation, 1e150)) ** 2


def of_covariance(sums: Covariance, eps: float) -> Axes:
    """Return the axes of rows whose mean and scatter are known, summed up to within `eps`."""
    degrees = max(sums.n_rows - 1, 1)
    eigen = eigh(sums.scatter)
    n_columns = len(sums.mean)
    values = np.maximum(eigen.values[: min(sums.n_rows, n_columns)] / degrees, 0)
    rounding = rounding_of_products(values[0], n_columns, eps)
    return Axes(
        n_rows=sums.n_rows,
        mean=sums.mean,
        variances=values,
        total=float(np.trace(sums.scatter)) / degrees,
        leading=eigen.leading,
        rounding=rounding + rounding_of_mean(sums.mean, sums.unit),
        unit=sums.unit,
    )


def of_gram(X: Array, statistics: Moments, n_threads: int | None) -> Axes:
    """Return the axes of fewer rows than columns from their inner products."""
    n_rows, n_columns = X.shape
    mean, degrees = statistics.mean, n_rows - 1
    unit = unit_of(_largest(statistics, X.dtype), np.float64)
    products = gram(X, mean, unit=unit, n_threads=n_threads)
    eigen = eigh(products)

    def leading(k: int) -> Array:
        weights = eigen.leading(k)  # [k, N]
        axes = np.empty((n_columns, k))
        step = max(1, WIDE // n_rows)
        for start in range(0, n_columns, step):
            part = slice(start, start + step)
            columns = np.ascontiguousarray(((X[:, part] - mean[part]) / unit).T)  # [step, N]
            axes[part] = affine(columns, weights, n_threads=n_threads)
        # Along axes of hardly any variance the rows say nothing; QR makes them orthonormal too.
        with threads.one_in_blas():
            q, r = scipy.linalg.qr(axes, mode="economic", overwrite_a=True)
        return np.ascontiguousarray((q * np.where(r.diagonal() < 0, -1.0, 1.0)).T)

    values = np.maximum(eigen.values / degrees, 0)
    return Axes(
        n_rows=n_rows,
        mean=mean,
        variances=values,
        total=float(np.trace(products)) / degrees,
        leading=leading,
        rounding=rounding_of_products(values[0], n_rows, float(np.finfo(X.dtype).eps))
        + rounding_of_mean(mean, unit),
        unit=unit,
    )


def of_svd(X: Array, statistics: Moments) -> Axes:
    """Return the axes by an SVD of a centred copy of the rows, in their type."""
    rows, unit = _centred_copy(X, statistics)
    _, singular, axes = scipy.linalg.svd(rows, full_matrices=False, overwrite_a=True)
    values = singular.astype(np.float64) ** 2 / (len(X) - 1)
    return _of_singular_values(X, statistics.mean, values, float(values.sum()), axes, unit)


def randomized(estimator: Any, X: Array, statistics: Moments, k: int) -> Axes:
    """Return k axes by scikit-learn's randomized SVD of a centred copy of the rows."""
    rows, unit = _centred_copy(X, statistics)
    total = _total(rows, statistics, unit)
    if total == 0:
        return _without_variance(X, statistics.mean, k)
    _, _, axes = randomized_svd(
        rows,
        k,
        n_oversamples=estimator.n_oversamples,
        n_iter=estimator.iterated_power,
        power_iteration_normalizer=estimator.power_iteration_normalizer,
        flip_sign=False,
        random_state=check_random_state(estimator.random_state),
    )
    values, axes = _ritz(rows @ axes.T, axes)
    return _of_singular_values(X, statistics.mean, values, total, axes, unit)


def arpack(estimator: Any, X: Any, statistics: Moments | None, k: int) -> Axes:
    """Return k axes by ARPACK's Lanczos iteration; sparse rows are centred implicitly."""
    n_rows, rows = X.shape[0], X
    if statistics is None:
        moved, shift = shifted(X)
        largest = np.abs(moved.data).max(initial=0)
        if not np.isfinite(largest):
            raise too_far(X.dtype)
        unit = unit_of(2 * largest, X.dtype)
        scaled = moved if unit == 1 else moved / X.dtype.type(unit)
        middle = np.asarray(scaled.sum(axis=0, dtype=np.float64)).ravel() / n_rows
        variance = mean_variance_axis(scaled, axis=0)[1]
        total = float(variance.sum(dtype=np.float64)) * n_rows / (n_rows - 1)
        rest = middle * unit
        mean, rows = shift + rest, _centred(scaled, middle.astype(X.dtype))
    else:
        mean = statistics.mean
        rows, unit = _centred_copy(X, statistics)
        total = _total(rows, statistics, unit)
    if total == 0:
        return _without_variance(X, mean, k)
    start = check_random_state(estimator.random_state).uniform(-1, 1, min(X.shape))
    _, _, axes = svds(rows, k=k, tol=estimator.tol, v0=start.astype(X.dtype))
    values, axes = _ritz(rows @ axes.T, axes)
    solution = _of_singular_values(X, mean, values, total, axes, unit)
    if statistics is None:  # X v - mean v cancels in the type of X, here and in `transform`
        of_mean = rounding_of_mean(rest, unit, float(np.finfo(X.dtype).eps))
        solution = solution._replace(rounding=solution.rounding + of_mean)
    return solution


def _centred_copy(X: Array, statistics: Moments) -> tuple[Array, float]:
    """Return centred rows in the type of X, divided by a power of two, and that."""
    unit = unit_of(_largest(statistics, X.dtype), X.dtype)
    rows = X - statistics.mean
    if unit != 1:
        rows /= unit
    return rows.astype(X.dtype, copy=False), unit


def _largest(statistics: Moments, dtype: np.dtype[Any]) -> float:
    """Return the largest distance from the mean, or raise RangeError if it overflows."""
    largest = float(statistics.max_abs_deviation.max())
    if not largest <= np.finfo(dtype).max:
        raise too_far(dtype)
    return largest


def _total(rows: Array, statistics: Moments, unit: float) -> float:
    """Return the variance along all axes of centred rows."""
    variance = statistics.variance if unit == 1 else moments(rows).variance
    return float(variance.sum()) * len(rows) / (len(rows) - 1)


def _ritz(coordinates: Array, axes: Array) -> tuple[Array, Array]:
    """Return variances [k], and axes [k, D] turned so that coordinates are uncorrelated.

    A truncated SVD's own singular values are those of its approximation of the rows. By the method
    of Rayleigh and Ritz the axes that span the same space best, and the variances along them, are
    those of the coordinates [N, k] themselves.
    """
    r = scipy.linalg.qr(coordinates, mode="r", overwrite_a=True)[0]
    _, singular, turn = scipy.linalg.svd(r[: len(axes)])
    return singular.astype(np.float64) ** 2 / (len(coordinates) - 1), turn @ axes


def _of_singular_values(
    X: Any, mean: Array, values: Array, total: float, axes: Array, unit: float
) -> Axes:
    """Return the axes [k, D] that an SVD of centred rows gave, with the variances along them."""
    eps = float(np.finfo(X.dtype).eps)
    return Axes(
        n_rows=X.shape[0],
        mean=mean,
        variances=values,
        total=total,
        leading=lambda k: axes[:k],
        rounding=rounding_of_svd(values[0], min(X.shape), eps) + rounding_of_mean(mean, unit),
        unit=unit,
    )


def _without_variance(X: Any, mean: Array, k: int) -> Axes:
    """Return k axes of equal rows, which iterations cannot start from."""
    axes = np.eye(k, X.shape[1])
    return _of_singular_values(X, mean, np.zeros(k), 0.0, axes, 1.0)


def shifted(X: Any) -> tuple[Any, Array]:
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


def _centred(X: Any, mean: Array) -> LinearOperator:
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
