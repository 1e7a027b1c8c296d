"""Number of axes to keep: a number, a share of the variance, or Minka's estimate."""

import numpy as np
from scipy.special import gammaln

from unsup_fast._types import Array


def number_of_axes(
    n_components: int | float | str, variances: Array, total: float, n_rows: int
) -> int:
    """Return the number of axes that `n_components` asks for.

    Parameters
    ----------
    n_components : int, float or "mle"
    variances : ndarray of shape (M,), descending
    total : float
        Variance along all axes.
    n_rows : int
    """
    if isinstance(n_components, str):
        return minka(variances, n_rows)
    if 0 < n_components < 1:
        shares = np.cumsum(variances) / total if total > 0 else np.ones(len(variances))
        return min(int(np.searchsorted(shares, n_components, side="right")) + 1, len(variances))
    return int(n_components)


def minka(variances: Array, n_rows: int) -> int:
    """Return the dimension of greatest evidence, from 1 to D - 1.

    Minka, "Automatic choice of dimensionality for PCA", NIPS 2000.

    Parameters
    ----------
    variances : ndarray of shape (D,), descending
    n_rows : int
    """
    evidence = [_evidence(variances, k, n_rows) for k in range(1, len(variances))]
    return 1 + int(np.argmax(evidence)) if evidence else 0


def _evidence(variances: Array, k: int, n_rows: int) -> float:
    """Return log p(X | k) up to a constant, by Laplace's method: (30) of Minka's report."""
    tiny = 1e-15
    n_columns = len(variances)
    if variances[k - 1] < tiny:
        return -np.inf
    dimensions = n_columns - np.arange(k)  # D - i + 1 for i = 1 ... k
    log_prior = -k * np.log(2) + (gammaln(dimensions / 2) - np.log(np.pi) * dimensions / 2).sum()
    noise = max(tiny, variances[k:].sum() / (n_columns - k))
    log_fit = -np.log(variances[:k]).sum() - np.log(noise) * (n_columns - k)
    n_free = n_columns * k - k * (k + 1) / 2
    smoothed = np.where(np.arange(n_columns) < k, variances, noise)
    gap = variances[:k, None] - variances  # [k, D]
    curvature = gap * (1 / smoothed - 1 / smoothed[:k, None])
    later = np.arange(n_columns) > np.arange(k)[:, None]
    logs = np.log(np.maximum(curvature[later], np.finfo(np.float64).tiny)) + np.log(n_rows)
    return float(
        log_prior
        + n_rows * log_fit / 2
        + np.log(2 * np.pi) * (n_free + k) / 2
        - logs.sum() / 2
        - k * np.log(n_rows) / 2
    )
