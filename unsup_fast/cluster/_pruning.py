"""Passes over the rows, dense or pruned: the clock decides, and the result is the same."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from unsup_fast.blocks._mapped import mapping
from unsup_fast.kernels import totals
from unsup_fast.kernels.assign import Assigned, assign
from unsup_fast.kernels.moments import Moments
from unsup_fast.kernels.prune import (
    Basis,
    Bounds,
    assign_update,
    basis,
    bounds,
    bounds_size,
    choose_basis,
    may_pay,
)
from unsup_fast.kernels.totals import Totals

Array = npt.NDArray[Any]

WORTHWHILE = 1e11  # remaining multiply-adds below which a basis and a projection do not pay
TIMED = 2048  # rows from which the time of a dense pass is estimated
# Below this share of the rows' squared lengths an inertia is summed up row by row: from sums and
# lengths it would lose digits to cancellation.
SMALL = 1e-2
MAPPED_ROOM = 256 << 20  # bytes that bounds may take where the rows are a mapped file


class Step(NamedTuple):
    """Result of the pass of one iteration."""

    inertia: float
    """Of the centroids that it started from."""
    n_changed: int
    means: Array | None
    """[K, D], type of X: means of the clusters; None where sums and weights are set instead."""
    movement: float
    """Sum over the centroids of their squared movement to `means`."""
    sums: Array | None
    """[K, D] float64: weighted sums of the rows less the shift."""
    weights: Array | None
    """[K] float64."""


class Passes:
    """Labels the same rows again and again, and sums up the clusters.

    Rows move between sums of whole numbers (`kernels.totals`), which depend on the labels
    alone; where rows have weights, are sparse, or differ too much in size for that, sums are
    added up anew in each pass, in a fixed order. Where sampled rows and the clock say that it
    pays, bounds (`kernels.prune`) rule most centroids out. They are dropped when two passes
    with them one after the other took longer than a dense one. Nothing depends on that.

    Parameters
    ----------
    X : ndarray of shape (N, D), or CSR matrix
    shift : ndarray of shape (D,) or None for CSR
    sample_weight : ndarray of shape (N,), optional
    n_threads : int
    may_prune : bool
        Whether to try bounds; ignored for CSR.
    moments : Moments, optional
        Of X; without them, sums are added up anew in each pass.
    sample : ndarray of shape (M, D), optional
        With moments: some rows of X, which the size of rows is estimated from.
    """

    def __init__(
        self,
        X: Any,
        shift: Array | None,
        sample_weight: Array | None,
        n_threads: int,
        may_prune: bool,
        moments: Moments | None = None,
        sample: Array | None = None,
    ) -> None:
        self.X, self.shift, self.sample_weight = X, shift, sample_weight
        self.n_threads = n_threads
        self.may_prune = may_prune and shift is not None
        self._quanta: Array | None = None
        if moments is not None and shift is not None and sample_weight is None:
            assert sample is not None
            self._plan_totals(moments, shift, sample)
        self._basis: Basis | None = None
        self.begin()

    def _plan_totals(self, moments: Moments, shift: Array, sample: Array) -> None:
        n_rows = self.X.shape[0]
        offset = moments.mean - shift  # [D]
        self._quanta = totals.quanta(
            moments.max_abs_deviation + np.abs(offset), n_rows, sample - shift
        )
        self._squares = float(n_rows * (moments.variance + offset**2).sum())

    def begin(self) -> None:
        """Start a run, whose labels are all -1."""
        self._totals: Totals | None = None
        self._bounds: Bounds | None = None
        self._dense_seconds = self._last_seconds = np.inf
        self._guessed = False
        self._passes = self._next_try = 0

    def take(self, rows: Array) -> Array:
        """Return the rows [M, D] of these indices, dense."""
        chosen = self.X[rows]
        dense: Array = np.ascontiguousarray(chosen.toarray() if sp.issparse(chosen) else chosen)
        return dense

    def parts(self) -> Iterator[tuple[slice, Any]]:
        """Yield the rows part by part, each with its slice."""
        yield slice(0, self.X.shape[0]), self.X

    def step(self, centers: Array, labels: Array, ahead: int, *, sums: bool = False) -> Step:
        """Make a pass that assigns labels and computes the means or sums of the clusters.

        Parameters
        ----------
        centers : ndarray of shape (K, D)
        labels : ndarray of shape (N,)
            Those of the pass before, overwritten.
        ahead : int
            Largest number of passes that may follow.
        sums : bool
            Whether to return sums even if all clusters have rows.
        """
        self._prepare(centers, ahead)
        if self._quanta is None:
            assigned = self._add_up(centers, labels)
            return Step(
                assigned.inertia, assigned.n_changed, None, 0.0, assigned.sums, assigned.weights
            )
        if self._totals is None:
            self._totals = totals.empty(self._quanta, len(centers))
        n_changed = self._label(centers, labels)
        assert self.shift is not None
        means = totals.means(self._totals, centers, self.shift, self.n_threads)
        inertia = self._squares + means.inertia
        if inertia <= SMALL * self._squares:
            inertia = self._assign(centers, labels, update=False, labels_current=True).inertia
        if not sums and self._totals.counts.all():
            return Step(inertia, n_changed, means.centers, means.movement, None, None)
        values = self._totals.values(centers.shape[1])  # [K, D]
        return Step(inertia, n_changed, None, 0.0, values, self._totals.counts.astype(np.float64))

    def finish(self, centers: Array, labels: Array, settled: bool) -> tuple[float, Array]:
        """Return inertia and rows [K] of the clusters; `settled` if labels are up to date."""
        if not settled and self._bounds is not None:
            self._label(centers, labels)
            settled = True
        inertia = self._assign(centers, labels, update=False, labels_current=settled).inertia
        return inertia, np.bincount(labels, minlength=len(centers))

    def distances(self, centers: Array, labels: Array) -> Array:
        """Return the squared distance [N] of each row to the centroid of its label."""
        options = {"update": False, "labels_current": True, "return_distances": True}
        squared = self._assign(centers, labels, **options).distances
        assert squared is not None
        return squared

    def _add_up(self, centers: Array, labels: Array) -> Assigned:
        if self._bounds is None:
            start = perf_counter()
            assigned = self._assign(centers, labels)
            self._note(perf_counter() - start)
            return assigned
        n_changed = self._label(centers, labels)
        return self._assign(centers, labels, labels_current=True)._replace(n_changed=n_changed)

    def _assign(self, centers: Array, labels: Array, **options: Any) -> Assigned:
        """Run `assign` part by part and add the results up in order."""
        total: Assigned | None = None
        all_distances = (
            np.empty(len(labels), centers.dtype) if "return_distances" in options else None
        )
        for part, rows in self.parts():
            weight = None if self.sample_weight is None else self.sample_weight[part]
            assigned = assign(
                rows,
                centers,
                sample_weight=weight,
                shift=self.shift,
                labels=labels[part],
                n_threads=self.n_threads,
                **options,
            )
            if all_distances is not None:
                all_distances[part] = assigned.distances
            total = assigned if total is None else _added(total, assigned)
        assert total is not None
        return total._replace(labels=labels, distances=all_distances)

    def _label(self, centers: Array, labels: Array) -> int:
        """Update labels and totals for these centroids; return how many labels changed."""
        assert self.shift is not None  # else there are neither totals nor bounds
        start = perf_counter()
        n_changed = 0
        try:
            for part, rows in self.parts():
                n_changed += assign_update(
                    rows,
                    centers,
                    labels[part],
                    self.shift,
                    totals=self._totals,
                    bounds=self._bounds,
                    n_threads=self.n_threads,
                )
        except KeyboardInterrupt:
            self._bounds, self.may_prune = None, False
            raise
        self._note(perf_counter() - start)
        return n_changed

    def _note(self, seconds: float) -> None:
        """Record the time of a pass; drop bounds that do not pay."""
        if self._bounds is None:
            if self._guessed:  # from few rows, perhaps wrong: bounds were then dropped too early
                self._dense_seconds, self._guessed = seconds, False
                if self._last_seconds < seconds:
                    self._next_try = self._passes + 1
            self._dense_seconds = min(seconds, self._dense_seconds)
        elif self._passes > self._made and min(seconds, self._last_seconds) > self._dense_seconds:
            self._bounds = None
            self._next_try = max(self._next_try, self._passes + 8)
        self._last_seconds = seconds
        self._passes += 1

    def _prepare(self, centers: Array, ahead: int) -> None:
        """Compute bounds for this pass and later ones, if they are enabled and may pay."""
        n_clusters, n_columns = centers.shape
        work = float(self.X.shape[0]) * n_clusters * n_columns * (ahead + 1)
        if (
            not self.may_prune
            or self._bounds is not None
            or self._passes < self._next_try
            or work < WORTHWHILE
            or not may_pay(n_clusters, n_columns)
        ):
            return
        self._next_try = 2 * self._next_try + 1
        assert self.shift is not None
        # One thread: more gain little here, and then spin for a while on the kernels' cores.
        with threadpool_limits(1, user_api="blas"):
            chosen = choose_basis(self.X, centers, self.shift, self._directions)
        if chosen is not None and self._fits(chosen, n_clusters):
            self._time_dense(centers)
            self._made, self._last_seconds = self._passes, 0.0
            self._bounds = bounds(self.X, centers, chosen, self.n_threads)

    def _directions(self) -> Basis:
        assert self.shift is not None
        if self._basis is None:
            self._basis = basis(self.X, self.shift)
        return self._basis

    def _fits(self, chosen: Basis, n_clusters: int) -> bool:
        """Return whether bounds leave memory to rows in a mapped file, which may exceed memory."""
        bytes_of_row = bounds_size(self.X.shape[1], n_clusters, chosen) * self.X.itemsize
        return mapping(self.X) is None or len(self.X) * bytes_of_row <= MAPPED_ROOM

    def _time_dense(self, centers: Array) -> None:
        if self._dense_seconds < np.inf:
            return
        rows = self.X[:TIMED]
        labels = np.full(len(rows), -1, dtype=np.int32)
        assert self.shift is not None
        start = perf_counter()
        assign_update(rows, centers, labels, self.shift, n_threads=self.n_threads)
        self._dense_seconds = (perf_counter() - start) * len(self.X) / len(rows)
        self._guessed = True


def _added(one: Assigned, two: Assigned) -> Assigned:
    return Assigned(
        one.labels,
        None if one.sums is None else one.sums + two.sums,
        None if one.weights is None else one.weights + two.weights,
        one.inertia + two.inertia,
        one.n_changed + two.n_changed,
        None,
    )
