"""Mean and scatter of features that are rows of a source, here or on an engine's processes."""

from collections.abc import Iterable
from functools import partial

import numpy as np

from unsup_fast._rows.covariance import covariance_tree
from unsup_fast._rows.host_rows import CpuRows
from unsup_fast._rows.source_rows import SourceRows
from unsup_fast._rows.tree import Node, Tree
from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.distributed import Engine
from unsup_fast.distributed._holder import Holder
from unsup_fast.distributed._spread import parts_for, spread
from unsup_fast.kernels import threads
from unsup_fast.kernels.covariance import Covariance, merge, natural


class FeatureHolder(Holder):
    """Parts of features, summed up in float64."""

    def scatter(self, version: int) -> dict[int, list[Node[Covariance]]]:
        """Return mean and scatter of runs of blocks of each part."""
        return {
            index: _tree(rows, self._first_blocks[index]).nodes
            for index, rows in self._versions[version].items()
        }


def sums_of(source: Source, engine: Engine | None, n_threads: int | None) -> Covariance:
    """Return mean and scatter of the rows of a source, with a unit of 1.

    They depend on the rows and the `chunk_size` of the source only: blocks are added up in a fixed
    tree.

    Raises
    ------
    RangeError
        If the scatter overflows float64.
    """
    parts = parts_for(source, engine)
    if parts is None:
        rows = SourceRows(
            X=source.uncached(), n_threads=threads.effective(n_threads), name=source.name
        )
        return natural(_tree(rows, 0).total())
    create = partial(FeatureHolder, n_threads=n_threads, memory_share=0.0)  # read once
    with spread(parts, engine, create) as fleet_rows:
        return natural(fleet_rows.total(merge, "scatter"))


def _tree(rows: CpuRows, first: int) -> Tree[Covariance]:
    return covariance_tree(
        _doubles(rows.covariance_blocks()), "features", n_threads=rows.n_threads, first=first
    )


def _doubles(blocks: Iterable[Array]) -> Iterable[Array]:
    """Yield blocks in float64: rounding would turn a singular covariance into a regular one."""
    for block in blocks:
        yield block.astype(np.float64, copy=False)
