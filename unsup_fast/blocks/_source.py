"""Rows as blocks, the same ones each time they are asked for."""

import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace

import numpy as np

from unsup_fast._cached import cached_property
from unsup_fast._parallel import ahead
from unsup_fast._text import printable
from unsup_fast._types import Array, ArrayLike
from unsup_fast.blocks._feed import (
    BLOCK,
    EXACT_IN_FLOAT32,
    MISSING_HINT,
    DataError,
    DType,
    Feed,
    Piece,
    cut,
    matrix,
)
from unsup_fast.blocks._memory import Memory
from unsup_fast.blocks._missing import dropped
from unsup_fast.kernels.moments import Moments, merge, moments

KEPT = 128 << 20  # bytes of the cache of converted blocks, so that small data are read once
DECODED = 4  # the cache is this many times as large for data that must be decoded


class Source:
    """Rows of a data set as C-contiguous blocks of float32 or float64, from `source`.

    Blocks depend on the data and `chunk_size` only. Every value is checked when its block is first
    read. In later passes each block must have as many rows as before, and some of its rows must
    be equal; for a file, size and time of modification must be too.

    Attributes
    ----------
    name : str
        What errors call the data: the path of a file, or "X".
    kind : str
        Suffix of the file without its dot, or "array", "sparse", "table" or "callable".
    n_columns : int
        Columns D.
    names : tuple of str or None
        Names of the columns, where the data have them: D of them, or the one whose lists became
        all D columns.
    source_dtype : str
        Type of the numbers before they are converted.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) if the data are images.
    array : ndarray of shape (N, D) or None
        All rows, if they are in memory or a memory map and need no conversion.
    paths : tuple of Path
        The files, if the data are in files.
    row_indices : ndarray of shape (N,) or None
        Which rows of the data these are, if rows with missing values were dropped.
    """

    def __init__(self, feed: Feed, chunk_size: int | None = None) -> None:
        self.name, self.kind, self.names = feed.name, feed.kind, feed.names
        self.n_columns, self.source_dtype = feed.n_columns, feed.source_dtype
        self.image_shape, self.array = feed.image_shape, feed.array
        self.paths, self.row_indices = feed.paths, feed.row_indices
        self._feed, self._chunk_size, self._n_rows = feed, chunk_size, feed.n_rows
        self._marks: dict[int, int] = {}  # of the blocks that were checked, by first row
        self._moments: dict[int, tuple[int, Moments]] = {}
        self._all_finite = False
        self._kept: dict[int, Array] = {}
        self._room = KEPT * (DECODED if feed.decoded else 1)
        self._memory = Memory()
        self._state = _state(feed)

    def __repr__(self) -> str:
        rows = "rows" if self._n_rows is None else f"{self._n_rows:,} rows"  # no pass to count them
        shape = f"{rows} of {self.n_columns:,} columns, {self.source_dtype}"
        return f"<Source of {shape}: {printable(self.name)} ({self.kind})>"

    @cached_property
    def dtype(self) -> DType:
        """float32 or float64, the type of the blocks.

        float32 and float64 stay as they are. float16, booleans and integers become float32, or
        float64 if an integer lies beyond 2^24 in magnitude, for which wide ones are read once.
        """
        if self._feed.dtype is not None:
            return self._feed.dtype
        size = max(1, BLOCK // (8 * self.n_columns))
        wide = np.dtype(np.float64)
        integers = slice(None) if self._feed.integers is None else self._feed.integers
        with closing(ahead(cut(self._feed, 0, size, wide, Memory()))) as blocks:
            for block in blocks:
                if np.abs(block[:, integers]).max(initial=0) > EXACT_IN_FLOAT32:
                    return wide
        return np.dtype(np.float32)

    @cached_property
    def chunk_size(self) -> int:
        """Most rows of a block; by default as many as take 64 MiB."""
        if self._chunk_size is not None:
            return self._chunk_size
        return max(1, BLOCK // (self.dtype.itemsize * self.n_columns))

    @property
    def n_rows(self) -> int:
        """Number of rows N, counted in a first pass if the data do not state it."""
        if self._n_rows is None:
            for _ in self.blocks():
                pass
        assert self._n_rows is not None
        return self._n_rows

    @property
    def rows_if_known(self) -> int | None:
        """Rows N if that takes no pass to find out, else None."""
        return self._n_rows

    @property
    def shape(self) -> tuple[int, int]:
        """N and D."""
        return self.n_rows, self.n_columns

    @property
    def n_rows_of_data(self) -> int:
        """Rows of the data, with those that were dropped for missing values."""
        return self.n_rows if self._feed.n_rows_of_data is None else self._feed.n_rows_of_data

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what is done to the data, in sentences for the user."""
        notes = (*self._feed.notes, *self._feed.later_notes())
        if self.source_dtype == str(self.dtype):
            return notes
        return (*notes, f"Values are {self.source_dtype} and are converted to {self.dtype}.")

    @cached_property
    def moments(self) -> Moments:
        """Mean and variance of each column, float64; the values are all checked then.

        Raises
        ------
        DataError
            If a value is not finite.
        """
        return merge(self.block_moments)

    @cached_property
    def block_moments(self) -> list[tuple[int, Moments]]:
        """Rows and `moments` of each block, in order."""
        if self.array is not None:
            for start, block in enumerate(self._slices(self.array, 0)):
                row = start * self.chunk_size
                self._moments[row] = len(block), moments(block)
                self._refuse_bad(row, block, self._moments[row][1])
            self._all_finite = True
        elif self._n_rows is None or self._rows_seen() < self._n_rows:
            for _ in self.blocks():
                pass
        return [self._moments[row] for row in sorted(self._moments)]

    def blocks(self, start: int = 0) -> Generator[tuple[int, Array], None, None]:
        """Yield (first row, block) from row `start` on, with the next block read meanwhile.

        Parameters
        ----------
        start : int
            First row of a block: a multiple of `chunk_size`.

        Yields
        ------
        int
            Row of the data that the block begins with.
        ndarray of shape (M, D), M <= chunk_size
            C-contiguous, read-only, finite.

        Raises
        ------
        DataError
            If the data cannot be read, hold a value that is not finite, or are not what they
            were in an earlier pass.
        ValueError
            If no block begins at `start`.
        """
        if start < 0 or start % self.chunk_size or (start and start >= self.n_rows):
            raise ValueError(
                f"start={start} is not where a block begins; pass a multiple of {self.chunk_size} "
                "below the number of rows"
            )
        if self.array is not None:
            self._refuse_changed()
            yield from self._checked(self._slices(self.array, start), start)
            return
        with closing(ahead(self._read(start))) as blocks:
            yield from self._checked(blocks, start)

    def take(self, indices: ArrayLike) -> Array:
        """Return some rows.

        Parameters
        ----------
        indices : array-like of int, shape (M,)
            In any order, and any number of times each.

        Returns
        -------
        ndarray of shape (M, D), C-contiguous

        Raises
        ------
        IndexError
            If there is no such row.
        DataError
            As `blocks`.
        """
        indices = np.asarray(indices, dtype=np.int64)
        if len(indices) and not 0 <= indices.min() <= indices.max() < self.n_rows:
            raise IndexError(
                f"{self.name} has rows 0 to {self.n_rows - 1}; "
                f"{indices.min()} to {indices.max()} were asked for"
            )
        if self._feed.take is not None:
            self._refuse_changed()
            return np.ascontiguousarray(self._feed.take(indices), dtype=self.dtype)
        out = np.empty((len(indices), self.n_columns), self.dtype)
        order = np.argsort(indices, kind="stable")
        ascending, done = indices[order], 0
        while done < len(indices):
            start = int(ascending[done]) // self.chunk_size * self.chunk_size
            for row, block in self._checked(self._read(start), start):
                end = int(np.searchsorted(ascending, row + len(block)))
                out[order[done:end]] = block[ascending[done:end] - row]
                done, after = end, row + len(block)
                if done == len(indices):
                    break
                if self._feed.seekable and ascending[done] >= after + self.chunk_size:
                    break  # the next block holds none of the rows
        self._refuse_shorter()
        return out

    def map_rows(self, change: Callable[[Array, int], Array]) -> "Source":
        """Return the same rows, each of them changed by itself.

        Parameters
        ----------
        change : callable
            ``change(rows, first)`` returns rows [M, D] for rows [M, D]; `first` is where a block
            begins.

        Returns
        -------
        Source
            Which reads this one anew in each pass.
        """

        def pieces(start: int) -> Iterator[Piece]:
            with closing(self.blocks(start)) as blocks:
                for row, block in blocks:
                    yield matrix(change(block, row))

        feed = replace(
            self._feed,
            pieces=pieces,
            n_rows=self.n_rows,
            dtype=self.dtype,
            array=None,
            take=None if self._feed.take is None else lambda rows: change(self.take(rows), 0),
            decoded=True,
        )
        return Source(feed, self.chunk_size)

    def without(self, rows: Array) -> "Source":
        """Return the source without the rows that have no weight.

        Parameters
        ----------
        rows : ndarray of bool, shape (n_rows_of_data,)
            Which rows of the data these are.
        """
        feed = replace(self._feed, n_rows=self.n_rows, dtype=self.dtype)
        chosen = rows[self.rows_of_data(np.arange(self.n_rows))]
        return Source(dropped(feed, chosen, "no weight"), self._chunk_size)

    def rows_of_data(self, rows: Array) -> Array:
        """Return which rows of the data these rows are, counted with those that were dropped."""
        return rows if self.row_indices is None else self.row_indices[rows]

    def spread(self, values: Array, fill: float) -> Array:
        """Return a value for each row of the data from one for each row [N, ...].

        Parameters
        ----------
        values : ndarray of shape (N, ...)
        fill : scalar
            For rows that were dropped for missing values.
        """
        if self.row_indices is None:
            return values
        spread = np.full((self.n_rows_of_data, *values.shape[1:]), fill, values.dtype)
        spread[self.row_indices] = values
        return spread

    def to_array(self) -> Array:
        """Return all rows in one array [N, D]: in place if they can be used there."""
        if self.array is not None:
            self._refuse_changed()
            self.moments  # noqa: B018  checks the values
            return self.array
        parts = [block for _, block in self.blocks()]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _rows_seen(self) -> int:
        return sum(rows for rows, _ in self._moments.values())

    def _slices(self, array: Array, start: int) -> Iterator[Array]:
        for row in range(start, len(array), self.chunk_size):
            block = array[row : row + self.chunk_size]
            block.flags.writeable = False
            yield block

    def _read(self, start: int) -> Generator[Array, None, None]:
        """Yield the blocks from `start` on, unchecked: the cached ones, then the others."""
        self._refuse_changed()
        row, size = start, self.chunk_size
        while row in self._kept:
            yield self._kept[row]
            row += len(self._kept[row])
        if row == self._n_rows:
            return
        for block in cut(self._feed, row, size, self.dtype, self._memory):
            block.flags.writeable = False
            if row not in self._kept and block.nbytes <= self._room:
                self._kept[row] = block
                self._room -= block.nbytes
            yield block
            row += size

    def _checked(self, blocks: Iterator[Array], start: int) -> Iterator[tuple[int, Array]]:
        row = start
        for block in blocks:
            after = row + len(block)
            if self._n_rows is not None and after > self._n_rows:
                raise self._changed(f"it has more than the {self._n_rows} rows it had")
            if self._n_rows is not None and after < min(self._n_rows, row + self.chunk_size):
                raise self._changed(f"it ends after {after} of {self._n_rows} rows")
            self._check(row, block)
            yield row, block
            row = after
        self._refuse_shorter()
        if self._n_rows is None:
            if row == 0:
                raise DataError(f"{self.name}: has no rows")
            self._n_rows = row
        if row != self._n_rows:
            raise self._changed(f"it ends after {row} of {self._n_rows} rows")

    def _check(self, row: int, block: Array) -> None:
        mark = zlib.crc32(block[[0, len(block) // 2, -1]].data, len(block))
        if row not in self._marks:
            if not self._all_finite:
                block_moments = moments(block)
                self._refuse_bad(row, block, block_moments)
                self._moments[row] = len(block), block_moments
            self._marks[row] = mark
        elif self._marks[row] != mark:
            raise self._changed(f"rows {row} to {row + len(block) - 1} are not what they were")

    def _refuse_bad(self, row: int, block: Array, block_moments: Moments) -> None:
        if block_moments.first_nonfinite is None:
            return
        i, j = block_moments.first_nonfinite
        where = f"column {j}"
        if self.names is not None:
            each = len(self.names) == self.n_columns
            where = f"column {self.names[j]!r}" if each else f"column {self.names[0]!r}, value {j}"
        row += i
        if self.row_indices is not None:
            row = int(self.row_indices[row])
        value = block[i, j]
        hint = f" (missing values: {MISSING_HINT})" if np.isnan(value) else ""
        raise DataError(f"{self.name}: row {row}, {where} is {value}; values must be finite{hint}")

    def _refuse_changed(self) -> None:
        if _state(self._feed) != self._state:
            raise self._changed("it was written to")

    def _refuse_shorter(self) -> None:
        """Raise DataError if a file has become shorter while it was read."""
        for path, (size, _) in zip(self._feed.paths, self._state, strict=True):
            if path.exists() and path.stat().st_size < size:
                raise self._changed("it became shorter")

    def _changed(self, how: str) -> DataError:
        advice = "leave it as it is while it is in use"
        if self.kind == "callable":
            advice = "a callable must return the same rows each time, from a new iterator"
        return DataError(f"{self.name}: changed after it was first read ({how}); {advice}")


def _state(feed: Feed) -> list[tuple[int, int]]:
    """Return what tells files from a later state of themselves."""
    state = []
    for path in feed.paths:
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read any more: {error.strerror}") from error
        state.append((status.st_size, status.st_mtime_ns))
    return state
