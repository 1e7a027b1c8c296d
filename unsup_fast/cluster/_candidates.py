"""What k-means|| remembers of each row: the nearest of the rows drawn so far, and its distance."""

from typing import Protocol

import numpy as np

from unsup_fast._rows.draws import Masses, uniform
from unsup_fast._rows.protocol import Rows
from unsup_fast.kernels._types import Array


class Candidates(Protocol):
    """Rows that are drawn, wherever all rows are."""

    def add(self, rows: Array) -> float:
        """Draw rows [M, D]; return the sum of weights times squared distances to the nearest."""

    def draw(self, key: int, share: float) -> Array:
        """Return the rows [M], ascending, that a round draws by themselves.

        Row i is drawn if its uniform number is below `share` times its weight and squared distance.
        """

    def masses(self) -> Array:
        """Return the total mass, int64 [M], of the rows nearest to each row drawn."""


class HostCandidates:
    """Candidates of rows that this process has.

    Parameters
    ----------
    rows : Rows
    first : int
        Number of the first row.
    masses : Masses
        Of these rows.
    """

    def __init__(self, rows: Rows, first: int, masses: Masses) -> None:
        self._rows, self._first, self._masses = rows, first, masses
        weight = rows.to_host(rows.sample_weight)
        self._weight: Array | None = None if weight is None else weight.astype(np.float64)  # [N]
        self._labels = np.zeros(rows.n_rows, dtype=np.int32)  # [N]
        self._closest = np.full(rows.n_rows, np.inf)  # [N] float64
        self._count = 0

    def add(self, rows: Array) -> float:
        """Draw rows [M, D]; return the sum of weights times squared distances to the nearest."""
        total = 0.0
        for block in self.add_by_block(rows):
            total += block
        return total

    def add_by_block(self, rows: Array) -> list[float]:
        """Return the sums of `add` by block."""
        assigned = self._rows.assign(
            self._rows.to_device(rows), update=False, return_distances=True
        )
        squared = self._rows.to_host(assigned.distances)
        nearer = squared < self._closest
        nearest = self._rows.to_host(assigned.labels)
        self._labels = np.where(nearer, nearest + self._count, self._labels).astype(np.int32)
        self._closest = np.minimum(self._closest, squared)
        self._count += len(rows)
        size = self._rows.block_size
        starts = range(0, self._rows.n_rows, size)
        return [float(self._shares(slice(row, row + size)).sum()) for row in starts]

    def draw(self, key: int, share: float) -> Array:
        """Return the rows [M], ascending, that a round draws by themselves."""
        numbers = uniform(key, self._first, self._rows.n_rows)  # [N]
        rows: Array = np.flatnonzero(numbers < share * self._shares(slice(None)))
        return rows + self._first

    def masses(self) -> Array:
        """Return the total mass, int64 [M], of the rows nearest to each row drawn."""
        return self._masses.by_label(self._labels, self._count)

    def _shares(self, part: slice) -> Array:
        closest = self._closest[part]
        return closest if self._weight is None else self._weight[part] * closest
