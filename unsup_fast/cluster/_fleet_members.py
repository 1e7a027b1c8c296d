"""The rows of each cluster of a level, of rows that the processes of a fleet have between them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import numpy as np

from unsup_fast._cached import cached_property
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._fleet_passes import FleetLabels
from unsup_fast.cluster._members import Fit, Fitted, HostMembers, Sample
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array

ROOM = 1 << 28  # bytes of rows that the driver has at once


class FleetMembers:
    """The rows of each cluster; see `Members`. Labels stay with the holders.

    Parameters
    ----------
    rows : FleetRows
    level : int
        Number of the level: 0 for all rows, which are in one cluster.
    replies : sequence
        Rows of each cluster, [C] int64, by part: of each holder.
    """

    def __init__(self, rows: FleetRows, level: int, replies: Sequence[Mapping[int, Array]]) -> None:
        parts = {index: sizes for reply in replies for index, sizes in reply.items()}
        self._rows, self._level = rows, level
        self._sizes = np.stack([parts[int(index)] for index in rows.layout.indices])  # [P, C]

    @classmethod
    def of(cls, rows: FleetRows) -> "FleetMembers":
        """Return all rows with weight as one cluster."""
        return cls(rows, 0, rows.fleet.set_up("level 0", "begin_levels", rows.version))

    @property
    def sizes(self) -> Array:
        """[C] int64: rows of each cluster."""
        sizes: Array = self._sizes.sum(axis=0)
        return sizes

    @cached_property
    def weights(self) -> Array:
        """[C]: their total weight, added up in the order of the rows as one process does."""
        rows = self._rows
        if rows.sample_weight is None:
            return self.sizes
        labels = np.asarray(self.labels)
        return HostMembers(cast(Rows, rows), labels, self._sizes.shape[1]).weights

    @property
    def labels(self) -> FleetLabels:
        """The cluster of each row, which holders have."""
        return FleetLabels(self._rows, "level_labels")

    @property
    def room(self) -> int:
        """Bytes of rows that are taken together."""
        return ROOM

    def rows(self, numbers: Array) -> Array:
        """Return which of all rows have these numbers, [M] int64."""
        layout, fleet = self._rows.layout, self._rows.fleet
        n_parts = len(layout.indices)
        sizes = self._sizes.T.ravel()  # [C * P]: of each part of the first cluster, of the second
        ends = np.cumsum(sizes)
        run = np.searchsorted(ends, numbers, side="right")  # [M]
        parents, parts = np.divmod(run, n_parts)
        before = np.cumsum(self._sizes, axis=1) - self._sizes  # [P, C]: in clusters before
        local = numbers - (ends - sizes)[run] + before[parts, parents]  # as the part numbers them
        chosen = {
            int(layout.indices[part]): np.flatnonzero(parts == part)
            for part in np.unique(parts).tolist()
        }

        def own(holder: int) -> tuple[Any, ...]:
            held = [part.index for part in fleet.parts_of[holder] if part.index in chosen]
            return ({index: local[chosen[index]] for index in held},)

        firsts = layout.first_of()
        located = np.empty(len(numbers), dtype=np.int64)
        for reply in fleet.call_each("level_rows", own):
            for index, rows in reply.items():
                located[chosen[index]] = rows + firsts[index]
        return located

    def fitted(self, fit: Fit, samples: Sequence[Sample]) -> Iterator[Fitted]:
        """Yield the fit of each sample; the longest go to holders first."""
        fleet = self._rows.fleet
        costs = [len(sample.X) * sample.n_clusters for sample in samples]
        loads = [0] * fleet.n_holders
        chosen: list[list[int]] = [[] for _ in loads]
        for number in sorted(range(len(samples)), key=lambda number: -costs[number]):
            holder = loads.index(min(loads))
            loads[holder] += costs[number]
            chosen[holder].append(number)

        def own(holder: int) -> tuple[Any, ...]:
            return fit, [samples[number] for number in chosen[holder]]

        replies = fleet.call_each("fit_samples", own)
        fits = {
            number: fitted
            for numbers, reply in zip(chosen, replies, strict=True)
            for number, fitted in zip(numbers, reply, strict=True)
        }
        yield from (fits[number] for number in range(len(samples)))

    def divided(
        self,
        centers: Array,
        first: Array,
        origins: Mapping[int, Array],
        labels: Mapping[int, Array],
    ) -> "FleetMembers":
        """Return the rows of each cluster of the next level; see `Members`."""
        assert not labels  # fits return none
        level = self._level + 1
        replies = self._rows.fleet.set_up(
            f"level {level}", "divide_levels", centers, first, origins
        )
        return FleetMembers(self._rows, level, replies)
