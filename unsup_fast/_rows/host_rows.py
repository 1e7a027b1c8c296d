"""`HostRows`: an array or a CSR matrix in memory, and what sources have in common with it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import scipy.sparse as sp
from sklearn.utils.sparsefuncs import mean_variance_axis

from unsup_fast._cached import cached_property
from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.covariance import EMPTY, Progress, merged_covariance, rows_at_once
from unsup_fast._rows.directions import unit_rows
from unsup_fast._rows.distances import check_range, distances
from unsup_fast._rows.draws import Masses, masses_of
from unsup_fast._rows.protocol import Spread
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import Assigned, assign
from unsup_fast.kernels.covariance import Covariance
from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus, pow2_scale
from unsup_fast.kernels.moments import Moments, merge, moments
from unsup_fast.kernels.nearest import Nearest, nearest
from unsup_fast.kernels.origin import median_row, sample_slice

if TYPE_CHECKING:
    import torch

Kind = TypeVar("Kind", bound="CpuRows")


@dataclass(frozen=True, kw_only=True)
class CpuRows(ABC):
    """Rows that the CPU computes with, part by part: the methods that hold for any parts."""

    X: Any
    n_threads: int
    name: str = "X"
    sample_weight: Array | None = None
    model_origin: Array | None = None
    """[D]: the origin of a fitted model; None for that of these rows."""
    user_device: "torch.device | None" = None
    """The CPU if the user passed a tensor, so that results are tensors; None otherwise."""

    @property
    def n_rows(self) -> int:
        """Number of rows; a source may be read to count them."""
        return int(self.X.shape[0])

    @property
    def n_columns(self) -> int:
        """Number of columns."""
        return int(self.X.shape[1])

    @property
    def n_rows_if_known(self) -> int | None:
        """Number of rows; None if a source would be read to count them."""
        return self.n_rows

    @property
    def is_in_memory(self) -> bool:
        """Whether X holds all rows at once."""
        return True

    @property
    def shape(self) -> tuple[int, int]:
        """N and D."""
        return self.n_rows, self.n_columns

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        dtype: np.dtype[Any] = self.X.dtype
        return dtype

    @property
    def device(self) -> None:
        """No device: the CPU computes."""
        return None

    @property
    @abstractmethod
    def moments(self) -> Moments | None:
        """Mean, variance and largest deviation of the columns; None for CSR."""

    @property
    @abstractmethod
    def block_size(self) -> int:
        """Rows of a block: sums of floating-point numbers are those of blocks, added in order."""

    @cached_property
    def masses(self) -> Masses:
        """The weights as whole numbers, to draw rows by."""
        return masses_of(self.sample_weight, self.n_rows)

    @abstractmethod
    def parts(self, most: int | None = None) -> Iterator[tuple[slice, Any]]:
        """Yield the rows part by part, each with its slice."""

    @abstractmethod
    def take(self, indices: Array) -> Any:
        """Return some rows [M, D], an ndarray or CSR matrix of their own."""

    @abstractmethod
    def mapped(self: Kind, change: Callable[[Any, int], Any]) -> Kind:
        """Return rows that ``change(part, first_row)`` computes of each part by itself."""

    @cached_property
    def sample(self) -> Array:
        """About a hundred evenly spaced rows, dense."""
        return dense(self.take(np.array(range(self.n_rows)[sample_slice(self.n_rows)])))

    @cached_property
    def origin(self) -> Array:
        """[D], type of X: the median of `sample`, or that of a fitted model."""
        origin = median_row(self.sample) if self.model_origin is None else self.model_origin
        return origin.astype(self.dtype, copy=False)

    @property
    def shift(self) -> Array | None:
        """The origin, which kernels subtract; None for CSR, which is not shifted."""
        return None if sp.issparse(self.X) else self.origin

    def weighted(self: Kind, sample_weight: Any) -> Kind:
        """Return the rows with weights, which are validated; see `arrays.weights`."""
        if sample_weight is None:
            return replace(self, sample_weight=None)
        weight = arrays.weights(sample_weight, self.n_rows, self.X.dtype)
        return replace(self, sample_weight=weight)

    def deviations(self) -> Array:
        """Return the standard deviations [D], type of X, that `standardize` divides by."""
        return scaling.of_rows(self.X, self.moments, self.sample_weight)

    def spread(self) -> Spread:
        """Return how far the rows lie from their origin; CSR rows are not measured from one."""
        statistics = self.moments
        if statistics is None:
            return Spread(variance=mean_variance_axis(self.X, axis=0)[1], farthest=0.0)
        origin = self.origin if self.model_origin is None else self.model_origin
        farthest = float(statistics.max_abs_about(origin).max())
        return Spread(variance=statistics.variance, farthest=farthest)

    def rescaled(self: Kind) -> Kind:
        """Return the rows times a power of two that keeps squared distances within their type."""
        statistics = self.moments
        if statistics is None:
            return self
        largest = statistics.max_abs_about(self.origin).max()
        scale = pow2_scale(largest, self.dtype)
        if abs(np.log2(scale)) <= np.finfo(self.dtype).maxexp // 4:
            return self
        factor = self.dtype.type(scale)
        rows = self.mapped(lambda part, _: part * factor)
        return replace(rows, model_origin=self.origin * factor)

    def normalized(self: Kind) -> Kind:
        """Return the rows at unit length; see `directions.unit_rows`."""
        return self.mapped(unit_rows)

    def subset(self, indices: Array) -> "HostRows":
        """Return some rows with their weights, in memory, about the same origin."""
        weight = self.sample_weight
        return HostRows(
            X=self.take(indices),
            n_threads=self.n_threads,
            name=self.name,
            sample_weight=None if weight is None else weight[indices],
            model_origin=self.origin,
        )

    def finite(self: Kind, owner: str) -> Kind:
        """Return the rows unchanged: blocks are checked when they are read."""
        return self

    def covariance(
        self, owner: str, before: Covariance = EMPTY, progress: Progress | None = None
    ) -> Covariance:
        """Return mean and scatter of the rows, merged with those of the rows `before`."""
        return merged_covariance(
            self.covariance_blocks(),
            owner,
            before,
            progress,
            n_rows=self.n_rows_if_known,
            n_threads=self.n_threads,
        )

    def covariance_blocks(self) -> Iterator[Array]:
        """Yield the rows as `covariance` sums them up, dense: a source's by block."""
        for _, part in self.parts():
            yield dense(part)

    def assign(self, centers: Array, *, labels: Array | None = None, **wanted: Any) -> Assigned:
        """Make a pass of `kernels.assign` over the rows, and add the parts' sums up in order."""
        parts: list[Assigned] = []
        total: Assigned | None = None
        for part in self.assign_by_block(centers, labels=labels, **wanted):
            parts.append(part._replace(sums=None, weights=None))
            total = part if total is None else _added(total, part)
        assert total is not None
        if labels is None:
            labels = joined([part.labels for part in parts])
        far = [part.distances for part in parts if part.distances is not None]
        return total._replace(labels=labels, distances=joined(far) if far else None)

    def assign_by_block(
        self, centers: Array, *, labels: Array | None = None, **wanted: Any
    ) -> Iterator[Assigned]:
        """Yield what `assign` adds up, block by block."""
        for where, rows in self.parts():
            weight = None if self.sample_weight is None else self.sample_weight[where]
            yield assign(
                rows,
                centers,
                sample_weight=None if weight is None else weight.astype(self.dtype, copy=False),
                shift=self.shift,
                labels=None if labels is None else labels[where],
                n_threads=self.n_threads,
                **wanted,
            )

    def nearest(self, centers: Array, top: int) -> Nearest:
        """Return the `top` nearest centroids of each row, with their squared distances."""
        parts = [
            nearest(rows, centers, top, shift=self.shift, n_threads=self.n_threads)
            for _, rows in self.parts()
        ]
        return Nearest(
            labels=joined([part.labels for part in parts]),
            distances=joined([part.distances for part in parts if part.distances is not None]),
        )

    def distances(self, centers: Array, metric: str) -> Array:
        """Return the distance [N, K] of each row to each centroid, computed in float64."""
        return joined([distances(rows, centers, self.shift, metric) for _, rows in self.parts()])

    def to_device(self, value: Array) -> Array:
        """Return an array unchanged."""
        return value

    def to_host(self, value: Any) -> Any:
        """Return a result unchanged."""
        return value

    def to_user(self, value: Any) -> Any:
        """Return a result as a tensor if the user passed one, else unchanged."""
        return arrays.to_device(value, self.user_device)

    def to_callback(self, value: Array) -> Array:
        """Return a read-only view."""
        view = value.view()
        view.flags.writeable = False
        return view


@dataclass(frozen=True, kw_only=True)
class HostRows(CpuRows):
    """Rows in memory: an array or a CSR matrix.

    Attributes are those of the protocol `Rows`.
    """

    known_moments: Moments | None = None
    """Of X, where they are known."""
    chunk_size: int | None = None
    """Rows of a block of the source that X was read from; None for all rows."""

    @cached_property
    def moments(self) -> Moments | None:
        """Mean, variance and largest deviation of the columns; None for CSR."""
        if self.known_moments is not None or sp.issparse(self.X):
            return self.known_moments
        parts = [(len(part), moments(part, n_threads=self.n_threads)) for _, part in self.parts()]
        return merge(parts)

    @property
    def block_size(self) -> int:
        """Rows of a block: those of the source that X was read from, or all."""
        return self.chunk_size or self.n_rows

    def parts(self, most: int | None = None) -> Iterator[tuple[slice, Any]]:
        """Yield the rows block by block with their slice, or at most `most` at a time."""
        n_rows = self.n_rows
        step = self.block_size if most is None else most
        if step >= n_rows:
            yield slice(0, n_rows), self.X
            return
        for start in range(0, n_rows, step):
            part = slice(start, min(start + step, n_rows))
            yield part, self.X[part]

    def covariance_blocks(self) -> Iterator[Array]:
        """Yield the rows as `covariance` sums them up, dense.

        Those that were read from a source come by its blocks, others as many as suit memory.
        """
        most = self.chunk_size
        if most is None:
            most = rows_at_once(self.n_columns, self.dtype, sparse=sp.issparse(self.X))
        for _, part in self.parts(most):
            yield dense(part)

    def about(self, origin: Array) -> "HostRows":
        """Return the rows as measured from the origin [D] of a fitted model.

        Raises
        ------
        DataError
            If a difference overflows, as far as the moments of the rows are known.
        """
        rows = replace(self, model_origin=origin)
        if self.known_moments is not None:
            check_range(rows.spread().farthest, self.dtype, self.name)
        return rows

    def astype(self, dtype: Any) -> "HostRows":
        """Return the rows in float32 or float64."""
        return replace(self, X=self.X.astype(dtype, copy=False), known_moments=None)

    def divided(self, scale: Array) -> "HostRows":
        """Return the rows with their columns divided by `scale` [D]; see `scaling.divided`."""
        rows = self._changed(scaling.divided(self.X, scale))
        return rows if self.known_moments is None else replace(rows, known_moments=rows.moments)

    def mapped(self, change: Callable[[Any, int], Any]) -> "HostRows":
        """Return the rows that ``change(X, 0)`` computes."""
        return self._changed(change(self.X, 0))

    def finite(self, owner: str) -> "HostRows":
        """Return the rows after a check that they are finite; see `arrays.check_finite`."""
        if self.known_moments is not None:
            return self
        moments = arrays.check_finite(self.X, owner, self.n_threads)
        return replace(self, known_moments=moments)

    def in_memory(self, *, copy: bool = False) -> "HostRows":
        """Return the rows unchanged."""
        return self

    def take(self, indices: Array) -> Any:
        """Return some rows [M, D], an ndarray or CSR matrix of their own."""
        return self.X[indices] if sp.issparse(self.X) else self.X.take(indices, axis=0)

    def kmeans_plusplus(
        self,
        n_clusters: int,
        random_state: np.random.RandomState,
        *,
        n_local_trials: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Array:
        """Return the indices [K] of rows that greedy k-means++ chooses."""
        chosen: Array = kmeans_plusplus(
            self.X,
            n_clusters,
            random_state,
            sample_weight=self.sample_weight,
            n_local_trials=n_local_trials,
            n_threads=self.n_threads,
            progress=progress,
        )
        return chosen

    def _changed(self, X: Any) -> "HostRows":
        return self if X is self.X else replace(self, X=X, known_moments=None)


def dense(rows: Any) -> Array:
    """Return a few rows, an ndarray or CSR matrix, as a C-contiguous ndarray."""
    return np.ascontiguousarray(rows.toarray() if sp.issparse(rows) else rows)


def joined(arrays: list[Array]) -> Array:
    """Return arrays one below the other; a single one is not copied."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _added(one: Assigned, two: Assigned) -> Assigned:
    """Return two parts' sums; labels and distances are those of neither."""
    return one._replace(
        sums=None if one.sums is None else one.sums + two.sums,
        weights=None if one.weights is None else one.weights + two.weights,
        inertia=one.inertia + two.inertia,
        n_changed=one.n_changed + two.n_changed,
    )
