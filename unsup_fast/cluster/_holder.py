"""A holder of rows that k-means labels: the passes over its parts."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import numpy as np

from unsup_fast._rows.centroids import labels_of
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster import _label_files
from unsup_fast.cluster._candidates import HostCandidates
from unsup_fast.cluster._choices_holder import ChoicesHolder
from unsup_fast.cluster._far import Far, merged
from unsup_fast.cluster._labelled import Labelled
from unsup_fast.cluster._levels_holder import LevelsHolder
from unsup_fast.kernels import totals
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.totals import Totals


class Changes(NamedTuple):
    """Clusters whose totals differ from those of the reply before, and by how much."""

    clusters: Array
    """[M] int32, or all K as bits, packed in uint8: whichever is smaller."""
    sums: Array
    """[M, D] int64."""
    carried: Array | None
    """[M, D] int64: multiples of 2^32; None for up to `totals.MOST_ROWS` rows."""
    counts: Array
    """[M] int64."""

    def numbers(self, n_clusters: int) -> Array:
        """Return the numbers of the clusters, [M]."""
        if self.clusters.dtype == np.uint8:
            return np.flatnonzero(np.unpackbits(self.clusters, count=n_clusters))
        return self.clusters


class Moved(NamedTuple):
    """Reply of a pass that moves rows between totals."""

    n_changed: int
    changes: Changes


class BlockSums(NamedTuple):
    """Sums of the rows of a block by cluster, of the clusters that have any."""

    inertia: float
    clusters: Array
    """[M] int32."""
    sums: Array
    """[M, D] float64."""
    weights: Array
    """[M] float64."""


class Sums(NamedTuple):
    """Reply of a pass that adds up anew: the blocks of each part."""

    n_changed: int
    blocks: dict[int, list[BlockSums]]


class Measured(NamedTuple):
    """Reply of a pass that measures."""

    inertias: dict[int, list[float]]
    """Of the blocks of each part."""
    sizes: Array
    """[K] int64: rows of each cluster."""


class KMeansHolder(ChoicesHolder, LevelsHolder):
    """Parts with labels, totals and bounds."""

    def begin(
        self,
        version: int,
        metric: str,
        may_prune: bool,
        guessed: bool,
        n_clusters: int,
        quanta: Array | None,
    ) -> None:
        """Start a run on a version of the rows: no row has a label.

        Parameters
        ----------
        version : int
        metric : {"euclidean", "cosine"}
        may_prune : bool
        guessed : bool
            Whether bounds start from the labels of the last level.
        n_clusters : int
        quanta : ndarray of shape (S,), optional
            Those of `totals`; None where sums are added up anew in each pass.
        """
        rows, self._version = self._versions[version], version
        self._parts = {
            index: Labelled(
                cast(Rows, part),
                metric=metric,
                may_prune=may_prune,
                guess=self._members[index].labels if guessed else None,
            )
            for index, part in rows.items()
        }
        n_rows = sum(part.n_rows for part in rows.values())
        self._totals = None if quanta is None else totals.empty(quanta, n_clusters, n_rows)
        self._sent = None if quanta is None else totals.empty(quanta, n_clusters, n_rows)
        for part in self._parts.values():
            part.begin(self._totals)

    def move(self, centers: Array, remaining: int) -> Moved:
        """Label the rows for centroids [K, D], and return how the totals changed."""
        n_changed = 0
        for part in self._parts.values():
            part.prepare(centers, remaining)
            n_changed += part.label(centers)
        return Moved(n_changed=n_changed, changes=self._changes(centers.shape[1]))

    def add_up(self, centers: Array, remaining: int) -> Sums:
        """Label the rows, and return the sums of every block."""
        n_changed = 0
        blocks: dict[int, list[BlockSums]] = {}
        for index, part in self._parts.items():
            part.prepare(centers, remaining)
            current = part.has_bounds  # before the pass, which may drop them
            if current:
                n_changed += part.label(centers)
            blocks[index] = []
            rows = self._versions[self._version][index]
            for block in rows.assign_by_block(centers, labels=part.labels, labels_current=current):
                assert block.sums is not None
                assert block.weights is not None
                n_changed += 0 if current else block.n_changed
                some = np.flatnonzero(block.weights).astype(np.int32)
                blocks[index].append(
                    BlockSums(
                        inertia=block.inertia,
                        clusters=some,
                        sums=block.sums[some],
                        weights=block.weights[some],
                    )
                )
        return Sums(n_changed=n_changed, blocks=blocks)

    def measure(self, centers: Array, labels_current: bool) -> Measured:
        """Return the inertia of every block, and the rows of each cluster."""
        inertias, sizes = {}, np.zeros(len(centers), dtype=np.int64)
        for index, part in self._parts.items():
            current = labels_current
            if not current and part.has_bounds:
                part.label(centers)
                current = True
            inertias[index] = [
                float(block.inertia)
                for block in self._versions[self._version][index].assign_by_block(
                    centers, labels=part.labels, labels_current=current, update=False
                )
            ]
            sizes += np.bincount(part.labels, minlength=len(centers))
        return Measured(inertias=inertias, sizes=sizes)

    def farthest(self, centers: Array, count: int) -> Far | None:
        """Return the rows farthest from these centroids, by their numbers among all rows."""
        far = [
            part.farthest(centers, count, self._firsts[index])
            for index, part in self._parts.items()
        ]
        return merged(far, count) if far else None

    def labels(self) -> dict[int, Array]:
        """Return the labels of each part as they are now."""
        return {index: part.labels for index, part in self._parts.items()}

    def predict(self, version: int, centers: Array, penalties: Array | None) -> dict[int, Array]:
        """Return the labels of each part for a fitted model's centroids and penalties."""
        return {
            index: labels_of(cast(Rows, rows), centers, penalties)
            for index, rows in self._versions[version].items()
        }

    def write_labels(
        self, version: int, centers: Array, penalties: Array | None, folder: str
    ) -> list[str]:
        """Write the labels of each part into a folder, and return the names of the files."""
        return _label_files.write(
            folder,
            (
                (self._firsts[index], labels)
                for index, labels in self.predict(version, centers, penalties).items()
            ),
        )

    def score(self, version: int, centers: Array) -> dict[int, list[float]]:
        """Return the inertia of every block for a fitted model's centroids."""
        return {
            index: [float(block.inertia) for block in rows.assign_by_block(centers, update=False)]
            for index, rows in self._versions[version].items()
        }

    def seed(self, version: int, scale: float | None) -> None:
        """Start k-means|| on a version of the rows."""
        self._candidates = {
            index: HostCandidates(cast(Rows, rows), self._firsts[index], self._masses(rows, scale))
            for index, rows in self._versions[version].items()
        }

    def add_candidates(self, rows: Array) -> dict[int, list[float]]:
        """Draw rows [M, D]; return the sums of weighted distances of every block."""
        return {index: part.add_by_block(rows) for index, part in self._candidates.items()}

    def draw_candidates(self, key: int, share: float) -> dict[int, Array]:
        """Return the rows of each part, by their numbers among all, that a round draws."""
        return {index: part.draw(key, share) for index, part in self._candidates.items()}

    def weigh_candidates(self, count: int) -> Array:
        """Return the total mass, int64 [count], of the rows here nearest to each candidate."""
        masses = np.zeros(count, dtype=np.int64)
        for part in self._candidates.values():
            masses += part.masses()
        return masses

    def end_seeding(self) -> None:
        """Free what k-means|| remembers of each row."""
        self._candidates = {}

    def _changes(self, n_columns: int) -> Changes:
        now, sent = self._totals, self._sent
        assert now is not None
        assert sent is not None
        sums, counts = now.sums - sent.sums, now.counts - sent.counts
        carried = None
        differs = sums.any(axis=1) | (counts != 0)
        if now.carried is not None and sent.carried is not None:
            carried = now.carried - sent.carried
            differs |= carried.any(axis=1)
        some = np.flatnonzero(differs).astype(np.int32)
        changes = Changes(
            clusters=min(some, np.packbits(differs), key=lambda form: form.nbytes),
            sums=sums[some, :n_columns],
            carried=None if carried is None else carried[some, :n_columns],
            counts=counts[some],
        )
        np.copyto(sent.sums, now.sums)
        np.copyto(sent.counts, now.counts)
        if now.carried is not None and sent.carried is not None:
            np.copyto(sent.carried, now.carried)
        return changes


def apply(changes: Changes, to: Totals) -> None:
    """Add a holder's changes to the totals of all rows."""
    n_clusters, n_columns = len(to.sums), changes.sums.shape[1]
    some = changes.numbers(n_clusters)
    to.sums[some, :n_columns] += changes.sums
    to.counts[some] += changes.counts
    if to.carried is not None:
        if changes.carried is not None:
            to.carried[some, :n_columns] += changes.carried
        to.carry()


def in_order(parts: Mapping[int, list[float]]) -> float:
    """Return the sum of the blocks of all parts, added in the order of the rows."""
    total = None
    for index in sorted(parts):
        for block in parts[index]:
            total = block if total is None else total + block
    assert total is not None
    return total
