"""What is known of the blocks that a source has read: finite values, moments, and marks."""

import zlib
from dataclasses import dataclass, field

import numpy as np

from unsup_fast._types import Array
from unsup_fast.blocks._feed import MISSING_HINT, DataError, Feed
from unsup_fast.kernels.moments import Moments


@dataclass
class Seen:
    """Marks and moments of the blocks that were checked, by their first rows."""

    marks: dict[int, int] = field(default_factory=dict)
    """Checksums of some rows, by which a changed block is recognised."""
    moments: dict[int, tuple[int, Moments]] = field(default_factory=dict)
    """Number of rows of a block and their moments."""
    all_finite: bool = False
    """Whether all rows were checked, whether or not as blocks."""

    @property
    def n_rows(self) -> int:
        """Rows in the blocks whose moments are known."""
        return sum(n_rows for n_rows, _ in self.moments.values())

    def changed(self, row: int, block: Array) -> bool:
        """Return whether a block was read before and some of its rows were others."""
        return row in self.marks and self.marks[row] != _mark(block)

    def add(self, row: int, block: Array, moments: Moments | None) -> None:
        """Note a block that is read for the first time, and its moments if they are computed."""
        self.marks[row] = _mark(block)
        if moments is not None:
            self.moments[row] = len(block), moments

    def part(self, start: int, stop: int) -> "Seen":
        """Return what is known of rows start to stop, which are whole blocks."""
        inside = range(start, stop)
        return Seen(
            marks={row - start: mark for row, mark in self.marks.items() if row in inside},
            moments={row - start: both for row, both in self.moments.items() if row in inside},
            all_finite=self.all_finite,
        )


@dataclass(frozen=True, kw_only=True)
class Pickled:
    """What travels of a source."""

    feed: Feed
    chunk_size: int | None
    seen: Seen
    sizes: list[int]
    """Bytes of the files."""


def _mark(block: Array) -> int:
    return zlib.crc32(block[[0, len(block) // 2, -1]].data, len(block))


def refuse_bad(feed: Feed, row: int, block: Array, block_moments: Moments) -> None:
    """Raise DataError if the block [M, D] that begins at `row` has a value that is not finite."""
    if block_moments.first_nonfinite is None:
        return
    i, j = block_moments.first_nonfinite
    where = f"column {j}"
    if feed.names is not None:
        each = len(feed.names) == feed.n_columns
        where = f"column {feed.names[j]!r}" if each else f"column {feed.names[0]!r}, value {j}"
    row += i
    row = feed.first_row + row if feed.row_indices is None else int(feed.row_indices[row])
    value = block[i, j]
    hint = f" (missing values: {MISSING_HINT})" if np.isnan(value) else ""
    raise DataError(f"{feed.name}: row {row}, {where} is {value}; values must be finite{hint}")
