"""Sums over the rows that a mixture is computed from, wherever the rows are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast._cached import cached_property
from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.tree import Tree
from unsup_fast._types import Array, is_tensor
from unsup_fast.blocks import DataError
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.distributed._seeding import kmeans_plusplus
from unsup_fast.kernels.em import EStep
from unsup_fast.kernels.moments import Moments
from unsup_fast.mixture._responsibilities import Responsibilities
from unsup_fast.mixture._sums import (
    BLOCK,
    BlockSums,
    MixtureSums,
    ResponsibilitySums,
    Value,
    checked,
    is_finite,
)

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor

MODERATE = 2.0**48  # ratios and magnitudes up to this have squares that float32 holds
OVERFLOW = "the squares of {0} overflow {1}; divide {0} by its largest magnitude"
MIN_VARIANCE = 1e-290  # factors and precisions of it are finite


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

    def blocks(self) -> Iterator[tuple[slice, Any, Any]]:
        """Yield the slice of a block, its rows, and their weights or None, in order."""
        for where, part in self.rows.parts(self.chunk_size):
            yield from self._pieces(where, part)

    def _pieces(
        self, where: slice, part: Any, max_rows: int | None = None
    ) -> Iterator[tuple[slice, Any, Any]]:
        """Yield a part of the rows, by no more than `max_rows`, as `blocks` does."""
        weights = self.rows.sample_weight
        if self.wide:
            max_rows = min(max_rows or BLOCK, max(1, BLOCK // self.n_columns))
        step = len(part) if max_rows is None else max_rows
        for start in range(where.start, where.stop, step):
            block = slice(start, min(start + step, where.stop))
            rows = part[block.start - where.start : block.stop - where.start]
            weight = None if weights is None else weights[block]
            if self.wide:
                rows, weight = _as_float64(rows), _as_float64(weight)
            yield block, rows, weight

    def total(self, sums: BlockSums[Value]) -> Value:
        """Return sums over all rows: of each block, and of the blocks in a fixed tree."""
        if isinstance(self.rows, FleetRows):
            return self.rows.total(sums.merge, "sums", sums, self.covariance_type, self.wide)
        return self.tree(sums).total()

    def tree(
        self, sums: BlockSums[Value], *, first_block: int = 0, first_row: int = 0
    ) -> Tree[Value]:
        """Return sums over runs of blocks.

        Parameters
        ----------
        sums : BlockSums
        first_block, first_row : int
            Numbers among all blocks and rows of the first ones here.
        """
        tree = Tree(sums.merge, first_block)
        for where, part in self.rows.parts(self.chunk_size):
            pieces = (
                sums.of_rows(self.rows, rows, weight, first_row + block.start)
                for block, rows, weight in self._pieces(where, part, sums.max_rows)
            )
            tree.add(reduce(sums.merge, pieces))
        return tree

    def em(self, mixture: Mixture) -> EStep:
        """Return the likelihood of the rows under a mixture and the moments about its means.

        Raises
        ------
        DataError
            If a sum overflows float64.
        """
        sums = self._sums(mixture)
        total = self.total(sums)
        if is_finite(total):
            return total
        if self.may_widen:
            self.wide = True
            total = self.total(sums)
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
        sums = self._sums(mixture)
        blocks = [
            sums.e_step(self.rows, rows, weight, **wanted) for _, rows, weight in self.blocks()
        ]
        if self.may_widen and not all(np.isfinite(block.log_likelihood) for block in blocks):
            self.wide = True
            steps = (
                sums.e_step(self.rows, rows, weight, **wanted) for _, rows, weight in self.blocks()
            )
            blocks = [
                block._replace(log_prob=_as_float32(block.log_prob), resp=_as_float32(block.resp))
                for block in steps
            ]
        return blocks

    def _sums(self, mixture: Mixture) -> MixtureSums:
        """Return what is summed up under a mixture, with its parameters where the rows are."""
        to_device = self.rows.to_device
        return MixtureSums(
            log_weights=to_device(log_of_weights(mixture.weights)),
            means=to_device(mixture.means),
            factors=to_device(mixture.factors),
            covariance_type=self.covariance_type,
        )

    def responsibility_moments(
        self,
        means: Array,
        responsibilities: "Callable[[Rows, ArrayOrTensor], Responsibilities]",
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
        sums = ResponsibilitySums(
            means=means,
            responsibilities=responsibilities,
            covariance_type=self.covariance_type,
        )
        total = self.total(sums)
        if not is_finite(total._replace(log_likelihood=0.0)):
            raise DataError(OVERFLOW.format("X", self.rows.dtype))
        return total

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
        if isinstance(self.rows, FleetRows):
            return kmeans_plusplus(self.rows, n_clusters, random_state, progress)
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
