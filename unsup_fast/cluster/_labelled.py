"""Rows with their labels, which passes over them renew."""

from typing import Any

import numpy as np

from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._far import Far, farthest
from unsup_fast.cluster._pruning import Pruning
from unsup_fast.kernels import totals as sums
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import Assigned
from unsup_fast.kernels.prune import assign_update
from unsup_fast.kernels.totals import Totals


class Labelled:
    """Rows of the CPU, their labels, and bounds that rule centroids out where that pays.

    Parameters
    ----------
    rows : HostRows or SourceRows
    metric : {"euclidean", "cosine"}
        With "cosine", rows are of unit length.
    may_prune : bool
        Whether to try bounds; ignored for CSR and rows that come in blocks.
    guess : ndarray of shape (N,), int32, optional
        A near centroid of each row among the first ones, or -1, for the first bounds.
    """

    def __init__(
        self, rows: Rows, *, metric: str, may_prune: bool, guess: Array | None = None
    ) -> None:
        self.rows, self._metric = rows, metric
        self._pruning = Pruning(rows, enabled=may_prune, guess=guess)

    def begin(self, totals: Totals | None) -> None:
        """Start a run: all labels are -1, and rows move between these totals, if there are any."""
        self.labels = np.full(self.rows.n_rows, -1, dtype=np.int32)  # [N]
        self._totals = totals
        self._pruning.begin()

    def prepare(self, centers: Array, remaining: int) -> None:
        """Compute bounds for the next pass and so many later ones, if they may pay."""
        self._pruning.prepare(centers, remaining)

    @property
    def has_bounds(self) -> bool:
        """Whether the next call of `label` has bounds."""
        return self._pruning.bounds is not None

    def label(self, centers: Array) -> int:
        """Update labels and totals for centroids [K, D]; return how many labels changed."""
        shift: Any = self.rows.shift  # not None: CSR has neither totals nor bounds

        def label() -> int:
            n_changed = 0
            for part, X in self.rows.parts(sums.MOST_ROWS):
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

    def add_up(self, centers: Array) -> Assigned:
        """Update the labels, and add the rows of each cluster up anew."""
        if self._pruning.bounds is None:
            return self._pruning.timed(lambda: self.rows.assign(centers, labels=self.labels))
        n_changed = self.label(centers)
        assigned = self.rows.assign(centers, labels=self.labels, labels_current=True)
        return assigned._replace(n_changed=n_changed)

    def measure(self, centers: Array, *, labels_current: bool) -> Assigned:
        """Return the inertia of these centroids; update the labels unless they are current."""
        return self.rows.assign(
            centers, labels=self.labels, labels_current=labels_current, update=False
        )

    def farthest(self, centers: Array, count: int, first: int = 0) -> Far:
        """Return the rows farthest from these centroids, whose labels are current.

        Rows are numbered from `first` on.
        """
        return farthest(self.rows, self._metric, centers, self.labels, count, first)
