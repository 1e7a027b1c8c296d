"""Passes of the CPU over rows in memory or in blocks."""

from typing import Any

import numpy as np

from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster import _update
from unsup_fast.cluster._far import Far, farthest
from unsup_fast.cluster._passes import Final, Step
from unsup_fast.cluster._pruning import Pruning
from unsup_fast.kernels import totals
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import Assigned
from unsup_fast.kernels.prune import assign_update
from unsup_fast.kernels.totals import Totals

# Below this share of the rows' squared lengths an inertia is summed up row by row: from sums and
# lengths it would lose digits to cancellation.
SMALL = 1e-2


class HostPasses:
    """Labels the same rows again and again, and sums up the clusters.

    Rows move between sums of whole numbers (`kernels.totals`), which depend on the labels
    alone; where rows have weights, are sparse, or differ too much in size for that, sums are
    added up anew in each pass, in a fixed order. Bounds (`_pruning`) rule centroids out where that
    pays, and change no result.

    Parameters
    ----------
    rows : HostRows or SourceRows
    metric : {"euclidean", "cosine"}
    scale : ndarray of shape (D,), optional
        What the columns of the rows were divided by.
    may_prune : bool
        Whether to try bounds; ignored for CSR and rows that come in blocks.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        metric: str = "euclidean",
        scale: Array | None = None,
        may_prune: bool = False,
    ) -> None:
        self.rows, self.metric, self.scale = rows, metric, scale
        self._pruning = Pruning(rows, enabled=may_prune)
        self._quanta: Array | None = None
        if rows.moments is not None and rows.sample_weight is None:
            offset = rows.moments.mean - rows.origin  # [D]
            largest = rows.moments.max_abs_about(rows.origin)
            self._quanta = totals.quanta(largest, rows.n_rows, rows.sample - rows.origin)
            self._squares = float(rows.n_rows * (rows.moments.variance + offset**2).sum())

    def begin(self, centers: Array) -> None:
        """Start a run from centroids [K, D]; all labels are -1."""
        self.labels = np.full(self.rows.n_rows, -1, dtype=np.int32)  # [N]
        self._totals: Totals | None = None
        if self._quanta is not None:
            self._totals = totals.empty(self._quanta, len(centers), self.rows.n_rows)
        self._pruning.begin()

    def step(self, centers: Array, remaining: int) -> Step:
        """Label the rows for these centroids, and move the centroids; see `Passes.step`."""
        self._pruning.prepare(centers, remaining)
        if self._totals is None:
            assigned = self._add_up(centers)
            assert assigned.sums is not None
            assert assigned.weights is not None
            moved = self._moved(centers, assigned.sums, assigned.weights)
            return self._step(assigned.inertia, assigned.n_changed, moved)
        n_changed = self._label(centers)
        means = totals.means(self._totals, centers, self.rows.origin, self.rows.n_threads)
        inertia = self._squares + means.inertia
        if inertia <= SMALL * self._squares:
            inertia = self._measured(centers, labels_current=True).inertia
        if self.metric != "cosine" and self._totals.counts.all():
            moved = _update.in_units(centers, means.centers, self.scale, means.movement)
        else:
            values = self._totals.values(centers.shape[1])  # [K, D]
            moved = self._moved(centers, values, self._totals.counts.astype(np.float64))
        return self._step(inertia, n_changed, moved)

    def finish(self, centers: Array, *, settled: bool, interrupted: bool) -> Final:
        """Label the rows for the last centroids; see `Passes.finish`."""
        if not settled and self._pruning.bounds is not None:
            self._label(centers)
            settled = True
        inertia = self._measured(centers, labels_current=settled).inertia
        sizes = np.bincount(self.labels, minlength=len(centers)).astype(np.int64, copy=False)
        return Final(labels=self.labels, sizes=sizes, inertia=inertia)

    def _step(self, inertia: float, n_changed: int, moved: _update.Moved) -> Step:
        return Step(
            inertia=inertia,
            n_changed=n_changed,
            labels=self.labels,
            centers=moved.centers,
            original=moved.original,
            center_shift=moved.center_shift,
        )

    def _moved(self, centers: Array, sums: Array, weights: Array) -> _update.Moved:
        after = _update.updated(self.rows, self.metric, centers, sums, weights, self._farthest)
        return _update.in_units(centers, after, self.scale)

    def _farthest(self, centers: Array, count: int) -> Far:
        return farthest(self.rows, self.metric, centers, self.labels, count)

    def _measured(self, centers: Array, *, labels_current: bool) -> Assigned:
        return self.rows.assign(
            centers, labels=self.labels, labels_current=labels_current, update=False
        )

    def _add_up(self, centers: Array) -> Assigned:
        """Label the rows and add their sums up anew."""
        if self._pruning.bounds is None:
            return self._pruning.timed(lambda: self.rows.assign(centers, labels=self.labels))
        n_changed = self._label(centers)
        assigned = self.rows.assign(centers, labels=self.labels, labels_current=True)
        return assigned._replace(n_changed=n_changed)

    def _label(self, centers: Array) -> int:
        """Update labels and totals for these centroids; return how many labels changed."""
        shift: Any = self.rows.shift  # not None: CSR has neither totals nor bounds

        def label() -> int:
            n_changed = 0
            for part, X in self.rows.parts(totals.MOST_ROWS):
                n_changed += assign_update(
                    X,
                    centers,
                    self.labels[part],
                    shift,
                    totals=self._totals,
                    bounds=self._pruning.bounds,
                    n_threads=self.rows.n_threads,
                )
                if self._totals is not None:
                    self._totals.carry()
            return n_changed

        return self._pruning.timed(label)
