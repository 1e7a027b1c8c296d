"""From rows to principal axes: by the covariance's eigenvectors, or by an SVD of the rows.

With X' = X - mean = U S V^T, the covariance is V (S^2 / (N - 1)) V^T: its eigenvectors are the
right singular vectors, and where D > N they follow from the eigenvectors U of X' X'^T.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import LinearOperator, svds
from sklearn.utils import check_random_state
from sklearn.utils.extmath import randomized_svd
from sklearn.utils.sparsefuncs import mean_variance_axis

from unsup_fast.kernels import threads
from unsup_fast.kernels.affine import affine
from unsup_fast.kernels.covariance import Covariance, gram
from unsup_fast.kernels.eigh import eigh
from unsup_fast.kernels.moments import moments

Array = npt.NDArray[Any]

WIDE = 1 << 22  # elements of a block of transposed columns


class Axes(NamedTuple):
    """Principal axes of N rows, in float64."""

    n_rows: int
    """How many there are, N."""
    mean: Array
    """[D]"""
    variances: Array
    """[M], descending: along all min(N, D) axes, or along those that were asked for"""
    total: float
    """Variance along all axes."""
    leading: Callable[[int], Any]
    """``leading(k)`` returns the first k axes as orthonormal rows [k, D]."""


def of_covariance(found: Covariance) -> Axes:
    """Return the axes of rows whose mean and scatter are known."""
    degrees = max(found.n_rows - 1, 1)
    eigen = eigh(found.scatter)
    most = min(found.n_rows, len(found.mean))
    values = np.maximum(eigen.values[:most] / degrees, 0)
    total = float(np.trace(found.scatter)) / degrees
    return Axes(found.n_rows, found.mean, values, total, eigen.leading)


def of_gram(X: Array, mean: Array, n_threads: int | None) -> Axes:
    """Return the axes of fewer rows than columns from their inner products."""
    n_rows, n_columns = X.shape
    products = gram(X, mean, n_threads=n_threads)
    eigen = eigh(products)
    degrees = n_rows - 1

    def leading(k: int) -> Array:
        weights = eigen.leading(k)  # [k, N]
        axes = np.empty((n_columns, k))
        step = max(1, WIDE // n_rows)
        for start in range(0, n_columns, step):
            part = slice(start, start + step)
            columns = np.ascontiguousarray((X[:, part] - mean[part]).T)  # [step, N]
            axes[part] = affine(columns, weights, n_threads=n_threads)
        # Along axes of hardly any variance the rows say nothing; QR makes them orthonormal too.
        with threads.one_in_blas():
            q, r = scipy.linalg.qr(axes, mode="economic", overwrite_a=True)
        return np.ascontiguousarray((q * np.where(r.diagonal() < 0, -1.0, 1.0)).T)

    values = np.maximum(eigen.values / degrees, 0)
    return Axes(n_rows, mean, values, float(np.trace(products)) / degrees, leading)


def of_svd(X: Array, mean: Array) -> Axes:
    """Return the axes by an SVD of a centred copy of the rows, in their type."""
    centred = (X - mean).astype(X.dtype, copy=False)
    _, singular, axes = scipy.linalg.svd(centred, full_matrices=False, overwrite_a=True)
    values = singular.astype(np.float64) ** 2 / (len(X) - 1)
    return Axes(len(X), mean, values, float(values.sum()), lambda k: axes[:k])


def randomized(estimator: Any, X: Array, k: int) -> Axes:
    """Return k axes by scikit-learn's randomized SVD of a centred copy of the rows."""
    found = moments(X, n_threads=estimator.n_threads)
    _, singular, axes = randomized_svd(
        (X - found.mean).astype(X.dtype, copy=False),
        k,
        n_oversamples=estimator.n_oversamples,
        n_iter=estimator.iterated_power,
        power_iteration_normalizer=estimator.power_iteration_normalizer,
        flip_sign=False,
        random_state=check_random_state(estimator.random_state),
    )
    return _truncated(len(X), found.mean, found.variance, singular, axes)


def arpack(estimator: Any, X: Any, k: int) -> Axes:
    """Return k axes by ARPACK's Lanczos iteration; sparse rows are centred implicitly."""
    rows: Any
    if sp.issparse(X):
        mean, variance = mean_variance_axis(X, axis=0)
        rows = _centred(X, mean.astype(X.dtype))
    else:
        found = moments(X, n_threads=estimator.n_threads)
        mean, variance = found.mean, found.variance
        rows = (X - mean).astype(X.dtype, copy=False)
    start = check_random_state(estimator.random_state).uniform(-1, 1, min(X.shape))
    _, singular, axes = svds(rows, k=k, tol=estimator.tol, v0=start.astype(X.dtype))
    return _truncated(X.shape[0], mean, variance, singular[::-1], axes[::-1])


def _truncated(n_rows: int, mean: Array, variance: Array, singular: Array, axes: Array) -> Axes:
    """Return the axes of an SVD of some singular values; `variance` [D] is divided by N."""
    values = singular.astype(np.float64) ** 2 / (n_rows - 1)
    total = float(variance.sum(dtype=np.float64)) * n_rows / (n_rows - 1)
    return Axes(n_rows, mean.astype(np.float64), values, total, lambda k: axes[:k])


def _centred(X: Any, mean: Array) -> LinearOperator:
    """Return sparse rows less their mean as an operator, never filled."""
    ones = np.ones(X.shape[0], X.dtype)
    transposed = X.T.tocsr()
    return LinearOperator(
        X.shape,
        dtype=X.dtype,
        matvec=lambda v: X @ v - ones * (mean @ v),
        rmatvec=lambda v: transposed @ v - mean * v.sum(axis=0),
        matmat=lambda v: X @ v - ones[:, None] * (mean @ v),
        rmatmat=lambda v: transposed @ v - mean[:, None] * v.sum(axis=0),
    )
