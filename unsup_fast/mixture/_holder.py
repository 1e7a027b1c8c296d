"""A holder of rows that a mixture is computed from."""

from collections.abc import Mapping, Sequence
from typing import cast

from unsup_fast._rows.protocol import Rows
from unsup_fast._rows.seeding import BlockDistances, Shortened
from unsup_fast._rows.tree import Node
from unsup_fast.distributed._holder import Holder
from unsup_fast.kernels._types import Array
from unsup_fast.mixture._data import MixtureData
from unsup_fast.mixture._sums import BlockSums, Value


class MixtureHolder(Holder):
    """Parts whose blocks are summed up, and whose rows k-means++ chooses from."""

    def begin_distances(self, version: int, scale: float) -> None:
        """Start k-means++ on a version of the rows: they are infinitely far from any."""
        self._distances = {
            index: BlockDistances(
                blocks=rows.parts,
                n_rows=rows.n_rows,
                dtype=rows.dtype,
                sample_weight=rows.sample_weight,
                n_threads=rows.n_threads,
                scale=scale,
            )
            for index, rows in self._versions[version].items()
        }

    def shorten_distances(self, row: Array) -> dict[int, Shortened]:
        """Choose a row [1, D]; return the sums of distances of every block."""
        return {index: part.shorten(row, None) for index, part in self._distances.items()}

    def compare_distances(self, candidates: Array) -> dict[int, list[Array]]:
        """Return what the sums of every block would be with each of the candidates [T, D]."""
        return {index: part.compare(candidates) for index, part in self._distances.items()}

    def locate_distances(
        self, wanted: Mapping[int, Mapping[int, Sequence[float]]]
    ) -> dict[int, dict[int, Array]]:
        """Return the rows of blocks of parts at which running sums pass targets."""
        return {
            index: part.locate(wanted[index])
            for index, part in self._distances.items()
            if index in wanted
        }

    def end_distances(self) -> None:
        """Free what k-means++ remembers of each row."""
        self._distances = {}

    def sums(
        self, version: int, sums: BlockSums[Value], covariance_type: str, wide: bool
    ) -> dict[int, list[Node[Value]]]:
        """Return sums over runs of blocks of each part; see `MixtureData.total`."""
        return {
            index: MixtureData(
                rows=cast(Rows, rows), covariance_type=covariance_type, chunk_size=None, wide=wide
            )
            .tree(sums, first_block=self._first_blocks[index], first_row=self._firsts[index])
            .nodes
            for index, rows in self._versions[version].items()
        }
