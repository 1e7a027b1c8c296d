"""Input of a mixture: rows in memory, in blocks or on a GPU, and their weights."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.devices import compute_device as gpu
from unsup_fast._rows.sources import check_columns, source_of
from unsup_fast.blocks import DataError, Source
from unsup_fast.kernels import threads
from unsup_fast.kernels.moments import Moments
from unsup_fast.mixture._em import Problem
from unsup_fast.mixture._passes import HOST, MODERATE, OVERFLOW, Place, Rows, Single


class Checked(NamedTuple):
    """Validated rows of a mixture, and the operations of their device."""

    X: Any
    """[N, D]: an array, a Source that cannot be used in place, or a tensor on a GPU."""
    dtype: np.dtype[Any]
    moments: Moments | None
    place: Place
    name: str = "X"
    """Name of X in error messages."""


def rows(estimator: Any, X: Any, *, reset: bool) -> Checked:
    """Validate rows; moments are not needed, and on a GPU not computed, unless `reset`."""
    device = gpu(X, estimator.device, fitted=not reset)
    _refuse_sparse(X)
    if device is not None:
        from unsup_fast._rows import tensors
        from unsup_fast.mixture import _cuda

        tensor = tensors.rows(X, device, estimator, reset=reset).contiguous()
        statistics = tensors.moments(tensor) if reset else None
        return Checked(tensor, tensors.dtype_of(tensor), statistics, _cuda.PLACE)
    source = source_of(X)
    if source is not None:
        check_columns(estimator, source, reset=reset)
        X = source if source.array is None else source.whole()
        return Checked(X, X.dtype, source.moments, HOST, source.name)
    X = arrays.rows(X, estimator=estimator, reset=reset)
    _refuse_sparse(X)  # what scikit-learn makes of a frame of sparse columns
    moments = arrays.check_finite(X, type(estimator).__name__, estimator.n_threads)
    return Checked(X, X.dtype, moments, HOST)


def _refuse_sparse(X: Any) -> None:
    if sp.issparse(X):
        raise TypeError(
            "Sparse data was passed, but a mixture needs dense rows; pass X.toarray() (of a pandas "
            "frame X.sparse.to_dense()), or unsup_fast.blocks.source(X) of a SciPy matrix, which "
            "makes blocks of them dense one at a time"
        )


def weights(sample_weight: Any, rows: Checked) -> Any:
    """Return valid weights of the type and on the device of the rows, or None for ones.

    See `arrays.weights`.
    """
    on_device = rows.place is not HOST
    if on_device:
        sample_weight = arrays.on_host(sample_weight)
    checked = arrays.weights(sample_weight, rows.X.shape[0], rows.dtype)
    return arrays.to_device(checked, rows.X.device if on_device else None)


def problem(estimator: Any, X: Any, sample_weight: Any) -> Problem:
    """Validate the arguments of `fit`."""
    data = _standardized(estimator, rows(estimator, X, reset=True), sample_weight)
    n_rows, k = data.X.shape[0], estimator.n_components
    if n_rows < max(k, 2):
        raise ValueError(
            f"Expected n_samples >= n_components and n_samples >= 2 but got n_components = {k}, "
            f"n_samples = {n_rows}; pass more rows" + (f" or n_components <= {n_rows}" * (k > 2))
        )
    assert data.moments is not None
    checked = weights(sample_weight, data)
    _check_squares(data, data.moments, checked)
    wide = data.dtype == np.float32 and _is_wide(data.moments, estimator.reg_covar)
    return Problem(
        _rows(estimator, data, checked, Single if k == 1 else Rows, wide),
        float(estimator.reg_covar),
        float(estimator.tol),
        int(estimator.max_iter),
    )


def _is_wide(moments: Moments, reg_covar: float) -> bool:
    """Whether float32 does not hold squares of the rows, or of the columns on one scale."""
    largest = float(moments.max_abs_deviation.max())
    deviations = np.sqrt(moments.variance)
    smallest = max(deviations[deviations > 0].min(initial=largest), np.sqrt(reg_covar))
    vanishing = largest > 0 and smallest < 1 / MODERATE
    return bool(largest > min(MODERATE, MODERATE * smallest) or vanishing)


def _check_squares(rows: Checked, moments: Moments, sample_weight: Any) -> None:
    """Raise DataError if sums of squared distances between rows may overflow float64."""
    n_rows, weights = rows.X.shape[0], arrays.on_host(sample_weight)
    total = n_rows if weights is None else max(n_rows, float(weights.sum(dtype=np.float64)))
    with np.errstate(over="ignore"):
        bound = ((2 * moments.max_abs_deviation) ** 2).sum() * total
    if not np.isfinite(bound):
        raise DataError(OVERFLOW.format(rows.name, rows.dtype))


def _standardized(estimator: Any, data: Checked, sample_weight: Any) -> Checked:
    """Find the deviations of the columns if the model is to be standardized, and divide by them.

    A warm start continues in the units of the fit before.
    """
    before = scaling.scale_of(estimator)
    if estimator.warm_start and hasattr(estimator, "converged_"):
        if estimator.standardize != (before is not None):
            raise ValueError(
                f"warm_start=True goes on with a fit of standardize={before is not None}, but "
                f"standardize={estimator.standardize} now; pass warm_start=False"
            )
        return _divided(estimator, data, with_moments=True)
    estimator.__dict__.pop("scale_", None)  # of an earlier fit
    if not estimator.standardize:
        return data
    weight = weights(sample_weight, data)
    if data.place is HOST:
        estimator.scale_ = scaling.of_rows(data.X, data.moments, weight)
    else:
        from unsup_fast._rows import tensors

        estimator.scale_ = tensors.deviations(data.X, weight)
    return _divided(estimator, data, with_moments=True)


def _divided(estimator: Any, data: Checked, *, with_moments: bool) -> Checked:
    """Return rows divided by the deviations that a model is standardized with, if it is.

    On a GPU moments are data only if they are wanted.
    """
    if scaling.scale_of(estimator) is None:
        return data
    X, moments = scaling.applied(estimator, data.X), None
    if data.place is not HOST:
        from unsup_fast._rows import tensors

        moments = tensors.moments(X) if with_moments else None
    elif isinstance(X, Source):
        moments = X.moments
    else:
        moments = arrays.check_finite(X, type(estimator).__name__, estimator.n_threads)
    return data._replace(X=X, moments=moments)


def fitted(estimator: Any, X: Any, sample_weight: Any = None) -> Rows:
    """Validate rows and weights for a fitted model."""
    data = _divided(estimator, rows(estimator, X, reset=False), with_moments=False)
    return _rows(estimator, data, weights(sample_weight, data), Rows, wide=False)


def _rows(estimator: Any, data: Checked, sample_weight: Any, kind: type[Rows], wide: bool) -> Rows:
    return kind(
        data.X,
        data.dtype,
        data.moments,
        sample_weight,
        estimator.covariance_type,
        estimator.chunk_size,
        threads.effective(estimator.n_threads),
        data.place,
        wide,
    )
