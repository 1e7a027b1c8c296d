"""What the rows of balanced clusters choose among: the nearest centroids of each."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from unsup_fast._rows.centroids import cheapest
from unsup_fast.cluster._exact import exact_sum, rounded
from unsup_fast.kernels._types import Array

AT_ONCE = 1 << 14  # rows whose costs are in memory together


class Choices(Protocol):
    """The nearest centroids of N rows and their squared distances, wherever these are.

    A row chooses the centroid of least squared distance plus penalty. Sums are rounded once, so
    they do not depend on where the rows are.
    """

    def median_gap(self) -> float:
        """Return the median gap between the two least squared distances of a row; 0 for K = 1."""

    def mean(self) -> float:
        """Return the mean of all squared distances to the nearest centroids."""

    def sizes(self, penalties: Array) -> Array:
        """Return how many rows choose each centroid, [K] int64, for penalties [K]."""

    def inertia(self, penalties: Array) -> float:
        """Return the sum of the squared distances of the rows to those that they choose."""


class HostChoices:
    """Choices of rows that this process has.

    Parameters
    ----------
    labels : ndarray of shape (N, m), int32
        Nearest centroids of each row.
    squared : ndarray of shape (N, m)
        Their squared distances.
    """

    def __init__(self, labels: Array, squared: Array) -> None:
        self._labels, self._squared = labels, squared

    def median_gap(self) -> float:
        """Return the median gap between the two least squared distances; see `Choices`."""
        return float(np.median(self._gaps())) if self._squared.shape[1] > 1 else 0.0

    def mean(self) -> float:
        """Return the mean of all squared distances; see `Choices`."""
        return rounded(self.exact_total(), self._squared.size)

    def sizes(self, penalties: Array) -> Array:
        """Return how many rows choose each centroid; see `Choices`."""
        sizes = np.zeros(len(penalties), dtype=np.int64)
        for labels, _ in self._chosen(penalties):
            sizes += np.bincount(labels, minlength=len(penalties))
        return sizes

    def inertia(self, penalties: Array) -> float:
        """Return the sum of the squared distances to what rows choose; see `Choices`."""
        return rounded(self.exact_inertia(penalties))

    def labels(self, penalties: Array) -> Array:
        """Return the centroid that each row chooses, [N] int32."""
        return np.concatenate([labels for labels, _ in self._chosen(penalties)])

    def count_gaps(self, most: Array) -> Array:
        """Return how many gaps are at most each of some numbers [T], int64 [T]."""
        gaps = self._gaps()
        return np.array([np.count_nonzero(gaps <= each) for each in most], dtype=np.int64)

    def exact_total(self) -> int:
        """Return the sum of all squared distances, as `exact_sum` does."""
        return exact_sum(self._squared)

    def exact_inertia(self, penalties: Array) -> int:
        """Return `inertia` as `exact_sum` does."""
        return sum(exact_sum(squared) for _, squared in self._chosen(penalties))

    def _gaps(self) -> Array:
        gaps: Array = self._squared[:, 1] - self._squared[:, 0]
        return gaps

    def _chosen(self, penalties: Array) -> Iterator[tuple[Array, Array]]:
        """Yield the labels of some rows after the others, and their squared distances."""
        for start in range(0, len(self._labels), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            labels, squared = self._labels[part], self._squared[part]
            column = cheapest(labels, squared, penalties)[:, None]  # [B, 1]
            yield (
                np.take_along_axis(labels, column, axis=1)[:, 0],
                np.take_along_axis(squared, column, axis=1)[:, 0],
            )
