"""Checks of the arrays that `em` takes."""

import numpy as np

from unsup_fast.kernels import _check
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.em.result import shape_of


def doubles(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    """Return a float64 array of this shape, contiguous, or raise."""
    if not isinstance(value, np.ndarray) or value.dtype != np.float64 or value.shape != shape:
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value)
        raise ValueError(f"{name} must be a float64 NumPy array of shape {shape}, got {got}")
    return np.ascontiguousarray(value)


def check_factors(factors: Array, covariance_type: str) -> None:
    """Raise unless factors are finite with a positive diagonal."""
    per_matrix = covariance_type in ("full", "tied")
    diagonal = np.diagonal(factors, axis1=-2, axis2=-1) if per_matrix else factors
    if not (diagonal > 0).all() or not np.isfinite(factors).all():
        raise ValueError(
            "factors must be finite, with a positive diagonal; pass Cholesky factors of precisions "
            "that are positive definite"
        )


def check_rows(
    X: Array, means: Array, covariance_type: str, sample_weight: Array | None
) -> tuple[Array, tuple[int, ...]]:
    """Return the means and the shape of second moments, or raise if an argument does not fit."""
    _check.matrix("X", X)
    d = X.shape[1]
    if not isinstance(means, np.ndarray) or means.ndim != 2 or len(means) == 0:
        raise ValueError(f"means must be a float64 NumPy array of shape (K, {d}) with K >= 1")
    means = doubles("means", means, (len(means), d))
    if not np.isfinite(means).all():
        raise ValueError("means must be finite")
    if sample_weight is not None:
        _check.vector("sample_weight", sample_weight, len(X), X.dtype)
    return means, shape_of(covariance_type, len(means), d)


def total_weight(X: Array, sample_weight: Array | None) -> float:
    """Return sum_i w_i."""
    return float(len(X) if sample_weight is None else sample_weight.sum(dtype=np.float64))
