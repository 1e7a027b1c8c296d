"""Columns divided by their standard deviations, for estimators with ``standardize=True``.

Columns are not centred, so sparse rows stay sparse. Each value is one division in the type of the
rows, rounded correctly, so a row comes out the same in an array, a block, CSR or a tensor.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sklearn.utils import gen_batches
from sklearn.utils.sparsefuncs import mean_variance_axis

from unsup_fast._rows import arrays
from unsup_fast.blocks import Source, source
from unsup_fast.kernels.moments import Moments

Array = npt.NDArray[Any]

BLOCK = 1 << 16  # float64 values of a block of rows: half a MiB, which stays in cache
# Bytes of mapped rows up to which they are copied and divided once; larger ones are divided in
# each pass.
ROOM = 512 << 20
# A column whose deviation is below this many roundings of its mean is constant up to rounding.
ROUNDINGS = 8
# Columns whose largest deviation from their mean is below this, or above its inverse, are divided
# by a power of two before they are squared.
SMALLEST = 1e-140


def of_rows(X: Any, moments: Moments | None, sample_weight: Array | None) -> Array:
    """Return the standard deviations that the columns of X are divided by.

    Parameters
    ----------
    X : ndarray, CSR matrix or Source of shape (N, D)
    moments : Moments or None
        Of X; None for CSR.
    sample_weight : ndarray of shape (N,), optional
        A row of weight 2 counts twice.

    Returns
    -------
    ndarray of shape (D,), type of X
        See `of_variance`.
    """
    if moments is None:
        largest = np.zeros(X.shape[1], X.dtype)
        np.maximum.at(largest, X.indices, np.abs(X.data))
        unit = _power_of_two(largest)
        data = X.data / unit[X.indices]  # float64
        scaled = X.__class__((data, X.indices, X.indptr), shape=X.shape, copy=False)
        mean, variance = mean_variance_axis(scaled, axis=0, weights=_doubles(sample_weight))
        return _deviations(mean * unit, np.sqrt(variance) * unit, X.dtype)
    if sample_weight is None and not is_extreme(moments):
        return of_variance(moments.mean, moments.variance, X.dtype)
    unit = _power_of_two(moments.max_abs_deviation)
    variance = _variance(X, moments.mean, unit, _doubles(sample_weight))
    return _deviations(moments.mean, np.sqrt(variance) * unit, X.dtype)


def is_extreme(moments: Moments) -> bool:
    """Return whether the squares of a column may leave the range of float64."""
    largest = moments.max_abs_deviation
    return bool(((largest > 0) & ~((largest > SMALLEST) & (largest < 1 / SMALLEST))).any())


def of_variance(mean: Array, variance: Array, dtype: Any) -> Array:
    """Return standard deviations [D] of type `dtype`, and 1 for constant columns.

    Raises
    ------
    ValueError
        If a variance is not finite.
    """
    return _deviations(mean, np.sqrt(variance.astype(np.float64)), dtype)


def _deviations(mean: Array, scale: Array, dtype: Any) -> Array:
    if not (scale <= np.finfo(dtype).max).all():
        column = int(np.argmin(scale <= np.finfo(dtype).max))
        raise ValueError(
            f"the standard deviation of column {column} of X overflows {np.dtype(dtype)}; divide X "
            "by its largest magnitude"
        )
    scale[scale <= ROUNDINGS * np.finfo(np.float64).eps * np.abs(mean)] = 1.0
    return np.maximum(scale, np.finfo(dtype).tiny).astype(dtype)


def _power_of_two(magnitudes: Array) -> Array:
    """Return a power of two [D], float64, near each magnitude."""
    exponent = np.frexp(magnitudes.astype(np.float64))[1]
    powers: Array = np.ldexp(1.0, np.clip(exponent, -1021, 1022))
    return powers


def _doubles(sample_weight: Array | None) -> Array | None:
    return None if sample_weight is None else sample_weight.astype(np.float64)


def _variance(X: Any, mean: Array, unit: Array, sample_weight: Array | None) -> Array:
    """Return the variance [D] of columns divided by `unit`, about their weighted mean, float64."""
    total, sums, squares = 0.0, np.zeros(len(mean)), np.zeros(len(mean))
    for first, rows in _blocks(X):
        for part in gen_batches(len(rows), max(1, BLOCK // len(mean))):
            with np.errstate(over="ignore", invalid="ignore"):  # infinity is refused later
                centred = (rows[part] - mean) / unit  # [B, D] float64, about a point near that mean
            weight = np.ones(len(centred))
            if sample_weight is not None:
                weight = sample_weight[first : first + len(rows)][part]
            total += weight.sum()
            sums += np.einsum("i,ij->j", weight, centred)
            squares += np.einsum("i,ij,ij->j", weight, centred, centred)
    sums /= total
    with np.errstate(invalid="ignore"):
        variance: Array = np.maximum(squares / total - sums**2, 0)
    return variance


def _blocks(X: Any) -> Iterator[tuple[int, Array]]:
    if not isinstance(X, Source):
        yield 0, X
        return
    with closing(X.blocks()) as blocks:
        yield from blocks


def divided(X: Any, scale: Array, first: int = 0, name: str = "X") -> Any:
    """Return rows whose columns are divided by `scale`.

    Parameters
    ----------
    X : ndarray, CSR matrix, tensor or Source of shape (N, D)
        A source, or a large mapped array, is divided again in each pass.
    scale : ndarray of shape (D,)
    first : int
        Index of the first row, for the error message.
    name : str
        Name of the rows in the error message.

    Returns
    -------
    ndarray, CSR matrix, tensor or Source of shape (N, D), type of X

    Raises
    ------
    ValueError
        If a quotient overflows; of a source in the pass that reads it.
    """
    if isinstance(X, Source):
        if X.array is not None and X.array.nbytes <= ROOM:
            return divided(X.array, scale)
        return X.map_rows(lambda rows, row: divided(rows, scale, row))
    if arrays.is_tensor(X):
        return _divided_tensor(X, scale, name)
    scale = scale.astype(X.dtype, copy=False)
    if sp.issparse(X):
        with np.errstate(over="ignore"):
            data = X.data / scale[X.indices]
        if not np.isfinite(data).all():
            index = int(np.argmin(np.isfinite(data)))
            row = int(np.searchsorted(X.indptr, index, side="right")) - 1
            raise _overflow(X.data[index], row, int(X.indices[index]), scale, name)
        return X.__class__((data, X.indices, X.indptr), shape=X.shape, copy=False)
    out = np.empty(X.shape, X.dtype)
    with np.errstate(over="ignore"):
        for part in gen_batches(len(X), max(1, BLOCK // X.shape[1])):
            np.divide(X[part], scale, out=out[part])
            if not np.isfinite(out[part]).all():
                row, column = np.argwhere(~np.isfinite(out[part]))[0].tolist()
                value = X[part][row, column]
                raise _overflow(value, first + part.start + row, column, scale, name)
    return out


def _divided_tensor(X: Any, scale: Array, name: str) -> Any:
    out = X / X.new_tensor(scale)
    finite = out.isfinite()
    if not bool(finite.all()):
        row, column = (~finite).nonzero()[0].tolist()
        raise _overflow(X[row, column].item(), row, column, scale, name)
    return out


def _overflow(value: Any, row: int, column: int, scale: Array, name: str) -> ValueError:
    return ValueError(
        f"row {row}, column {column} of {name} is {value:g} and overflows {scale.dtype} when it is "
        f"divided by scale_[{column}]={scale[column]:g}; pass float64, or standardize=False"
    )


def rounded(centers: Any, scale: Any) -> tuple[Any, Any]:
    """Return centroids in the units of the columns, and divided again.

    A fitted model holds the first and computes with the second, so that it labels rows after
    loading as it did in the fit.

    Parameters
    ----------
    centers : ndarray or tensor of shape (K, D)
        Of divided rows.
    scale : ndarray or tensor of shape (D,)

    Returns
    -------
    original, centers : ndarrays or tensors of shape (K, D), type of `centers`
    """
    original = centers * scale
    return original, original / scale


@contextmanager
def restored_on_error(estimator: Any) -> Iterator[None]:
    """Restore `scale_` of the previous fit if a fit fails."""
    before = estimator.__dict__.get("scale_")
    try:
        yield
    except BaseException:
        estimator.__dict__.pop("scale_", None)
        if before is not None:
            estimator.scale_ = before
        raise


def scale_of(estimator: Any) -> Array | None:
    """Return what a fitted estimator divides columns by, [D], or None.

    Raises
    ------
    ValueError
        If it was set by hand to something that is not a vector of positive numbers.
    """
    value = getattr(estimator, "scale_", None)
    if value is None:
        return None
    try:
        scale: Array = np.asarray(arrays.on_host(value))
        scale = scale if scale.dtype in arrays.FLOATS else scale.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError("scale_ holds no numbers; set it to a vector of positive ones") from None
    if scale.ndim != 1 or not ((scale > 0) & (scale < np.inf)).all():
        raise ValueError(
            f"scale_ of shape {scale.shape} must be a vector of positive, finite numbers, one for "
            "each column"
        )
    return scale


def scale_for(estimator: Any, n_columns: int, name: str = "X") -> Array | None:
    """Return what a fitted estimator divides the columns of X by, [D], or None.

    Raises
    ------
    ValueError
        If the columns are not as many as those of the fit; see also `scale_of`.
    """
    scale = scale_of(estimator)
    if scale is not None and len(scale) != n_columns:
        raise ValueError(f"scale_ has {len(scale)} values, but {name} has {n_columns} columns")
    return scale


def applied(estimator: Any, X: Any, name: str = "X") -> Any:
    """Return rows, or centroids in the units of the columns, as a fitted estimator divides them."""
    scale = scale_for(estimator, X.shape[1], name)
    return X if scale is None else divided(X, scale, name=name)


def restored(estimator: Any, X: Any) -> Any:
    """Return divided rows, an array or a tensor, in the units of the columns."""
    scale = scale_of(estimator)
    if scale is None:
        return X
    return X * (X.new_tensor(scale) if arrays.is_tensor(X) else scale.astype(X.dtype))


def applied_blocks(estimator: Any, X: Source) -> Source:
    """Return a source of the rows as a fitted estimator divides them."""
    rows = applied(estimator, X)
    return rows if isinstance(rows, Source) else source(rows)
