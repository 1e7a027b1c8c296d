"""`SourceRows`: rows that come in blocks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from unsup_fast._rows import scaling, seeding
from unsup_fast._rows.host_rows import CpuRows, HostRows
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.moments import Moments


@dataclass(frozen=True, kw_only=True)
class SourceRows(CpuRows):
    """Rows of a `Source`. In memory are the block that is computed with and two read ahead."""

    wide: np.dtype[Any] | None = None
    """Type that the blocks are converted to; None for their own."""

    @property
    def n_columns(self) -> int:
        """Number of columns, for which no block is read."""
        return int(self.X.n_columns)

    @property
    def n_rows_if_known(self) -> int | None:
        """Number of rows; None if the source would be read to count them."""
        n_rows: int | None = self.X.rows_if_known
        return n_rows

    @property
    def is_in_memory(self) -> bool:
        """Whether X holds all rows at once: it does not."""
        return False

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64."""
        dtype: np.dtype[Any] = self.X.dtype if self.wide is None else self.wide
        return dtype

    @property
    def moments(self) -> Moments:
        """Mean, variance and largest deviation of the columns."""
        moments: Moments = self.X.moments
        return moments

    @property
    def block_size(self) -> int:
        """Rows of a block of the source."""
        return int(self.X.chunk_size)

    def parts(self, most: int | None = None) -> Iterator[tuple[slice, Any]]:
        """Yield the rows block by block, each with its slice; `most` has no effect."""
        for where, block in seeding.parts(self.X):
            yield where, block.astype(self.dtype, copy=False)

    def astype(self, dtype: Any) -> "SourceRows":
        """Return the rows in float32 or float64."""
        return replace(self, wide=np.dtype(dtype))

    def about(self, origin: Array) -> "SourceRows":
        """Return the rows as measured from the origin [D] of a fitted model."""
        return replace(self, model_origin=origin)

    def divided(self, scale: Array) -> "SourceRows | HostRows":
        """Return the rows with their columns divided by `scale` [D]; see `scaling.divided`.

        They are in memory if they are an array small enough to be copied.
        """
        divided = scaling.divided(self.X, scale)
        if isinstance(divided, np.ndarray):
            return self._in_memory(divided)
        return replace(self, X=divided)

    def in_memory(self, *, copy: bool = False) -> "SourceRows | HostRows":
        """Return the rows as an array if they need no copy, or with `copy`; else unchanged."""
        if self.X.array is None and not copy:
            return self
        return self._in_memory(self.X.to_array().astype(self.dtype, copy=False))

    def mapped(self, change: Callable[[Any, int], Any]) -> "SourceRows":
        """Return a source whose blocks ``change(block, first_row)`` computes in each pass."""
        return replace(self, X=self.X.map_rows(change))

    def take(self, indices: Array) -> Array:
        """Return some rows [M, D]."""
        rows: Array = self.X.take(indices).astype(self.dtype, copy=False)
        return rows

    def kmeans_plusplus(
        self,
        n_clusters: int,
        random_state: np.random.RandomState,
        *,
        n_local_trials: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Array:
        """Return the indices [K] of rows that greedy k-means++ chooses."""
        return seeding.kmeans_plusplus(
            self.X,
            n_clusters,
            random_state,
            sample_weight=self.sample_weight,
            n_local_trials=n_local_trials,
            n_threads=self.n_threads,
            progress=progress,
        )

    def _in_memory(self, X: Array) -> HostRows:
        return HostRows(
            X=X,
            n_threads=self.n_threads,
            name=self.name,
            sample_weight=self.sample_weight,
            model_origin=self.model_origin,
            user_device=self.user_device,
            known_moments=self.moments if X is self.X.array else None,
            chunk_size=self.X.chunk_size,
        )
