"""A holder of rows that levels of clusters divide."""

from collections.abc import Mapping, Sequence
from typing import cast

from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._members import Fit, Fitted, HostMembers, Sample
from unsup_fast.distributed._holder import Holder
from unsup_fast.kernels._types import Array


class LevelsHolder(Holder):
    """Parts with the cluster of each row at the level that was reached."""

    def begin_levels(self, version: int) -> dict[int, Array]:
        """Take the rows of a version as one cluster; return how many of each part have weight."""
        parts = self._versions[version]
        self._members = {index: HostMembers.of(cast(Rows, part)) for index, part in parts.items()}
        return self._member_sizes()

    def divide_levels(
        self, centers: Array, first: Array, origins: Mapping[int, Array]
    ) -> dict[int, Array]:
        """Divide each cluster among its parts, and return the rows of these in each part.

        Parameters
        ----------
        centers : ndarray of shape (K, D)
            Centroids of the next level.
        first : ndarray of shape (C + 1,)
            First centroid of each cluster.
        origins : mapping
            By cluster, the point [D] that distances are measured from.
        """
        for index, members in self._members.items():
            self._members[index] = members.divided(centers, first, origins, {})
        return self._member_sizes()

    def level_rows(self, wanted: Mapping[int, Array]) -> dict[int, Array]:
        """Return the rows of parts that have some numbers, by their number within the part."""
        return {index: self._members[index].rows(numbers) for index, numbers in wanted.items()}

    def level_labels(self) -> dict[int, Array]:
        """Return the cluster of each row of each part; -1 for none."""
        return {index: members.labels for index, members in self._members.items()}

    def fit_samples(self, fit: Fit, samples: Sequence[Sample]) -> list[Fitted]:
        """Return the fits of some rows, which the driver sends."""
        fits = (fit(sample, self._n_threads) for sample in samples)
        return [fitted._replace(labels=None) for fitted in fits]

    def _member_sizes(self) -> dict[int, Array]:
        return {index: members.sizes for index, members in self._members.items()}
