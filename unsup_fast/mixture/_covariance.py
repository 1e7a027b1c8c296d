"""Covariances of the four types, the factors of their inverses, and what keeps them definite.

"full" is an array (K, D, D), "tied" (D, D), "diag" (K, D), "spherical" (K,). The factor U of a
covariance is upper triangular with Sigma^-1 = U U^T; of "diag" and "spherical" it is 1 / sigma.
"""

import numpy as np
from scipy.linalg import lapack

from unsup_fast._types import Array

MATRICES = ("full", "tied")
MARGIN = 64 * float(np.finfo(np.float64).eps)  # rounding of sums is well below it


def positive_definite(
    covariances: Array, covariance_type: str, min_variances: Array, eps: float
) -> tuple[Array, Array, dict[int, float]]:
    """Return covariances that are positive definite, their factors, and what was raised.

    No variance is left below `min_variances`. A matrix is scaled to a correlation, of which no
    eigenvalue is left below D times `eps` (`MARGIN` at least). What meets both is not changed.

    Parameters
    ----------
    covariances : float64 ndarray
    covariance_type : {"full", "tied", "diag", "spherical"}
    min_variances : float64 ndarray of shape (D,), > 0
    eps : float
        Machine epsilon of the rows' type.

    Returns
    -------
    covariances, factors : float64 ndarray
    raised : dict of int to float
        For each component that was changed (0 for "tied"), the lowest variance, or eigenvalue of
        the correlation, that it had.
    """
    if covariance_type not in MATRICES:
        floor = min_variances if covariance_type == "diag" else np.atleast_1d(min_variances.mean())
        lowest = (covariances if covariance_type == "diag" else covariances[:, None]).min(axis=1)
        below = (covariances < floor).reshape(len(covariances), -1).any(axis=1)
        raised = {int(k): float(lowest[k]) for k in np.flatnonzero(below)}
        covariances = np.maximum(covariances, floor)
        return covariances, 1 / np.sqrt(covariances), raised
    matrices = covariances[None] if covariance_type == "tied" else covariances
    results = [_positive_definite_matrix(matrix, min_variances, eps) for matrix in matrices]
    raised = {k: low for k, (_, _, low) in enumerate(results) if low is not None}
    shape = covariances.shape
    covariances = np.stack([matrix for matrix, _, _ in results]).reshape(shape)
    return covariances, np.stack([factor for _, factor, _ in results]).reshape(shape), raised


def _positive_definite_matrix(
    covariance: Array, min_variances: Array, eps: float
) -> tuple[Array, Array, float | None]:
    """Return a covariance [D, D], raised if need be, its factor, and its lowest value if it was."""
    variances = covariance.diagonal()
    below = variances < min_variances
    raised = float(variances.min()) if below.any() else None
    if raised is not None:
        covariance = covariance.copy()
        np.fill_diagonal(covariance, np.maximum(variances, min_variances))
    deviations = np.sqrt(covariance.diagonal())
    correlation = covariance / deviations / deviations[:, None]  # [D, D]
    lowest = len(min_variances) * max(eps, MARGIN)
    triangle = _cholesky(correlation, lowest)
    if triangle is None:
        values, vectors = np.linalg.eigh(correlation)
        raised = float(values[0])
    while triangle is None:
        correlation = (vectors * np.maximum(values, lowest)) @ vectors.T
        correlation = (correlation + correlation.T) / 2
        triangle = _cholesky(correlation, 0.0)
        covariance = correlation * deviations * deviations[:, None]
        lowest *= 2
    inverse: Array = lapack.dtrtri(triangle, lower=1)[0]
    return covariance, np.ascontiguousarray(inverse.T) / deviations[:, None], raised


def _cholesky(matrix: Array, lowest: float) -> Array | None:
    """Return the lower triangle L of ``matrix = L L^T``, None if a squared pivot is too small."""
    try:
        triangle: Array = np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return None
    return triangle if (triangle.diagonal() ** 2).min() > lowest else None


def from_precisions(precisions: Array, covariance_type: str) -> tuple[Array, Array]:
    """Return the covariances and factors of precisions that are positive definite."""
    if covariance_type not in MATRICES:
        return 1 / precisions, np.sqrt(precisions)
    factors = np.linalg.cholesky(precisions[..., ::-1, ::-1])[..., ::-1, ::-1]
    return covariances_of(factors, covariance_type), np.ascontiguousarray(factors)


def factors_of(covariances: Array, covariance_type: str) -> Array:
    """Return the factors of the precisions of covariances that are positive definite."""
    if covariance_type not in MATRICES:
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1 / np.sqrt(covariances)
    inverse: Array = np.linalg.inv(np.linalg.cholesky(covariances))  # lower triangular
    return np.triu(np.swapaxes(inverse, -1, -2))


def covariances_of(factors: Array, covariance_type: str) -> Array:
    """Return the covariances that have these factors."""
    if covariance_type not in MATRICES:
        return 1 / factors**2
    inverse: Array = np.linalg.inv(factors)  # [..., D, D] lower triangle transposed
    return np.swapaxes(inverse, -1, -2) @ inverse


def precisions_of(factors: Array, covariance_type: str) -> Array:
    """Return the precisions that have these factors."""
    if covariance_type not in MATRICES:
        return factors**2
    return factors @ np.swapaxes(factors, -1, -2)


def log_determinants(factors: Array, covariance_type: str, n_columns: int) -> Array:
    """Return log det U, for each component or once for all."""
    if covariance_type in MATRICES:
        logs: Array = np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)
    elif covariance_type == "diag":
        logs = np.log(factors).sum(axis=-1)
    else:
        logs = n_columns * np.log(factors)
    return logs


def n_parameters(covariance_type: str, n_components: int, n_columns: int) -> int:
    """Return the number of free parameters of the covariances."""
    triangle = n_columns * (n_columns + 1) // 2
    return {
        "full": n_components * triangle,
        "tied": triangle,
        "diag": n_components * n_columns,
        "spherical": n_components,
    }[covariance_type]
