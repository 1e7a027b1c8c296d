"""What is added up over blocks of rows, on this machine or by the processes that have them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from unsup_fast._rows.protocol import Rows
from unsup_fast._types import Array, is_tensor
from unsup_fast.blocks import DataError
from unsup_fast.kernels.em import EStep, em, gmm_moments
from unsup_fast.mixture._responsibilities import Responsibilities

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor

BLOCK = 1 << 20  # elements of the responsibilities of a block: 8 MiB
Value = TypeVar("Value")


class BlockSums(Protocol[Value]):
    """Sums over rows, which travel to where the rows are."""

    @property
    def max_rows(self) -> int | None:
        """Most rows that are summed up in one call; None for any number."""

    def of_rows(
        self,
        rows: Rows,
        block: "ArrayOrTensor",
        weight: "ArrayOrTensor | None",
        first: int,
    ) -> Value:
        """Return the sums of a block [B, D] of rows.

        Parameters
        ----------
        rows : Rows
            All of them, wherever they are.
        block : ndarray or tensor of shape (B, D)
        weight : ndarray or tensor of shape (B,), optional
        first : int
            Number of the first row among all.
        """

    def merge(self, one: Value, two: Value) -> Value:
        """Return the sums over both, the earlier rows first, whose memory may be reused."""


@dataclass(frozen=True, kw_only=True)
class MixtureSums:
    """Likelihood and moments under a mixture; see `kernels.em`. Parameters are where rows are."""

    log_weights: "ArrayOrTensor"
    """[K]"""
    means: "ArrayOrTensor"
    """[K, D]"""
    factors: "ArrayOrTensor"
    covariance_type: str

    max_rows = None

    def of_rows(
        self,
        rows: Rows,
        block: "ArrayOrTensor",
        weight: "ArrayOrTensor | None",
        first: int,
    ) -> EStep:
        """Return the sums of a block."""
        return self.e_step(rows, block, weight)

    def e_step(
        self,
        rows: Rows,
        block: "ArrayOrTensor",
        weight: "ArrayOrTensor | None",
        *,
        moments: bool = True,
        log_prob: bool = False,
        resp: bool = False,
        labels: bool = False,
    ) -> EStep:
        """Return the result of `kernels.em` for a block [B, D] of rows, its sums on the host."""
        return sums_on_host(
            em(
                block,
                self.log_weights,
                self.means,
                self.factors,
                self.covariance_type,
                sample_weight=weight,
                moments=moments,
                return_log_prob=log_prob,
                return_resp=resp,
                return_labels=labels,
                n_threads=rows.n_threads,
            )
        )

    def merge(self, one: EStep, two: EStep) -> EStep:
        """Return the sums over both, in the memory of the first."""
        return added(one, two)


@dataclass(frozen=True, kw_only=True)
class ResponsibilitySums:
    """Moments about means for known responsibilities."""

    means: Array
    """[K, D]"""
    responsibilities: "Callable[[Rows, ArrayOrTensor], Responsibilities]"
    """Returns those of a block [B, D] of rows."""
    covariance_type: str

    @property
    def max_rows(self) -> int:
        """Rows whose responsibilities take a block."""
        return max(1, BLOCK // len(self.means))

    def of_rows(
        self,
        rows: Rows,
        block: "ArrayOrTensor",
        weight: "ArrayOrTensor | None",
        first: int,
    ) -> EStep:
        """Return the moments of a block."""
        return self._of_block(rows, block, weight, self.responsibilities(rows, block))

    def _of_block(
        self,
        rows: Rows,
        block: "ArrayOrTensor",
        weight: "ArrayOrTensor | None",
        responsibilities: Responsibilities,
    ) -> EStep:
        """Return the moments of a block; by the reference, in float64, if the kernel overflows.

        The kernel brings typical distances near one, and so others of the block out of range if
        they differ by more than 1e30, in float64 1e230.
        """
        sums = sums_on_host(
            gmm_moments(
                block,
                rows.to_device(self.means),
                self.covariance_type,
                sample_weight=weight,
                n_threads=rows.n_threads,
                resp=responsibilities.resp,
                labels=responsibilities.labels,
            )
        )
        if is_finite(sums._replace(log_likelihood=0.0)):
            return sums
        block, weight, resp, labels = (
            rows.to_host(value) for value in (block, weight, *responsibilities)
        )
        step = max(1, BLOCK // self.means.size)
        parts = (slice(start, start + step) for start in range(0, len(block), step))
        return reduce(
            added,
            (
                gmm_moments(
                    block[part],
                    self.means,
                    self.covariance_type,
                    resp=None if resp is None else resp[part],
                    labels=None if labels is None else labels[part],
                    sample_weight=None if weight is None else weight[part],
                    backend="ref",
                )
                for part in parts
            ),
        )

    def merge(self, one: EStep, two: EStep) -> EStep:
        """Return the sums over both, in the memory of the first."""
        return added(one, two)


def added(one: EStep, two: EStep) -> EStep:
    """Return the sums over both about the same means, in the memory of the first."""
    for total, other in zip(one[2:5], two[2:5], strict=True):
        if total is not None:
            total += other
    return one._replace(
        log_likelihood=one.log_likelihood + two.log_likelihood,
        weight=one.weight + two.weight,
        log_prob=None,
        resp=None,
        labels=None,
    )


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
