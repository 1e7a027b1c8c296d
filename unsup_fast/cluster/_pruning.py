"""Bounds that rule centroids out, while the clock says that they pay; results stay the same."""

from collections.abc import Callable
from time import perf_counter
from typing import TypeVar

import numpy as np
from threadpoolctl import threadpool_limits

from unsup_fast._rows.host_rows import HostRows
from unsup_fast._rows.protocol import Rows
from unsup_fast.blocks.mapped import mapping
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.prune import (
    Basis,
    Bounds,
    assign_update,
    basis,
    bounds,
    bounds_size,
    choose_basis,
    may_pay,
    pays,
)
from unsup_fast.kernels.totals import MOST_ROWS

Result = TypeVar("Result")

WORTHWHILE = 1e11  # remaining multiply-adds below which a basis and a projection do not pay
TIMED = 2048  # rows from which the time of a dense pass is estimated
MAPPED_ROOM = 256 << 20  # bytes that bounds may take where the rows are a mapped file


class Pruning:
    """Decides from pass to pass whether to have bounds (`kernels.prune`).

    They are computed where sampled rows and the clock say that it pays, and dropped when two passes
    with them one after the other took longer than a dense one.

    Parameters
    ----------
    rows : Rows
    enabled : bool
        Whether to try bounds; ignored unless the rows are an array in memory that one pass takes
        at once.
    guess : ndarray of shape (N,), int32, optional
        A near centroid of each row, or -1, from which the first bounds start.
    """

    bounds: Bounds | None
    """Bounds for the next pass, which updates them; None for a dense one."""

    def __init__(self, rows: Rows, *, enabled: bool, guess: Array | None = None) -> None:
        whole = isinstance(rows, HostRows) and rows.n_rows <= MOST_ROWS  # in one part
        self._enabled = enabled and whole and rows.shift is not None
        self._X, self._n_threads = rows.X, rows.n_threads
        self._shift: Array = rows.origin
        self._basis: Basis | None = None
        self._guess = guess
        self.begin()

    def begin(self) -> None:
        """Start a run, without bounds."""
        self.bounds = None
        self._dense_seconds = self._last_seconds = np.inf
        self._guessed = False
        self._n_passes = self._next_try = 0

    def prepare(self, centers: Array, remaining: int) -> None:
        """Compute bounds for this pass and later ones, if they are enabled and may pay.

        Parameters
        ----------
        centers : ndarray of shape (K, D)
        remaining : int
            Largest number of passes that may follow.
        """
        if self.bounds is not None:
            self._count_again(centers)
        if not self._enabled or self.bounds is not None or self._n_passes < self._next_try:
            return
        n_clusters, n_columns = centers.shape
        work = float(len(self._X)) * n_clusters * n_columns * (remaining + 1)
        if work < WORTHWHILE or not may_pay(n_clusters, n_columns, centers.dtype):
            return
        self._next_try = 2 * self._next_try + 1
        # One thread: more gain little here, and then spin for a while on the kernels' cores.
        with threadpool_limits(1, user_api="blas"):
            chosen = choose_basis(self._X, centers, self._shift, self._directions)
        if chosen is not None and self._fits(chosen, n_clusters):
            self._time_dense(centers)
            self._first_pass, self._last_seconds = self._n_passes, 0.0
            self._chosen = chosen
            self.bounds = bounds(self._X, centers, chosen, self._n_threads, self._guess)

    def _count_again(self, centers: Array) -> None:
        """Drop bounds that will not pay for the second centroids, which differ from the first."""
        if self._n_passes != self._first_pass + 1:
            return
        with threadpool_limits(1, user_api="blas"):
            if not pays(self._X, centers, self._shift, self._chosen):
                self.bounds = None
                self._next_try = max(self._next_try, self._n_passes + 8)

    def timed(self, make_pass: Callable[[], Result]) -> Result:
        """Return the result of a pass; drop bounds that do not pay, or that it did not finish."""
        start = perf_counter()
        try:
            result = make_pass()
        except KeyboardInterrupt:
            self.bounds, self._enabled = None, False
            raise
        self._note(perf_counter() - start)
        return result

    def _note(self, seconds: float) -> None:
        """Record the time of a pass; drop bounds that do not pay."""
        if self.bounds is None:
            if self._guessed:  # from few rows, perhaps wrong: bounds were then dropped too early
                self._dense_seconds, self._guessed = seconds, False
                if self._last_seconds < seconds:
                    self._next_try = self._n_passes + 1
            self._dense_seconds = min(seconds, self._dense_seconds)
        elif (
            self._n_passes > self._first_pass
            and min(seconds, self._last_seconds) > self._dense_seconds
        ):
            self.bounds = None
            self._next_try = max(self._next_try, self._n_passes + 8)
        self._last_seconds = seconds
        self._n_passes += 1

    def _directions(self) -> Basis:
        if self._basis is None:
            self._basis = basis(self._X, self._shift)
        return self._basis

    def _fits(self, chosen: Basis, n_clusters: int) -> bool:
        """Return whether bounds leave memory to rows in a mapped file, which may exceed memory."""
        bytes_of_row = bounds_size(self._X.shape[1], n_clusters, chosen) * self._X.itemsize
        return mapping(self._X) is None or len(self._X) * bytes_of_row <= MAPPED_ROOM

    def _time_dense(self, centers: Array) -> None:
        """Estimate the time of a dense pass from some rows, unless one was made already."""
        if self._dense_seconds < np.inf:
            return
        rows = self._X[:TIMED]
        labels = np.full(len(rows), -1, dtype=np.int32)
        start = perf_counter()
        assign_update(rows, centers, labels, self._shift, n_threads=self._n_threads)
        self._dense_seconds = (perf_counter() - start) * len(self._X) / len(rows)
        self._guessed = True
