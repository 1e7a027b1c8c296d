"""Public attributes of a mixture, and its parameters in float64."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import NotFittedError

from unsup_fast._rows import arrays
from unsup_fast._types import Array
from unsup_fast.blocks import unmasked
from unsup_fast.kernels.em import shape_of
from unsup_fast.mixture._covariance import (
    MATRICES,
    covariances_of,
    factors_of,
    from_precisions,
    precisions_of,
)
from unsup_fast.mixture._data import Mixture
from unsup_fast.mixture._estimator import MixtureEstimator

PRECISIONS = ("precisions_cholesky_", "precisions_", "covariances_")  # any of them will do


def public(mixture: Mixture, covariance_type: str, dtype: npt.DTypeLike) -> dict[str, Array]:
    """Return the attributes in the type of the rows, or all in float64 if float32 is too narrow.

    It is if a value overflows or a variance vanishes.
    """
    values = {
        "weights_": mixture.weights,
        "means_": mixture.means,
        "covariances_": mixture.covariances,
        "precisions_cholesky_": mixture.factors,
        "precisions_": precisions_of(mixture.factors, covariance_type),
    }
    with np.errstate(over="ignore", under="ignore"):
        narrow = {name: value.astype(dtype) for name, value in values.items()}
    tiny = np.finfo(np.dtype(dtype)).tiny
    holds = all(np.isfinite(value).all() for value in narrow.values()) and all(
        (_diagonal(narrow[name], covariance_type) >= tiny).all() for name in PRECISIONS
    )
    return narrow if holds else values


def parameters(model: MixtureEstimator) -> Mixture:
    """Return the parameters of a mixture that was fitted or whose attributes were set by hand.

    An attribute that is as `fit` left it is replaced by the float64 parameter it was rounded from.
    Of attributes set by hand, `precisions_cholesky_` may be any square root of the precisions, and
    may be left out if `precisions_` or `covariances_` is there.

    Raises
    ------
    NotFittedError
        If an attribute is missing.
    ValueError
        If one has a wrong shape or value.
    """
    fitted: Mixture | None = getattr(model, "_mixture", None)
    kind = model.covariance_type
    means = _value(model, "means_", None if fitted is None else fitted.means)
    if means.ndim != 2 or 0 in means.shape:
        raise ValueError(f"means_ has shape {means.shape}; set it to an array of shape (K, D)")
    k, d = means.shape
    weights = _value(model, "weights_", None if fitted is None else fitted.weights)
    _check_shape("weights_", weights, (k,), means, kind)
    if (weights < 0).any() or not weights.any():
        raise ValueError("weights_ must be >= 0, and at least one of them above zero")
    shape = shape_of(kind, k, d)
    factors = _factors(model, fitted, kind, shape, means)
    if hasattr(model, "covariances_"):
        covariances = _value(model, "covariances_", None if fitted is None else fitted.covariances)
        _check_shape("covariances_", covariances, shape, means, kind)
    else:
        covariances = covariances_of(factors, kind)
    return Mixture(weights=weights, means=means, covariances=covariances, factors=factors)


def dtype_of(model: MixtureEstimator) -> np.dtype[Any]:
    """Return float32 or float64, the type that attributes are rounded to."""
    dtype = np.asarray(arrays.on_host(model.means_)).dtype
    return np.dtype(np.float32 if getattr(model, "_dtype", dtype) == np.float32 else np.float64)


def _factors(
    model: MixtureEstimator, fitted: Mixture | None, kind: str, shape: tuple[int, ...], means: Array
) -> Array:
    """Return the upper triangular factors of the precisions, or their roots."""
    name = next((name for name in PRECISIONS if hasattr(model, name)), PRECISIONS[0])
    before = fitted.factors if fitted is not None and name == PRECISIONS[0] else None
    value = _value(model, name, before)
    _check_shape(name, value, shape, means, kind)
    if value is before:
        return value
    try:
        if name == "covariances_":
            factors = factors_of(value, kind)
        elif name == "precisions_":
            factors = from_precisions(value, kind)[1]
        elif kind in MATRICES and np.tril(value, -1).any():
            factors = from_precisions(precisions_of(value, kind), kind)[1]
        else:
            factors = value
    except np.linalg.LinAlgError:
        raise ValueError(f"{name} must be positive definite") from None
    if not (_diagonal(factors, kind) > 0).all() or not np.isfinite(factors).all():
        raise ValueError(f"{name} must be positive definite: finite, its diagonal above zero")
    return np.ascontiguousarray(factors)


def _value(model: MixtureEstimator, name: str, fitted: Array | None) -> Array:
    """Return an attribute in float64: `fitted` if it only rounds that."""
    if not hasattr(model, name):
        raise NotFittedError(
            f"{name} of this {type(model).__name__} is not set; call fit, or set weights_, means_ "
            "and precisions_cholesky_ (or precisions_ or covariances_)"
        )
    value = np.asarray(unmasked(arrays.on_host(getattr(model, name)), name))
    if fitted is not None and value.shape == fitted.shape:
        with np.errstate(over="ignore", under="ignore"):
            if np.array_equal(value, fitted.astype(model._dtype)):
                return fitted
    if value.dtype.kind not in "fiub":
        raise ValueError(f"{name} holds {value.dtype}; set it to an array of real numbers")
    value = np.ascontiguousarray(value, dtype=np.float64)
    if not np.isfinite(value).all():
        raise ValueError(f"{name} holds values that are not finite; set it to finite numbers")
    return value


def _check_shape(name: str, value: Array, shape: tuple[int, ...], means: Array, kind: str) -> None:
    if value.shape != shape:
        raise ValueError(
            f"{name} has shape {value.shape}; with means_ of shape {means.shape} and "
            f"covariance_type={kind!r} it must have shape {shape}"
        )


def _diagonal(values: Array, covariance_type: str) -> Array:
    return np.diagonal(values, axis1=-2, axis2=-1) if covariance_type in MATRICES else values
