"""Number of axes to keep: a number, a share of the variance, or Minka's estimate."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Array = npt.NDArray[Any]


def kept(wanted: Any, variances: Array, total: float, count: int) -> int:
    """Return the number of axes that `n_components` asks for.

    Parameters
    ----------
    wanted : int, float or "mle"
    variances : ndarray of shape (M,), descending
    total : float
        Variance along all axes.
    count : int
        Rows N.
    """
    if wanted == "mle":
        return minka(variances, count)
    if 0 < wanted < 1:
        shares = np.cumsum(variances) / total if total > 0 else np.ones(len(variances))
        return min(int(np.searchsorted(shares, wanted, side="right")) + 1, len(variances))
    return int(wanted)


def minka(variances: Array, count: int) -> int:
    """Return the dimension of greatest evidence, from 1 to D - 1.

    Minka, "Automatic choice of dimensionality for PCA", NIPS 2000.

    Parameters
    ----------
    variances : ndarray of shape (D,), descending
    count : int
        Rows N.
    """
    evidence = [_evidence(variances, k, count) for k in range(1, len(variances))]
    return 1 + int(np.argmax(evidence)) if evidence else 0


def _evidence(variances: Array, k: int, count: int) -> float:
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
    logs = np.log(np.maximum(curvature[later], np.finfo(np.float64).tiny)) + np.log(count)
    return float(
        log_prior
        + count * log_fit / 2
        + np.log(2 * np.pi) * (n_free + k) / 2
        - logs.sum() / 2
        - k * np.log(count) / 2
    )
