"""Passes over a source of blocks."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast._rows.seeding import parts
from unsup_fast.blocks import Source
from unsup_fast.cluster._pruning import Passes
from unsup_fast.kernels.moments import Moments

Array = npt.NDArray[Any]


class Stream(Passes):
    """Passes over the blocks of a source, one after the other, each of them dense.

    In memory are the labels, the block that is computed with and two that are read ahead.

    Parameters
    ----------
    X : Source
    shift : ndarray of shape (D,)
    sample_weight : ndarray of shape (N,), optional
    n_threads : int
    moments : Moments, optional
        Of X; without them, sums are added up anew in each pass.
    sample : ndarray of shape (M, D), optional
        With moments: some rows of X, which the size of rows is estimated from.
    """

    def __init__(
        self,
        X: Source,
        shift: Array,
        sample_weight: Array | None,
        n_threads: int,
        moments: Moments | None = None,
        sample: Array | None = None,
    ) -> None:
        super().__init__(X, shift, sample_weight, n_threads, False, moments, sample)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        n_rows: int = self.X.n_rows
        return n_rows

    def take(self, rows: Array) -> Array:
        """Return the rows [M, D] of these indices."""
        taken: Array = self.X.take(rows)
        return taken

    def parts(self) -> Iterator[tuple[slice, Any]]:
        """Yield the rows block by block, each with its slice."""
        return parts(self.X)

    def nearest(self, centers: Array) -> tuple[Array, Array]:
        """Return each row's nearest center, [N] int32, and its squared distance [N]."""
        labels = np.full(self.n_rows, -1, dtype=np.int32)
        options = {"update": False, "return_inertia": False, "return_distances": True}
        assigned = self._assign(centers, labels, **options)
        assert assigned.distances is not None
        return labels, assigned.distances
