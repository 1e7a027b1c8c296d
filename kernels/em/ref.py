"""Reference for `em`: the formulas in float64, with arrays of size N x K x D."""

import numpy as np

from unsup_fast.kernels._types import Array


def log_densities(
    x: Array, log_weights: Array, means: Array, factors: Array, covariance_type: str
) -> Array:
    """Return log p_ik of float64 rows, [N, K]."""
    gaps = x[:, None, :] - means  # [N, K, D]
    if covariance_type == "full":
        z = np.einsum("nkd,kde->nke", gaps, np.triu(factors))  # [N, K, D]
        log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)  # [K]
    elif covariance_type == "tied":
        z = gaps @ np.triu(factors)
        log_det = np.log(np.diagonal(factors)).sum()
    elif covariance_type == "diag":
        z = gaps * factors
        log_det = np.log(factors).sum(axis=1)
    else:
        z = gaps * factors[:, None]
        log_det = np.log(factors) * x.shape[1]
    constant = log_weights + log_det - x.shape[1] / 2 * np.log(2 * np.pi)  # [K]
    squared: Array = constant - (z**2).sum(axis=2) / 2  # [N, K]
    return squared


def em(
    X: Array,
    log_weights: Array | None,
    means: Array,
    factors: Array | None,
    covariance_type: str,
    sample_weight: Array | None,
    from_resp: bool,
    resp_sums: Array | None,
    sums: Array | None,
    second: Array | None,
    log_prob: Array | None,
    resp: Array | None,
    labels: Array | None,
    n_threads: int,
) -> float:
    """Fill the arrays that are not None; return the log likelihood.

    With `from_resp`, resp or labels are inputs that say what r_ik is.
    """
    x = X.astype(np.float64)  # [N, D]
    w = np.ones(len(x)) if sample_weight is None else sample_weight.astype(np.float64)
    log_likelihood = np.nan
    if resp is not None and from_resp:
        r = resp.astype(np.float64)  # [N, K]
    elif labels is not None and from_resp:
        r = (labels[:, None] == np.arange(len(means))).astype(np.float64)
    elif log_weights is not None and factors is not None:
        log_p = log_densities(x, log_weights, means, factors, covariance_type)  # [N, K]
        largest = log_p.max(axis=1, keepdims=True)  # [N, 1]
        reached = np.isfinite(largest)
        p = np.where(reached, np.exp(log_p - np.where(reached, largest, 0)), 0)  # [N, K]
        total = p.sum(axis=1, keepdims=True)  # [N, 1]
        r = np.divide(p, total, out=np.zeros_like(p), where=reached)
        row = np.full(len(x), -np.inf)  # [N]
        np.log(total[:, 0], out=row, where=reached[:, 0])
        row += np.where(reached[:, 0], largest[:, 0], 0)
        log_likelihood = float(w[w > 0] @ row[w > 0])
        if log_prob is not None:
            log_prob[:] = row
        if resp is not None:
            resp[:] = r
        if labels is not None:
            labels[:] = log_p.argmax(axis=1)
    if resp_sums is not None and sums is not None and second is not None:
        weighted = r * w[:, None]  # [N, K]
        gaps = x[:, None, :] - means  # [N, K, D]
        resp_sums[:] = weighted.sum(axis=0)
        sums[:] = np.einsum("nk,nkd->kd", weighted, gaps)
        subscripts = {"full": "kde", "tied": "de", "diag": "kd", "spherical": "k"}
        out = subscripts[covariance_type]
        other = "nke" if "e" in out else "nkd"
        second[:] = np.einsum(f"nk,nkd,{other}->{out}", weighted, gaps, gaps, optimize=True)
    return log_likelihood
