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

from typing import Any, NamedTuple

import numpy as np

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose, native
from unsup_fast.kernels._types import Array

__all__ = ["COVARIANCE_TYPES", "EStep", "em", "gmm_moments"]

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
"""Names of the forms of a covariance, as in scikit-learn."""


class EStep(NamedTuple):
    """Result of one pass over the rows; the first five may be added over blocks of rows.

    Of a CUDA tensor they are tensors on its device, those without a shape here of shape ().
    """

    log_likelihood: Any
    """float: sum_i w_i log p_i; NaN from `gmm_moments`."""
    weight: Any
    """float: sum_i w_i"""
    resp_sums: Any
    """float64 [K]: sum_i w_i r_ik; this and the next two are None without `moments`."""
    sums: Any
    """float64 [K, D]: sum_i w_i r_ik (x_i - mu_k)"""
    second: Any
    """float64: sum_i w_i r_ik (x_i - mu_k) (x_i - mu_k)^T, symmetric: "full" [K, D, D]; "tied"
    [D, D], summed over k; "diag" [K, D], the diagonals; "spherical" [K], the traces over D."""
    log_prob: Any
    """[N], type of X: log p_i; None unless asked for."""
    resp: Any
    """[N, K], type of X: r_ik, not weighted; None unless asked for."""
    labels: Any
    """int32 [N]: the k of the largest log p_ik, the lowest among equals; None unless asked for."""


def _native(*arguments: Any) -> float:
    return float(native().em(*arguments))


def _ref(*arguments: Any) -> float:
    from unsup_fast.kernels.em import ref

    return ref.em(*arguments)


def _triton(*arguments: Any) -> EStep:
    from unsup_fast.kernels.em import triton_

    return triton_.em(*arguments)


def _triton_moments(*arguments: Any) -> EStep:
    from unsup_fast.kernels.em import triton_

    return triton_.gmm_moments(*arguments)


def shape_of(covariance_type: str, k: int, d: int) -> tuple[int, ...]:
    """Return the shape of factors and second moments."""
    shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
    if covariance_type not in shapes:
        raise ValueError(
            f"covariance_type={covariance_type!r} is unknown; pass one of {COVARIANCE_TYPES}"
        )
    return shapes[covariance_type]


def _doubles(name: str, value: Array, shape: tuple[int, ...]) -> Array:
    if not isinstance(value, np.ndarray) or value.dtype != np.float64 or value.shape != shape:
        got = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else type(value)
        raise ValueError(f"{name} must be a float64 NumPy array of shape {shape}, got {got}")
    return np.ascontiguousarray(value)


def _check_factors(factors: Array, covariance_type: str) -> None:
    per_matrix = covariance_type in ("full", "tied")
    diagonal = np.diagonal(factors, axis1=-2, axis2=-1) if per_matrix else factors
    if not (diagonal > 0).all() or not np.isfinite(factors).all():
        raise ValueError(
            "factors must be finite, with a positive diagonal; pass Cholesky factors of precisions "
            "that are positive definite"
        )


def _check_rows(
    X: Array, means: Array, covariance_type: str, sample_weight: Array | None
) -> tuple[Array, tuple[int, ...]]:
    _check.matrix("X", X)
    d = X.shape[1]
    if not isinstance(means, np.ndarray) or means.ndim != 2 or len(means) == 0:
        raise ValueError(f"means must be a float64 NumPy array of shape (K, {d}) with K >= 1")
    means = _doubles("means", means, (len(means), d))
    if not np.isfinite(means).all():
        raise ValueError("means must be finite")
    if sample_weight is not None:
        _check.vector("sample_weight", sample_weight, len(X), X.dtype)
    return means, shape_of(covariance_type, len(means), d)


def _weight(X: Array, sample_weight: Array | None) -> float:
    return float(len(X) if sample_weight is None else sample_weight.sum(dtype=np.float64))


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
    backend : {"native", "ref", "triton"}, optional
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
        wanted = (moments, return_log_prob, return_resp, return_labels)
        return on_device(X, log_weights, means, factors, covariance_type, sample_weight, *wanted)
    means, shape = _check_rows(X, means, covariance_type, sample_weight)
    n, (k, d) = len(X), means.shape
    log_weights = _doubles("log_weights", log_weights, (k,))
    if np.isnan(log_weights).any() or (log_weights == np.inf).any():
        raise ValueError("log_weights must be finite or minus infinity")
    factors = _doubles("factors", factors, shape)
    _check_factors(factors, covariance_type)
    resp_sums = np.empty(k) if moments else None
    sums = np.empty((k, d)) if moments else None
    second = np.empty(shape) if moments else None
    log_prob = np.empty(n, dtype=X.dtype) if return_log_prob else None
    resp = np.empty((n, k), dtype=X.dtype) if return_resp else None
    labels = np.empty(n, dtype=np.int32) if return_labels else None
    run = choose("em", {"native": _native, "ref": _ref}, backend)
    log_likelihood = run(
        X,
        log_weights,
        means,
        factors,
        covariance_type,
        sample_weight,
        False,
        resp_sums,
        sums,
        second,
        log_prob,
        resp,
        labels,
        threads.effective(n_threads),
    )
    weight = _weight(X, sample_weight)
    return EStep(log_likelihood, weight, resp_sums, sums, second, log_prob, resp, labels)


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
        return on_device(X, means, covariance_type, resp, labels, sample_weight)
    means, shape = _check_rows(X, means, covariance_type, sample_weight)
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
    run = choose("em", {"native": _native, "ref": _ref}, backend)
    run(
        X,
        None,
        means,
        None,
        covariance_type,
        sample_weight,
        True,
        resp_sums,
        sums,
        second,
        None,
        resp,
        labels,
        threads.effective(n_threads),
    )
    return EStep(np.nan, _weight(X, sample_weight), resp_sums, sums, second, None, None, None)
