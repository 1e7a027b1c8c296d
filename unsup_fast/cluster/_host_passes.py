"""Passes of the CPU over rows in memory or in blocks."""

from abc import ABC, abstractmethod

import numpy as np

from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster import _update
from unsup_fast.cluster._far import Far
from unsup_fast.cluster._labelled import Labelled
from unsup_fast.cluster._passes import Final, LazyLabels, Step
from unsup_fast.kernels import totals
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import Assigned
from unsup_fast.kernels.totals import Totals

# Below this share of the rows' squared lengths an inertia is summed up row by row: from sums and
# lengths it would lose digits to cancellation.
SMALL = 1e-2


class Mover(ABC):
    """Moves centroids to the means of their rows, which passes over the rows label and sum up.

    Rows move between sums of whole numbers (`kernels.totals`), which depend on the labels
    alone; where rows have weights, are sparse, or differ too much in size for that, sums are
    added up anew in each pass, in a fixed order. What passes over the rows is a subclass's.

    Parameters
    ----------
    rows : Rows
    metric : {"euclidean", "cosine"}
    scale : ndarray of shape (D,), optional
        What the columns of the rows were divided by.
    """

    def __init__(self, rows: Rows, *, metric: str, scale: Array | None) -> None:
        self.rows, self.metric, self.scale = rows, metric, scale
        self._quanta: Array | None = None
        if rows.moments is not None and rows.sample_weight is None:
            offset = rows.moments.mean - rows.origin  # [D]
            largest = rows.moments.max_abs_about(rows.origin)
            self._quanta = totals.quanta(largest, rows.n_rows, rows.sample - rows.origin)
            self._squares = float(rows.n_rows * (rows.moments.variance + offset**2).sum())

    def _begin(self, n_clusters: int) -> Totals | None:
        """Return the totals of a new run; None where sums are added up anew."""
        self._totals: Totals | None = None
        if self._quanta is not None:
            self._totals = totals.empty(self._quanta, n_clusters, self.rows.n_rows)
        return self._totals

    @abstractmethod
    def begin(self, centers: Array) -> None:
        """Start a run from centroids [K, D]; all labels are -1."""

    def resume(self, centers: Array, before: Array) -> None:
        """Start a run from centroids [K, D], with the labels of those before them."""
        self.begin(centers)
        if self._totals is None:
            self._add_up(before, 0)
        else:
            self._label(before, 0)

    def step(self, centers: Array, remaining: int) -> Step:
        """Label the rows for these centroids, and move the centroids; see `Passes.step`."""
        if self._totals is None:
            assigned = self._add_up(centers, remaining)
            assert assigned.sums is not None
            assert assigned.weights is not None
            moved = self._moved(centers, assigned.sums, assigned.weights)
            return self._step(assigned.inertia, assigned.n_changed, moved)
        n_changed = self._label(centers, remaining)
        means = totals.means(self._totals, centers, self.rows.origin, self.rows.n_threads)
        inertia = self._squares + means.inertia
        if inertia <= SMALL * self._squares:
            inertia = self._measure(centers, labels_current=True)
        if self.metric != "cosine" and self._totals.counts.all():
            moved = _update.in_units(centers, means.centers, self.scale, means.movement)
        else:
            values = self._totals.values(centers.shape[1])  # [K, D]
            moved = self._moved(centers, values, self._totals.counts.astype(np.float64))
        return self._step(inertia, n_changed, moved)

    def _step(self, inertia: float, n_changed: int, moved: _update.Moved) -> Step:
        return Step(
            inertia=inertia,
            n_changed=n_changed,
            labels=self._labels(),
            centers=moved.centers,
            original=moved.original,
            center_shift=moved.center_shift,
        )

    def _moved(self, centers: Array, sums: Array, weights: Array) -> _update.Moved:
        after = _update.updated(self.rows, self.metric, centers, sums, weights, self._farthest)
        return _update.in_units(centers, after, self.scale)

    @abstractmethod
    def _labels(self) -> "Array | LazyLabels":
        """Return the labels of the rows, as `Step.labels`."""

    @abstractmethod
    def _label(self, centers: Array, remaining: int) -> int:
        """Update labels and totals for these centroids; return how many labels changed."""

    @abstractmethod
    def _add_up(self, centers: Array, remaining: int) -> Assigned:
        """Label the rows and add their sums up anew."""

    @abstractmethod
    def _measure(self, centers: Array, *, labels_current: bool) -> float:
        """Return the inertia, added up row by row."""

    @abstractmethod
    def _farthest(self, centers: Array, count: int) -> Far:
        """Return the rows farthest from these centroids, whose labels are current."""


class HostPasses(Mover):
    """Passes over rows that this process has.

    Bounds rule centroids out where that pays, and change no result.

    Parameters
    ----------
    rows : HostRows or SourceRows
    metric : {"euclidean", "cosine"}
    scale : ndarray of shape (D,), optional
        What the columns of the rows were divided by.
    may_prune : bool
        Whether to try bounds; ignored for CSR and rows that come in blocks.
    guess : ndarray of shape (N,), int32, optional
        A near centroid of each row among the first ones, or -1, for the first bounds.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        metric: str = "euclidean",
        scale: Array | None = None,
        may_prune: bool = False,
        guess: Array | None = None,
    ) -> None:
        super().__init__(rows, metric=metric, scale=scale)
        self._labelled = Labelled(rows, metric=metric, may_prune=may_prune, guess=guess)

    def begin(self, centers: Array) -> None:
        """Start a run from centroids [K, D]; all labels are -1."""
        self._labelled.begin(self._begin(len(centers)))

    def finish(self, centers: Array, *, settled: bool, interrupted: bool) -> Final:
        """Label the rows for the last centroids; see `Passes.finish`."""
        if not settled and self._labelled.has_bounds:
            self._labelled.label(centers)
            settled = True
        inertia = self._measure(centers, labels_current=settled)
        labels = self._labelled.labels
        sizes = np.bincount(labels, minlength=len(centers)).astype(np.int64, copy=False)
        return Final(labels=labels, sizes=sizes, inertia=inertia)

    def _labels(self) -> Array:
        return self._labelled.labels

    def _label(self, centers: Array, remaining: int) -> int:
        self._labelled.prepare(centers, remaining)
        return self._labelled.label(centers)

    def _add_up(self, centers: Array, remaining: int) -> Assigned:
        self._labelled.prepare(centers, remaining)
        return self._labelled.add_up(centers)

    def _measure(self, centers: Array, *, labels_current: bool) -> float:
        return float(self._labelled.measure(centers, labels_current=labels_current).inertia)

    def _farthest(self, centers: Array, count: int) -> Far:
        return self._labelled.farthest(centers, count)
