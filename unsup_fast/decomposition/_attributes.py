"""Attributes of a fitted PCA, also of one whose attributes were set by hand."""

import numpy as np
from sklearn.exceptions import NotFittedError

from unsup_fast._rows import arrays
from unsup_fast._types import Array
from unsup_fast.blocks import unmasked
from unsup_fast.decomposition._estimator import Decomposition


def axes_of(model: Decomposition) -> Array:
    """Return `components_` [K, D] as an array on the host, float32 or float64.

    Raises
    ------
    NotFittedError
        If it is missing.
    ValueError
        If it is no matrix of finite numbers.
    """
    return _value(model, "components_", 2)


def mean_of(model: Decomposition, n_columns: int) -> Array:
    """Return the mean [D] in float64: that of the fit if `mean_` only rounds it, else `mean_`."""
    value = _value(model, "mean_", 1, n_columns)
    exact: Array | None = getattr(model, "_mean", None)
    if exact is not None and np.array_equal(exact.astype(value.dtype), value):
        return exact
    return value.astype(np.float64)


def deviations_of(model: Decomposition, n_axes: int) -> Array:
    """Return the standard deviations [K] along the axes in float64, 0 where they are rounding.

    They are those of the fit, unless `explained_variance_` was changed since.
    """
    value = variances_of(model, n_axes)
    if np.array_equal(value, getattr(model, "_variances", ())):
        fitted: Array = model._deviations
        return fitted
    return np.sqrt(value.astype(np.float64))


def variances_of(model: Decomposition, n_axes: int) -> Array:
    """Return `explained_variance_` [K] as an array on the host."""
    value = _value(model, "explained_variance_", 1, n_axes)
    if (value < 0).any():
        raise ValueError("explained_variance_ holds values below zero; set it to variances")
    return value


def noise_of(model: Decomposition) -> float:
    """Return `noise_variance_`."""
    return float(_value(model, "noise_variance_", 0))


def _value(model: Decomposition, name: str, n_dimensions: int, size: int | None = None) -> Array:
    if not hasattr(model, name):
        raise NotFittedError(
            f"{name} of this {type(model).__name__} is not set; call fit, or set components_ and "
            "mean_ (with whiten=True explained_variance_ too, for scores also noise_variance_)"
        )
    value: Array = np.asarray(unmasked(arrays.on_host(getattr(model, name)), name))
    if value.dtype not in arrays.FLOATS:
        if value.dtype.kind not in "iufb":
            raise ValueError(f"{name} holds {value.dtype}; set it to an array of real numbers")
        value = value.astype(np.float64)
    if value.ndim != n_dimensions or (size is not None and len(value) != size):
        wanted = {0: "a number", 1: f"shape ({size},)", 2: "shape (K, D)"}[n_dimensions]
        raise ValueError(
            f"{name} has shape {value.shape}; with components_ of shape "
            f"{np.shape(model.components_)} it must have {wanted}"
        )
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds values that are not finite; set it to finite numbers")
    return value
