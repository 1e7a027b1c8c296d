"""A holder of rows that choose among their nearest centroids, for balanced clusters."""

import numpy as np

from unsup_fast.cluster._choices import HostChoices
from unsup_fast.distributed._holder import Holder
from unsup_fast.kernels._types import Array


class ChoicesHolder(Holder):
    """Parts with the nearest centroids of each row. Replies are sums that are exact."""

    def begin_choices(self, version: int, centers: Array, top: int) -> None:
        """Compare the rows of a version with centroids [K, D]."""
        self._choices: list[HostChoices] = []
        for rows in self._versions[version].values():
            labels, squared = rows.nearest(centers, top)
            assert squared is not None
            self._choices.append(HostChoices(labels, squared))

    def count_gaps(self, most: Array) -> Array:
        """Return how many gaps are at most each of some numbers [T], int64 [T]."""
        zero = np.zeros(len(most), dtype=np.int64)
        return sum((part.count_gaps(most) for part in self._choices), zero)

    def count_choices(self, penalties: Array) -> Array:
        """Return how many rows choose each centroid, [K] int64."""
        zero = np.zeros(len(penalties), dtype=np.int64)
        return sum((part.sizes(penalties) for part in self._choices), zero)

    def measure_choices(self, penalties: Array) -> int:
        """Return the sum of the squared distances to what rows choose, as `exact_sum` does."""
        return sum(part.exact_inertia(penalties) for part in self._choices)

    def total_choices(self) -> int:
        """Return the sum of all squared distances, as `exact_sum` does."""
        return sum(part.exact_total() for part in self._choices)
