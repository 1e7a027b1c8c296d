"""Whether a pass over the rows is dense or prunes: measured, and without effect on the result."""

from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from unsup_fast.kernels.assign import Assigned, assign
from unsup_fast.kernels.assign.prune import Basis, Projection, basis, choose, may_pay, project

Array = npt.NDArray[Any]

WORTHWHILE = 1e11  # multiply-adds still ahead that a basis and a projection must be set against


class Passes:
    """Runs `assign` again and again on the same rows.

    After the first dense pass, and again ever more rarely while it does not pay, sampled rows tell
    how many centroids a projection would rule out. A projection is dropped when two passes with it
    one after the other took longer than a dense one. Labels, sums and inertia depend on none of
    this.

    Parameters
    ----------
    X : ndarray of shape (N, D), or CSR matrix
    shift : ndarray of shape (D,) or None for CSR
    sample_weight : ndarray of shape (N,), optional
    n_threads : int
    may_prune : bool
        Whether projections are tried at all; never for CSR.
    """

    def __init__(
        self,
        X: Any,
        shift: Array | None,
        sample_weight: Array | None,
        n_threads: int,
        may_prune: bool,
    ) -> None:
        self.X, self.shift, self.sample_weight = X, shift, sample_weight
        self.n_threads = n_threads
        self.may_prune = may_prune and shift is not None
        self._basis: Basis | None = None
        self._projection: Projection | None = None
        self._dense_seconds = self._last_seconds = np.inf
        self._passes, self._next_try = 0, 1

    def assign(self, centers: Array, labels: Array, ahead: int, **options: Any) -> Assigned:
        """Make one pass; `ahead` is how many may follow, `options` go to `kernels.assign`."""
        if self.may_prune and self._projection is None and self._passes >= self._next_try:
            self._try(centers, labels, ahead)
        start = perf_counter()
        found = assign(
            self.X,
            centers,
            sample_weight=self.sample_weight,
            shift=self.shift,
            labels=labels,
            projection=self._projection,
            n_threads=self.n_threads,
            **options,
        )
        seconds = perf_counter() - start
        if self._projection is None:
            self._dense_seconds = min(seconds, self._dense_seconds)
        elif min(seconds, self._last_seconds) > self._dense_seconds:
            self._projection = None
            self._next_try = max(self._next_try, self._passes + 8)
        self._last_seconds = seconds
        self._passes += 1
        return found

    def _try(self, centers: Array, labels: Array, ahead: int) -> None:
        n_clusters, n_columns = centers.shape
        work = float(len(self.X)) * n_clusters * n_columns * ahead
        if work < WORTHWHILE or not may_pay(n_clusters, n_columns) or labels.min() < 0:
            return
        self._next_try = 2 * self._next_try + 1
        assert self.shift is not None
        # One thread: several gain little here, and lose seconds where other work holds the cores.
        with threadpool_limits(1, user_api="blas"):
            if self._basis is None:
                self._basis = basis(self.X, self.shift)
            chosen = choose(self.X, centers, labels, self._basis)
        if chosen is not None:
            self._last_seconds = 0.0
            self._projection = project(self.X, chosen, self.n_threads)
