"""Weights, means and precisions that the user starts a mixture from."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils import check_array

from unsup_fast._rows import arrays
from unsup_fast._types import Array, ArrayLike
from unsup_fast.blocks import unmasked
from unsup_fast.kernels.em import shape_of
from unsup_fast.mixture._covariance import MATRICES, from_precisions
from unsup_fast.mixture._estimator import MixtureEstimator


@dataclass(frozen=True, kw_only=True)
class InitialParameters:
    """Initial parameters that the user passes, in float64; None for those to be estimated."""

    weights: Array | None
    means: Array | None
    covariances: Array | None
    factors: Array | None


def initial_parameters(estimator: MixtureEstimator, n_columns: int) -> InitialParameters:
    """Validate weights_init, means_init and precisions_init with scikit-learn's messages."""
    k, kind = estimator.n_components, estimator.covariance_type
    weights, means, precisions = (
        None if value is None else _numbers(value, name)
        for value, name in (
            (estimator.weights_init, "weights_init"),
            (estimator.means_init, "means_init"),
            (estimator.precisions_init, "precisions_init"),
        )
    )
    if weights is not None:
        _check_shape(weights, (k,), "weights")
        _check_weights(weights, getattr(estimator.weights_init, "dtype", None) == np.float32)
    if means is not None:
        _check_shape(means, (k, n_columns), "means")
    if precisions is None:
        return InitialParameters(weights=weights, means=means, covariances=None, factors=None)
    _check_shape(precisions, shape_of(kind, k, n_columns), f"{kind} precision")
    is_matrix = kind in MATRICES
    if not is_matrix and (precisions <= 0).any():
        raise ValueError(f"'{kind} precision' should be positive")
    try:
        if is_matrix and not np.allclose(precisions, np.swapaxes(precisions, -1, -2)):
            raise np.linalg.LinAlgError
        covariances, factors = from_precisions(precisions, kind)
    except np.linalg.LinAlgError:
        raise ValueError(f"'{kind} precision' should be symmetric, positive-definite") from None
    return InitialParameters(weights=weights, means=means, covariances=covariances, factors=factors)


def _numbers(value: ArrayLike, name: str) -> Array:
    array: Array = check_array(
        unmasked(arrays.on_host(value), name),
        dtype=np.float64,
        ensure_2d=False,
        allow_nd=True,
        input_name=name,
    )
    return np.ascontiguousarray(array)


def _check_shape(value: Array, shape: tuple[int, ...], name: str) -> None:
    if value.shape != shape:
        raise ValueError(
            f"The parameter '{name}' should have the shape of {shape}, but got {value.shape}"
        )


def _check_weights(weights: Array, single: bool) -> None:
    if (weights < 0).any() or (weights > 1).any():
        raise ValueError(
            "The parameter 'weights' should be in the range [0, 1], but got max value "
            f"{weights.max():.5f}, min value {weights.min():.5f}"
        )
    if abs(weights.sum() - 1) > (1e-6 if single else 1e-8):
        raise ValueError(
            "The parameter 'weights' should be normalized, but got sum(weights) = "
            f"{weights.sum():.5f}"
        )
