"""What `em` returns, and the shapes of covariances."""

from typing import Any, NamedTuple

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


def shape_of(covariance_type: str, k: int, d: int) -> tuple[int, ...]:
    """Return the shape of factors and second moments."""
    shapes = {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}
    if covariance_type not in shapes:
        raise ValueError(
            f"covariance_type={covariance_type!r} is unknown; pass one of {COVARIANCE_TYPES}"
        )
    return shapes[covariance_type]
