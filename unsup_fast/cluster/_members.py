"""The rows of each cluster of a level of hierarchical k-means."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from unsup_fast._cached import cached_property
from unsup_fast._rows.host_rows import HostRows
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._passes import LazyLabels
from unsup_fast.kernels._types import Array

ROOM = 1 << 30  # bytes of a source's rows that are in memory together
AT_ONCE = 1 << 14  # rows that are labelled at once


class Sample(NamedTuple):
    """What a fit looks at."""

    X: Any
    """[n, D]: rows of a cluster, an array or CSR matrix."""
    sample_weight: Array | None
    """[n]."""
    name: str
    """What errors call the rows."""
    n_clusters: int
    random_state: np.random.RandomState


class Fitted(NamedTuple):
    """Result of the fit of one cluster's rows."""

    centers: Array
    """[k, D]."""
    origin: Array
    """[D]: what distances were measured from."""
    labels: Array | None
    """[n] int32: of the cluster's rows; None if they are not known, as if the fit saw a sample."""


Fit = Callable[[Sample, int], Fitted]
"""Fits a sample with a number of threads; it travels to other processes."""


class Members(Protocol):
    """The rows of each cluster of a level, wherever they are.

    Rows that are in a cluster are numbered from 0 on: those of a cluster after those of the one
    before, each in ascending order.
    """

    @property
    def sizes(self) -> Array:
        """[C] int64: rows of each cluster."""

    @property
    def weights(self) -> Array:
        """[C]: their total weight."""

    @property
    def room(self) -> int:
        """Bytes of rows that are taken together; each cluster's are taken in any case."""

    def rows(self, numbers: Array) -> Array:
        """Return which of all rows have these numbers, [M] int64."""

    def fitted(self, fit: Fit, samples: Sequence[Sample]) -> Iterator[Fitted]:
        """Yield the fit of each sample, which this process or another one makes."""

    @property
    def labels(self) -> "Array | LazyLabels":
        """[N] int32: cluster of each row; -1 for none."""

    def divided(
        self,
        centers: Array,
        first: Array,
        origins: Mapping[int, Array],
        labels: Mapping[int, Array],
    ) -> "Members":
        """Return the rows of each cluster of the next level.

        Parameters
        ----------
        centers : ndarray of shape (K, D)
            Centroids of the next level.
        first : ndarray of shape (C + 1,)
            First centroid of each cluster.
        origins : mapping
            By cluster, the point [D] that its fit measured distances from: its rows are labelled.
        labels : mapping
            By cluster, for all others with rows, what `Fitted` has.
        """


class HostMembers:
    """The rows of each cluster; see `Members`.

    Parameters
    ----------
    rows : Rows
    labels : ndarray of shape (N,), int32
        Cluster of each row; -1 for none.
    n_clusters : int
    """

    def __init__(self, rows: Rows, labels: Array, n_clusters: int) -> None:
        self._rows, self.labels, self._n_clusters = rows, labels, n_clusters

    @classmethod
    def of(cls, rows: Rows) -> "HostMembers":
        """Return all rows with weight as one cluster."""
        labels, weight = np.zeros(rows.n_rows, dtype=np.int32), rows.to_host(rows.sample_weight)
        if weight is not None:
            labels[weight == 0] = -1
        return cls(rows, labels, 1)

    @cached_property
    def _ordered(self) -> tuple[Array, Array]:
        return ordered(self.labels, self._n_clusters)

    @property
    def sizes(self) -> Array:
        """[C] int64: rows of each cluster."""
        return self._ordered[1]

    @property
    def weights(self) -> Array:
        """[C]: their total weight."""
        weight = self._rows.to_host(self._rows.sample_weight)
        if weight is None:
            return self.sizes
        order, sizes = self._ordered
        members = np.split(order, np.cumsum(sizes)[:-1])
        return np.array([weight[rows].sum() for rows in members])

    @property
    def room(self) -> int:
        """Bytes of rows that are taken together."""
        return 0 if self._rows.is_in_memory else ROOM

    def rows(self, numbers: Array) -> Array:
        """Return which of all rows have these numbers, [M] int64."""
        rows: Array = self._ordered[0][numbers]
        return rows

    def fitted(self, fit: Fit, samples: Sequence[Sample]) -> Iterator[Fitted]:
        """Yield the fit of each sample."""
        for sample in samples:
            yield fit(sample, self._rows.n_threads)

    def divided(
        self,
        centers: Array,
        first: Array,
        origins: Mapping[int, Array],
        labels: Mapping[int, Array],
    ) -> "HostMembers":
        """Return the rows of each cluster of the next level; see `Members`."""
        inside = np.full(self._rows.n_rows, -1, dtype=np.int32)
        order, sizes = self._ordered
        ends = np.cumsum(sizes)
        for parent, inner in labels.items():
            members = order[ends[parent] - sizes[parent] : ends[parent]]
            inside[members] = first[parent] + inner
        if origins:
            label(self._rows, self.labels, inside, centers, first, origins)
        return HostMembers(self._rows, inside, len(centers))


def label(
    rows: Rows,
    labels: Array,
    inside: Array,
    centers: Array,
    first: Array,
    origins: Mapping[int, Array],
) -> None:
    """Label the rows of some clusters by the nearest of the centroids that these were split into.

    Parameters
    ----------
    rows : Rows
    labels : ndarray of shape (N,), int32
        Clusters of the level above.
    inside : ndarray of shape (N,), int32
        Labels of this level, overwritten for the clusters in `origins`.
    centers : ndarray of shape (K, D)
        Centroids of this level.
    first : ndarray of shape (C + 1,)
        First centroid of each cluster of the level above.
    origins : mapping
        By cluster of the level above, the point [D] that its fit measured distances from.
    """
    for where, block in rows.parts(AT_ONCE):
        order, sizes = ordered(labels[where], len(first) - 1)
        ends = np.cumsum(sizes)
        for parent in np.flatnonzero(sizes).tolist():
            if parent not in origins:
                continue
            members = order[ends[parent] - sizes[parent] : ends[parent]]
            part = HostRows(
                X=block if len(members) == len(labels[where]) else block[members],
                n_threads=rows.n_threads,
                model_origin=origins[parent],
            )
            of_parent = centers[first[parent] : first[parent + 1]]
            nearest = part.assign(of_parent, update=False, return_inertia=False).labels
            inside[where.start + members] = first[parent] + nearest


def ordered(labels: Array, count: int) -> tuple[Array, Array]:
    """Return the rows that are in a cluster, and the rows of each.

    Returns
    -------
    order : ndarray of shape (M,), int64
        Those of the first cluster in ascending order, then those of the second, and so on. Rows
        that are labelled -1 are left out.
    sizes : ndarray of shape (count,), int64
    """
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(count + 1))
    return order[bounds[0] :], np.diff(bounds)
