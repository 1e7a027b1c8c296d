"""The search for pairs: written to a file as they come, and stopped at any time."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from unsup_fast._types import Array
from unsup_fast.cli import centers, matrices
from unsup_fast.cli.dedup.clusters import Clusters
from unsup_fast.cli.dedup.job import DedupJob
from unsup_fast.cli.dedup.keeping import Removal, ranks
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Silent
from unsup_fast.cluster import Pairs, iter_pairs

AT_ONCE = 1 << 16  # pairs that are written together
EXAMPLES = 3  # pairs of each range of values that a report shows
VALUES = {"cosine": "similarity", "euclidean": "distance"}


class SearchResult(NamedTuple):
    """The result of a search."""

    removal: Removal
    n_pairs: int
    share: float
    """Share of the pairs of rows that were compared; 1 unless it was interrupted."""
    seconds: float
    examples: list[list[tuple[int, int, float]]]
    """The first pairs, rows of the data, of each range between thresholds."""


class Searching:
    """A search whose pairs are read once, and that Ctrl-C ends between two parts.

    Attributes
    ----------
    n_pairs : int
        Pairs so far.
    share : float
        Share of the pairs of rows that were compared.
    examples : list of lists
        As in `SearchResult`.
    """

    def __init__(
        self, job: DedupJob, clusters: Clusters, removal: Removal, progress: Silent
    ) -> None:
        self._job, self._clusters = job, clusters
        self._removal, self._progress = removal, progress
        self.n_pairs, self.share = 0, 0.0
        self.examples: list[list[tuple[int, int, float]]] = [[] for _ in removal.thresholds]

    def columns(self, interrupts: Interrupts) -> Iterator[list[Array]]:
        """Yield rows i and j of the data, and the values of their pairs, the first time none."""
        waiting = [Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
        yield self._joined(waiting)  # so that a file without pairs has columns
        settings = self._job.settings
        parts = iter_pairs(
            self._job.source,
            self._clusters.labels,
            settings.threshold,
            metric=settings.metric,
            n_threads=settings.threads,
            working_memory=settings.working_memory,
            callback=self._compared,
        )
        with closing(parts):
            try:
                for pairs in parts:
                    self._removal.add(pairs)
                    self._show(pairs)
                    waiting.append(pairs)
                    self.n_pairs += len(pairs.i)
                    if sum(len(each.i) for each in waiting) >= AT_ONCE:
                        yield self._joined(waiting)
                        waiting = []
                    interrupts.check()
                self.share = 1.0
            except KeyboardInterrupt:
                pass  # `share` tells
        if waiting:
            yield self._joined(waiting)

    def _compared(self, done: int, total: int) -> None:
        self.share = done / total
        self._progress.part(done, total, "compared")

    def _show(self, pairs: Pairs) -> None:
        """Take the first pairs of each range as examples."""
        bands = self._removal.bands(pairs.values)
        for number, examples in enumerate(self.examples):
            chosen = np.flatnonzero(bands == number)[: EXAMPLES - len(examples)]
            if len(chosen) > 0:
                i, j, values = self._joined([Pairs(*(array[chosen] for array in pairs))])
                examples += zip(i.tolist(), j.tolist(), values.tolist(), strict=True)

    def _joined(self, parts: list[Pairs]) -> list[Array]:
        i, j, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        of_data = self._job.source.rows_of_data
        return [of_data(i), of_data(j), values]


def search(
    job: DedupJob, clusters: Clusters, path: Path, progress: Silent, interrupts: Interrupts
) -> SearchResult:
    """Write all near pairs to a file, and return which rows have one before them."""
    settings, start = job.settings, perf_counter()
    progress.begin("Distances to the centroids")
    source = job.source
    function = centers.distances(clusters.labels, clusters.model)
    computed = matrices.computed(source, function, source.n_columns)
    distances = np.concatenate(list(computed))[source.rows_of_data(np.arange(source.n_rows))]
    rank = ranks(distances, settings.keep, settings.seed)
    removal = Removal(rank, settings.threshold, settings.metric)
    searching = Searching(job, clusters, removal, progress)
    progress.begin("Comparing the rows of each cluster")
    with interrupts.shield():
        columns = searching.columns(interrupts)
        matrices.write(path, columns, source.n_rows, ("i", "j", VALUES[settings.metric]))
    return SearchResult(
        removal=removal,
        n_pairs=searching.n_pairs,
        share=searching.share,
        seconds=perf_counter() - start,
        examples=searching.examples,
    )
