"""The compiled `em`."""

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array


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
    log_likelihood: float = compiled().em(
        X=X,
        log_weights=log_weights,
        means=means,
        factors=factors,
        covariance_type=covariance_type,
        sample_weight=sample_weight,
        from_resp=from_resp,
        resp_sums=resp_sums,
        sums=sums,
        second=second,
        log_prob=log_prob,
        resp=resp,
        labels=labels,
        n_threads=n_threads,
    )
    return log_likelihood
