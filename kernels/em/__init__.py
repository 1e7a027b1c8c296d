"""`em`: the E-step of a Gaussian mixture and the moments that its M-step needs, in one pass.

For rows x_i with weights w_i (ones by default), mixture weights pi_k, means mu_k and factors U_k
of the precisions, Sigma_k^-1 = U_k U_k^T::

    log p_ik = log pi_k + log det U_k - |(x_i - mu_k) U_k|^2 / 2 - D/2 log(2 pi)
    log p_i  = log sum_k exp(log p_ik)             log_likelihood = sum_i w_i log p_i
    r_ik     = exp(log p_ik - log p_i)             resp_sums_k    = sum_i w_i r_ik
    sums_k   = sum_i w_i r_ik (x_i - mu_k)
    second_k = sum_i w_i r_ik (x_i - mu_k) (x_i - mu_k)^T

All sums are float64, about the means passed in, and may be added over blocks of rows. Nothing of
size N x K is written unless asked for. The result is bitwise the same for any number of threads.

A row adds nothing to component k, and costs nothing there, where r_ik < pi_k u / 64, u the unit
roundoff of X's type: all such rows together have less than u / 64 of the component's share. A row
so far from all components that every log p_ik is minus infinity in X's type has log p_i = -inf,
responsibilities of zero, label 0, and adds nothing to the moments; so has a row with NaN.

Source: Dempster, Laird & Rubin 1977; factors as `precisions_cholesky_` of scikit-learn.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels.em import native, ref
from unsup_fast.kernels.em.checks import check_factors, check_rows, doubles, total_weight
from unsup_fast.kernels.em.result import COVARIANCE_TYPES, EStep, shape_of

__all__ = ["COVARIANCE_TYPES", "EStep", "em", "gmm_moments", "shape_of"]


def _triton(**arguments: Any) -> EStep:
    from unsup_fast.kernels.em import triton_

    return triton_.em(**arguments)


def _triton_moments(**arguments: Any) -> EStep:
    from unsup_fast.kernels.em import triton_

    return triton_.gmm_moments(**arguments)


def _numba(**arguments: Any) -> float:
    from unsup_fast.kernels.em import numba_

    return numba_.em(**arguments)


HOST: dict[str, Callable[..., float]] = {"native": native.em, "numba": _numba, "ref": ref.em}


def em(
    X: Any,
    log_weights: Any,
    means: Any,
    factors: Any,
    covariance_type: str = "full",
    *,
    sample_weight: Any = None,
    moments: bool = True,
    return_log_prob: bool = False,
    return_resp: bool = False,
    return_labels: bool = False,
    n_threads: int | None = None,
    backend: str | None = None,
) -> EStep:
    """Return the likelihood of the rows under a mixture, and the moments of the next M-step.

    Parameters
    ----------
    X : C-contiguous ndarray or CUDA tensor of shape (N, D), float32 or float64, finite
    log_weights : float64 ndarray of shape (K,), or like all that follows a tensor on X's device
        log pi_k; minus infinity for a component that no row belongs to.
    means : float64 ndarray of shape (K, D)
    factors : float64 ndarray
        Upper triangular U_k: "full" (K, D, D), "tied" (D, D), "diag" (K, D), "spherical" (K,).
        What is below the diagonal is not read. Values of tensors are not looked at, since that
        would wait for the device: log_likelihood says minus infinity or NaN.
    covariance_type : {"full", "tied", "diag", "spherical"}
    sample_weight : ndarray of shape (N,), type of X, >= 0, optional
    moments : bool
        Whether resp_sums, sums and second are wanted.
    return_log_prob, return_resp, return_labels : bool
        Which arrays with a row for each row of X are wanted.
    n_threads : int, optional
        Threads to run; None for all. Not for tensors.
    backend : {"native", "numba", "ref", "triton"}, optional
        Implementation; None chooses. Tensors have "triton", arrays the others.

    Returns
    -------
    EStep

    Raises
    ------
    TypeError, ValueError
        If an argument's type, shape or value does not fit.
    KeyboardInterrupt
        Within a second of Ctrl-C.
    """
    if _check.is_tensor(X):
        on_device = choose("em of tensors", {"triton": _triton}, backend, "triton")
        return on_device(
            X=X,
            log_weights=log_weights,
            means=means,
            factors=factors,
            covariance_type=covariance_type,
            sample_weight=sample_weight,
            moments=moments,
            return_log_prob=return_log_prob,
            return_resp=return_resp,
            return_labels=return_labels,
        )
    means, shape = check_rows(X, means, covariance_type, sample_weight)
    n, (k, d) = len(X), means.shape
    log_weights = doubles("log_weights", log_weights, (k,))
    if np.isnan(log_weights).any() or (log_weights == np.inf).any():
        raise ValueError("log_weights must be finite or minus infinity")
    factors = doubles("factors", factors, shape)
    check_factors(factors, covariance_type)
    resp_sums = np.empty(k) if moments else None
    sums = np.empty((k, d)) if moments else None
    second = np.empty(shape) if moments else None
    log_prob = np.empty(n, dtype=X.dtype) if return_log_prob else None
    resp = np.empty((n, k), dtype=X.dtype) if return_resp else None
    labels = np.empty(n, dtype=np.int32) if return_labels else None
    run = choose("em", HOST, backend)
    log_likelihood = run(
        X=X,
        log_weights=log_weights,
        means=means,
        factors=factors,
        covariance_type=covariance_type,
        sample_weight=sample_weight,
        from_resp=False,
        resp_sums=resp_sums,
        sums=sums,
        second=second,
        log_prob=log_prob,
        resp=resp,
        labels=labels,
        n_threads=threads.effective(n_threads),
    )
    return EStep(
        log_likelihood=log_likelihood,
        weight=total_weight(X, sample_weight),
        resp_sums=resp_sums,
        sums=sums,
        second=second,
        log_prob=log_prob,
        resp=resp,
        labels=labels,
    )


def gmm_moments(
    X: Any,
    means: Any,
    covariance_type: str = "full",
    *,
    resp: Any = None,
    labels: Any = None,
    sample_weight: Any = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> EStep:
    """Return the moments of `em` about `means` for known responsibilities.

    Parameters
    ----------
    X : C-contiguous ndarray or CUDA tensor of shape (N, D), float32 or float64, finite
    means : float64 ndarray of shape (K, D), or like all that follows a tensor on X's device
        What sums and second are about; near the rows of each component rounding is least.
    covariance_type : {"full", "tied", "diag", "spherical"}
    resp : C-contiguous ndarray of shape (N, K), type of X, optional
        r_ik >= 0.
    labels : int32 ndarray of shape (N,), optional
        Instead of `resp`: r_ik = 1 for k = labels_i and 0 for the others.
    sample_weight, n_threads, backend
        As in `em`.

    Returns
    -------
    EStep
        log_likelihood is NaN; log_prob, resp and labels are None.

    Raises
    ------
    TypeError, ValueError
        If an argument's type, shape or value does not fit.
    KeyboardInterrupt
        Within a second of Ctrl-C.
    """
    if (resp is None) == (labels is None):
        raise ValueError("pass either resp or labels, and not both")
    if _check.is_tensor(X):
        on_device = choose("em of tensors", {"triton": _triton_moments}, backend, "triton")
        return on_device(
            X=X,
            means=means,
            covariance_type=covariance_type,
            resp=resp,
            labels=labels,
            sample_weight=sample_weight,
        )
    means, shape = check_rows(X, means, covariance_type, sample_weight)
    n, (k, d) = len(X), means.shape
    if resp is not None:
        _check.matrix("resp", resp, X.dtype)
        if resp.shape != (n, k):
            raise ValueError(f"resp has shape {resp.shape}; it must be ({n}, {k})")
    if labels is not None:
        _check.vector("labels", labels, n, np.int32)
        if n > 0 and not 0 <= labels.min() <= labels.max() < k:
            raise ValueError(
                f"labels run from {labels.min()} to {labels.max()}; they must be from 0 to {k - 1}"
            )
    resp_sums, sums, second = np.empty(k), np.empty((k, d)), np.empty(shape)
    run = choose("em", HOST, backend)
    run(
        X=X,
        log_weights=None,
        means=means,
        factors=None,
        covariance_type=covariance_type,
        sample_weight=sample_weight,
        from_resp=True,
        resp_sums=resp_sums,
        sums=sums,
        second=second,
        log_prob=None,
        resp=resp,
        labels=labels,
        n_threads=threads.effective(n_threads),
    )
    return EStep(
        log_likelihood=np.nan,
        weight=total_weight(X, sample_weight),
        resp_sums=resp_sums,
        sums=sums,
        second=second,
        log_prob=None,
        resp=None,
        labels=None,
    )
