"""Sums of an E-step: added up over blocks, checked, and copied to the host."""

from collections.abc import Iterator

import numpy as np

from unsup_fast._types import is_tensor
from unsup_fast.blocks import DataError
from unsup_fast.kernels.em import EStep


def add_up(e_steps: Iterator[EStep]) -> EStep:
    """Add up the sums of blocks about the same means, in their order."""
    total = next(e_steps)._replace(log_prob=None, resp=None, labels=None)
    for block in e_steps:
        for one, other in zip(total[2:5], block[2:5], strict=True):
            if one is not None:
                one += other  # in place
        total = total._replace(
            log_likelihood=total.log_likelihood + block.log_likelihood,
            weight=total.weight + block.weight,
        )
    return total


def is_finite(sums: EStep) -> bool:
    """Whether the likelihood and the moments, as far as they were asked for, are finite."""
    moments = [value for value in sums[2:5] if value is not None]
    return bool(np.isfinite(sums.log_likelihood)) and all(np.isfinite(v).all() for v in moments)


def checked(total: EStep) -> EStep:
    """Return the sums of all rows, or raise DataError if they overflow."""
    if not is_finite(total):
        raise DataError(
            "the log-likelihood of X under the mixture overflows float64, because a row lies too "
            "far from all components; divide X by its largest magnitude, or pass a larger "
            "reg_covar, or means_init and precisions_init that fit X"
        )
    return total


def sums_on_host(e_step: EStep) -> EStep:
    """Copy the sums to the host in one transfer; tensors as long as the rows stay."""
    if not is_tensor(e_step.log_likelihood):
        return e_step
    from unsup_fast._rows import tensors

    sums = [value for value in e_step[:5] if value is not None]
    likelihood, weight, *moments = tensors.to_host_at_once(sums)
    resp_sums, first, second = moments or (None, None, None)
    return e_step._replace(
        log_likelihood=float(likelihood),
        weight=float(weight),
        resp_sums=resp_sums,
        sums=first,
        second=second,
    )
