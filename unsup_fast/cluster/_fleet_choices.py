"""What rows of balanced clusters choose among that the processes of a fleet have between them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from unsup_fast.cluster._exact import rounded
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array


class FleetChoices:
    """Choices of the rows of all holders; see `Choices`.

    Parameters
    ----------
    rows : FleetRows
    centers : ndarray of shape (K, D), type of X
    top : int
        How many of the nearest centroids m.
    """

    def __init__(self, rows: FleetRows, centers: Array, top: int) -> None:
        self._fleet, self._n_rows, self._dtype = rows.fleet, rows.n_rows, rows.dtype
        self._top = top
        self._fleet.set_up("choices", "begin_choices", rows.centered().version, centers, top)

    def median_gap(self) -> float:
        """Return the median gap between the two least squared distances; see `Choices`."""
        if self._top == 1:
            return 0.0
        return median(lambda most: self._sum("count_gaps", most), self._n_rows, self._dtype)

    def mean(self) -> float:
        """Return the mean of all squared distances; see `Choices`."""
        return rounded(self._sum("total_choices"), self._n_rows * self._top)

    def sizes(self, penalties: Array) -> Array:
        """Return how many rows choose each centroid; see `Choices`."""
        sizes: Array = self._sum("count_choices", penalties)
        return sizes

    def inertia(self, penalties: Array) -> float:
        """Return the sum of the squared distances to what rows choose; see `Choices`."""
        return rounded(self._sum("measure_choices", penalties))

    def _sum(self, verb: str, *arguments: Any) -> Any:
        return sum(self._fleet.call(verb, *arguments))


def median(counts: Callable[[Array], Array], n_values: int, dtype: np.dtype[Any]) -> float:
    """Return ``numpy.median`` of numbers, none of them negative, that are only counted.

    Parameters
    ----------
    counts : callable
        Returns how many are at most each of some numbers [T] of their type, int64 [T].
    n_values : int
    dtype : dtype
        float32 or float64. The bits of such numbers, taken as integers, are in their order, so each
        bit takes one count.
    """
    bits = np.dtype(f"u{dtype.itemsize}")
    ranks = np.array([(n_values - 1) // 2, n_values // 2])  # of the two in the middle
    low = np.zeros(2, bits)
    high = np.full(2, np.finfo(dtype).max, dtype).view(bits)
    while (low < high).any():
        middle = low + (high - low) // bits.type(2)
        enough = counts(middle.view(dtype)) > ranks
        high = np.where(enough, middle, high)
        low = np.where(enough, low, middle + bits.type(1))
    return float(np.median(low.view(dtype)))
