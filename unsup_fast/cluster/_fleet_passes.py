"""Passes over rows that the processes of a fleet have between them."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._far import Far, merged
from unsup_fast.cluster._holder import Measured, Moved, Sums, apply, in_order
from unsup_fast.cluster._host_passes import Mover
from unsup_fast.cluster._passes import Final
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import Assigned

LAST = "last pass"  # which a holder that replaces a lost one repeats, for its labels


class FleetPasses(Mover):
    """Passes of all holders at once, each over its own rows.

    The driver has K x D numbers; holders send the totals that changed.

    Parameters
    ----------
    rows : FleetRows
    metric : {"euclidean", "cosine"}
    scale : ndarray of shape (D,), optional
        What the columns of the rows were divided by.
    may_prune : bool
        Whether holders may try bounds.
    guessed : bool
        Whether bounds start from the labels of the last level of clusters, which holders have.
    """

    def __init__(
        self,
        rows: FleetRows,
        *,
        metric: str,
        scale: Array | None,
        may_prune: bool,
        guessed: bool = False,
    ) -> None:
        self._rows = rows.centered()
        super().__init__(cast(Rows, self._rows), metric=metric, scale=scale)
        self._fleet, self._may_prune, self._guessed = rows.fleet, may_prune, guessed

    def begin(self, centers: Array) -> None:
        """Start a run from centroids [K, D]; all labels are -1."""
        self._begin(len(centers))
        self._fleet.forget(LAST)
        options = self.metric, self._may_prune, self._guessed
        self._fleet.set_up(
            "begin", "begin", self._rows.version, *options, len(centers), self._quanta
        )

    def finish(self, centers: Array, *, settled: bool, interrupted: bool) -> Final:
        """Label the rows for the last centroids; see `Passes.finish`."""
        measured = self._measured(centers, labels_current=settled)
        return Final(
            labels=self._labels(),
            sizes=np.sum([reply.sizes for reply in measured], axis=0),
            inertia=_inertia(measured),
        )

    def _labels(self) -> "FleetLabels":
        return FleetLabels(self._rows)

    def _label(self, centers: Array, remaining: int) -> int:
        replies: list[Moved] = self._fleet.set_up(LAST, "move", centers, remaining)
        assert self._totals is not None
        for reply in replies:
            apply(reply.changes, self._totals)
        return sum(reply.n_changed for reply in replies)

    def _add_up(self, centers: Array, remaining: int) -> Assigned:
        replies: list[Sums] = self._fleet.set_up(LAST, "add_up", centers, remaining)
        blocks = {index: part for reply in replies for index, part in reply.blocks.items()}
        sums, weights = np.zeros(centers.shape), np.zeros(len(centers))
        for index in sorted(blocks):
            for block in blocks[index]:
                sums[block.clusters] += block.sums
                weights[block.clusters] += block.weights
        inertias = {i: [block.inertia for block in part] for i, part in blocks.items()}
        return Assigned(
            labels=np.empty(0, dtype=np.int32),
            sums=sums,
            weights=weights,
            inertia=in_order(inertias),
            n_changed=sum(reply.n_changed for reply in replies),
            distances=None,
        )

    def _measure(self, centers: Array, *, labels_current: bool) -> float:
        return _inertia(self._measured(centers, labels_current=labels_current))

    def _measured(self, centers: Array, *, labels_current: bool) -> list[Measured]:
        replies: list[Measured] = self._fleet.call("measure", centers, labels_current)
        return replies

    def _farthest(self, centers: Array, count: int) -> Far:
        replies = self._fleet.call("farthest", centers, count)
        return merged([reply for reply in replies if reply is not None], count)


def _inertia(measured: list[Measured]) -> float:
    parts: Mapping[int, list[float]] = {
        index: blocks for reply in measured for index, blocks in reply.inertias.items()
    }
    return in_order(parts)


class FleetLabels:
    """The labels of a fleet's rows, which stay with the holders until they are read.

    ``numpy.asarray`` gathers them: those of the last pass, while the fit goes on.

    Parameters
    ----------
    rows : FleetRows
    verb : str
        The holders' method that returns them by part.
    """

    dtype = np.dtype(np.int32)

    def __init__(self, rows: FleetRows, verb: str = "labels") -> None:
        self._rows, self._verb = rows, verb

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._rows.n_rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return all labels, [N] int32."""
        replies = self._rows.fleet.call(self._verb)
        parts = {index: labels for reply in replies for index, labels in reply.items()}
        labels = np.concatenate([parts[index] for index in sorted(parts)])
        return labels if dtype is None else labels.astype(dtype)
