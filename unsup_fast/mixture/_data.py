"""Sums over the rows that a mixture is computed from, wherever the rows are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unsup_fast._cached import cached_property
from unsup_fast._rows.protocol import Rows
from unsup_fast._types import Array, is_tensor
from unsup_fast.blocks import DataError
from unsup_fast.kernels.em import EStep, em, gmm_moments
from unsup_fast.kernels.moments import Moments
from unsup_fast.mixture._sums import add_up, checked, is_finite, sums_on_host

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor

BLOCK = 1 << 20  # elements of the responsibilities of a block: 8 MiB
MODERATE = 2.0**48  # ratios and magnitudes up to this have squares that float32 holds
OVERFLOW = "the squares of {0} overflow {1}; divide {0} by its largest magnitude"
MIN_VARIANCE = 1e-290  # factors and precisions of it are finite


class Responsibilities(NamedTuple):
    """Responsibilities of the components for some rows, where the rows are: one of the two."""

    resp: "ArrayOrTensor | None" = None
    """[N, K], type of the rows"""
    labels: "ArrayOrTensor | None" = None
    """[N] int32: the component whose responsibility is one"""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Parameters of a mixture, in float64."""

    weights: Array
    """[K]"""
    means: Array
    """[K, D]"""
    covariances: Array
    """Of the shape that the covariance type says; see `_covariance`."""
    factors: Array
    """Factors of the precisions, as `kernels.em` takes them."""


@dataclass(kw_only=True)
class MixtureData:
    """Rows with weights, and the passes over them for a mixture.

    Parameters of mixtures and sums are arrays on the host; labels and responsibilities stay where
    the rows are.
    """

    rows: Rows
    covariance_type: str
    chunk_size: int | None
    """Most rows of a block, unless they come in blocks of their own; None for all."""
    wide: bool = False
    """Whether float32 rows are computed with in float64, a block at a time, because their squares
    do not fit in float32. `em` changes to that by itself if a sum overflows."""

    @property
    def n_rows(self) -> int:
        """Number of rows N."""
        return self.rows.n_rows

    @property
    def n_columns(self) -> int:
        """Number of columns D."""
        return self.rows.n_columns

    @property
    def moments(self) -> Moments:
        """Mean, variance and largest deviation of the columns."""
        moments = self.rows.moments
        assert moments is not None  # the rows are dense
        return moments

    @property
    def eps(self) -> float:
        """Machine epsilon of the type of the rows."""
        return float(np.finfo(self.rows.dtype).eps)

    @cached_property
    def min_variances(self) -> Array:
        """The smallest variance that a covariance may have along each column, [D].

        It is the square of the distance of two doubles as far out as the rows; and, if all
        components share a factor, of the rows' distance from their mean times the machine epsilon
        of their type, which is what such a factor loses of a row.
        """
        tiny = float(np.finfo(np.float64).eps)
        mean, max_abs_deviation = self.moments.mean, self.moments.max_abs_deviation
        lost = self.eps if self.covariance_type == "tied" else 0.0
        deviations: Array = np.maximum(
            tiny * (np.abs(mean) + max_abs_deviation), lost * max_abs_deviation
        )
        deviations[deviations == 0] = deviations.max() or tiny
        variances: Array = np.maximum(deviations**2, MIN_VARIANCE)
        return variances

    @cached_property
    def sample_weight(self) -> Array | None:
        """The weights [N] on the host, or None."""
        weight: Array | None = self.rows.to_host(self.rows.sample_weight)
        return weight

    @property
    def total_weight(self) -> float:
        """Sum of the weights."""
        weight = self.sample_weight
        return float(self.n_rows) if weight is None else float(weight.sum(dtype=np.float64))

    @property
    def may_widen(self) -> bool:
        """Whether float64 would hold more than what the rows are computed with in."""
        return not self.wide and self.rows.dtype == np.float32

    @property
    def computed_in(self) -> np.dtype[Any]:
        """Type of the blocks."""
        return np.dtype(np.float64) if self.wide else self.rows.dtype

    def blocks(self, max_rows: int | None = None) -> Iterator[tuple[slice, Any, Any]]:
        """Yield the slice of a block, its rows, and their weights or None, in order."""
        if self.wide:
            max_rows = min(max_rows or BLOCK, max(1, BLOCK // self.n_columns))
        weights = self.rows.sample_weight
        for where, part in self.rows.parts(self.chunk_size):
            step = len(part) if max_rows is None else max_rows
            for start in range(where.start, where.stop, step):
                block = slice(start, min(start + step, where.stop))
                rows = part[block.start - where.start : block.stop - where.start]
                weight = None if weights is None else weights[block]
                if self.wide:
                    rows, weight = _as_float64(rows), _as_float64(weight)
                yield block, rows, weight

    def em(self, mixture: Mixture) -> EStep:
        """Return the likelihood of the rows under a mixture and the moments about its means.

        Raises
        ------
        DataError
            If a sum overflows float64.
        """
        total = add_up(self._e_steps(mixture))
        if is_finite(total):
            return total
        if self.may_widen:
            self.wide = True
            total = add_up(self._e_steps(mixture))
        return checked(total)

    def evaluate(
        self,
        mixture: Mixture,
        *,
        log_prob: bool = False,
        resp: bool = False,
        labels: bool = False,
    ) -> list[EStep]:
        """Return the result of `kernels.em` for each block, without moments.

        It is computed in float64 if densities of the rows overflow float32. `log_prob`, `resp` and
        `labels` say which arrays are wanted.
        """
        wanted = {"moments": False, "log_prob": log_prob, "resp": resp, "labels": labels}
        blocks = list(self._e_steps(mixture, **wanted))
        if self.may_widen and not all(np.isfinite(block.log_likelihood) for block in blocks):
            self.wide = True
            blocks = [
                block._replace(log_prob=_as_float32(block.log_prob), resp=_as_float32(block.resp))
                for block in self._e_steps(mixture, **wanted)
            ]
        return blocks

    def _e_steps(
        self,
        mixture: Mixture,
        *,
        moments: bool = True,
        log_prob: bool = False,
        resp: bool = False,
        labels: bool = False,
    ) -> Iterator[EStep]:
        """Yield the result of `kernels.em` for each block under a mixture, its sums on the host."""
        parameters = (log_of_weights(mixture.weights), mixture.means, mixture.factors)
        log_weights, means, factors = (self.rows.to_device(value) for value in parameters)
        for _, block, weight in self.blocks():
            yield sums_on_host(
                em(
                    block,
                    log_weights,
                    means,
                    factors,
                    self.covariance_type,
                    sample_weight=weight,
                    moments=moments,
                    return_log_prob=log_prob,
                    return_resp=resp,
                    return_labels=labels,
                    n_threads=self.rows.n_threads,
                )
            )

    def responsibility_moments(
        self, means: Array, responsibilities: "Callable[[ArrayOrTensor], Responsibilities]"
    ) -> EStep:
        """Return the moments about `means` for known responsibilities.

        Parameters
        ----------
        means : ndarray of shape (K, D)
        responsibilities : callable
            Returns those of the rows of a block.

        Raises
        ------
        DataError
            If a sum overflows float64.
        """
        total = add_up(
            self._block_moments(block, means, weight, responsibilities(block))
            for _, block, weight in self.blocks(max(1, BLOCK // len(means)))
        )
        if not is_finite(total._replace(log_likelihood=0.0)):
            raise DataError(OVERFLOW.format("X", self.rows.dtype))
        return total

    def _block_moments(
        self,
        block: "ArrayOrTensor",
        means: Array,
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
                self.rows.to_device(means),
                self.covariance_type,
                sample_weight=weight,
                n_threads=self.rows.n_threads,
                resp=responsibilities.resp,
                labels=responsibilities.labels,
            )
        )
        if is_finite(sums._replace(log_likelihood=0.0)):
            return sums
        block, weight, resp, labels = (
            self.rows.to_host(value) for value in (block, weight, *responsibilities)
        )
        step = max(1, BLOCK // means.size)
        parts = (slice(start, start + step) for start in range(0, len(block), step))
        return add_up(
            gmm_moments(
                block[part],
                means,
                self.covariance_type,
                resp=None if resp is None else resp[part],
                labels=None if labels is None else labels[part],
                sample_weight=None if weight is None else weight[part],
                backend="ref",
            )
            for part in parts
        )

    def take(self, indices: Array) -> Array:
        """Return rows [M, D] on the host, in the type that is computed in."""
        rows: Array = self.rows.take(indices)
        return rows.astype(np.float64) if self.wide else rows

    def kmeans_plusplus(
        self,
        n_clusters: int,
        random_state: np.random.RandomState,
        progress: Callable[[int, int], None] | None,
    ) -> Array:
        """Return the indices [K] of rows that greedy k-means++ chooses."""
        return self.rows.kmeans_plusplus(n_clusters, random_state, progress=progress)


def log_of_weights(weights: Array) -> Array:
    """Return log pi_k [K], minus infinity for a component without rows."""
    logs: Array = np.log(weights, out=np.full(len(weights), -np.inf), where=weights > 0)
    return logs


def _as_float64(value: "ArrayOrTensor | None") -> "ArrayOrTensor | None":
    """Return an array or tensor in float64; None stays None."""
    if value is None:
        return None
    return value.double() if is_tensor(value) else value.astype(np.float64)


def _as_float32(value: "ArrayOrTensor | None") -> "ArrayOrTensor | None":
    """Return an array or tensor in float32; None stays None."""
    if value is None:
        return None
    with np.errstate(over="ignore", under="ignore"):
        return value.float() if is_tensor(value) else value.astype(np.float32)
