"""Rows as blocks, the same ones each time they are asked for."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from copy import copy
from dataclasses import replace
from functools import partial

import numpy as np

from unsup_fast._cached import cached_property
from unsup_fast._parallel import ahead
from unsup_fast._text import printable
from unsup_fast._types import Array, ArrayLike
from unsup_fast.blocks._feed import (
    BLOCK,
    EXACT_IN_FLOAT32,
    DataError,
    DType,
    Feed,
    Piece,
    cut,
    matrix,
    part,
    section,
    skip,
)
from unsup_fast.blocks._memory import Memory
from unsup_fast.blocks._missing import dropped
from unsup_fast.blocks._seen import Pickled, Seen, refuse_bad
from unsup_fast.blocks._states import is_shorter, sizes, states
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
    paths : tuple of Path or Url
        The files, if the data are in files.
    row_indices : ndarray of shape (N,) or None
        Which rows of the data these are, if rows with missing values were dropped.
    first_row : int
        Row number of the first row in the source that this is a part of (see `parts`); else 0.

    A source can be pickled, and opens its data again where it arrives: files by their absolute
    paths (of a mapped array, too), arrays and tables by value, a function as the pickler pickles
    functions. What is known of the data travels along, so no pass is repeated: type, number of
    rows, missing values, moments, and the marks by which changed rows are recognised. A file of
    another size raises DataError.
    """

    def __init__(self, feed: Feed, chunk_size: int | None = None) -> None:
        self.name, self.kind, self.names = feed.name, feed.kind, feed.names
        self.n_columns, self.source_dtype = feed.n_columns, feed.source_dtype
        self.image_shape, self.array = feed.image_shape, feed.array
        self.paths, self.row_indices = feed.paths, feed.row_indices
        self.first_row = feed.first_row
        self._feed, self._chunk_size, self._n_rows = feed, chunk_size, feed.n_rows
        self._seen = Seen()
        self._kept: dict[int, Array] = {}
        self._room = KEPT * (DECODED if feed.decoded else 1)
        self._memory = Memory()
        self._states = states(feed.paths)

    def __getstate__(self) -> Pickled:
        return Pickled(
            feed=self._settled(),
            chunk_size=self._chunk_size,
            seen=self._seen,
            sizes=sizes(self._states),
        )

    def __setstate__(self, pickled: Pickled) -> None:
        self.__init__(pickled.feed, pickled.chunk_size)  # type: ignore[misc]
        self._seen = pickled.seen
        if sizes(self._states) != pickled.sizes:
            raise self._changed("its size is another one")

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
        seen = self._seen
        if self.array is not None and seen.n_rows < len(self.array):
            row = 0
            for block in self._slices(self.array, 0):
                block_moments = moments(block)
                refuse_bad(self._feed, row, block, block_moments)
                seen.moments[row] = len(block), block_moments
                row += len(block)
            seen.all_finite = True
        elif self._n_rows is None or seen.n_rows < self._n_rows:
            for _ in self.blocks():
                pass
        return [seen.moments[row] for row in sorted(seen.moments)]

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

    def parts(self, n: int) -> list["Source"]:
        """Cut the source into runs of whole blocks, as even as possible.

        The blocks of a part are blocks of the source, so they do not depend on `n`. A part counts
        its rows from 0, which is row `first_row` of the source; errors name rows of the data. It
        reads only its rows, and before them only of data that cannot be read from the middle:
        functions and CSV files. It can be pickled as a source can: an array or table in memory
        then without the rows of the other parts.

        Parameters
        ----------
        n : int
            Most parts; there are fewer if the source has fewer blocks.

        Returns
        -------
        list of Source
            At most `n`. `row_indices` of a part are rows of all the data.

        Raises
        ------
        ValueError
            If n < 1.
        DataError
            As `blocks`, where a pass is needed to count the rows or to find their type.

        Examples
        --------
        >>> import numpy as np
        >>> from unsup_fast import blocks
        >>> rows = blocks.source(np.zeros((10, 2)), chunk_size=4)
        >>> [(part.first_row, part.n_rows) for part in rows.parts(2)]
        [(0, 4), (4, 6)]
        """
        if n < 1:
            raise ValueError(f"n={n} is not a number of parts; pass an int >= 1")
        size = self.chunk_size
        if self._n_rows is None:  # counted without a copy, and without a check of the values
            self._n_rows = sum(piece.n_rows for piece in self._feed.pieces(0)) or None
        n_blocks = -(-self.n_rows // size)
        n = min(n, n_blocks)
        self.dtype  # noqa: B018  that of all rows
        edges = [n_blocks * i // n * size for i in range(n)]
        return [
            self._part(start, stop)
            for start, stop in zip(edges, [*edges[1:], self.n_rows], strict=True)
        ]

    def _part(self, start: int, stop: int) -> "Source":
        if (start, stop) == (0, self.n_rows):
            return self
        source = Source(part(self._settled(), start, stop), self.chunk_size)
        source._seen = self._seen.part(start, stop)
        source._states = {path: self._states[path] for path in source._states}
        return source

    def _settled(self) -> Feed:
        """Return the feed with the number and type of its rows, as far as they are known."""
        dtype = self.__dict__.get("dtype", self._feed.dtype)
        return replace(self._feed, n_rows=self._n_rows, dtype=dtype)

    def uncached(self) -> "Source":
        """Return the same rows, whose blocks do not stay in memory from one pass to the next."""
        source = copy(self)
        source._room = 0
        return source

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
        return Source(_mapped(self, change), self.chunk_size)

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
        if self._seen.changed(row, block):
            first = self.first_row + row
            raise self._changed(f"rows {first} to {first + len(block) - 1} are not what they were")
        if row not in self._seen.marks:
            block_moments = None
            if not self._seen.all_finite:
                block_moments = moments(block)
                refuse_bad(self._feed, row, block, block_moments)
            self._seen.add(row, block, block_moments)

    def _refuse_changed(self) -> None:
        if states(self.paths) != self._states:
            raise self._changed("it was written to")

    def _refuse_shorter(self) -> None:
        """Raise DataError if a file has become shorter while it was read."""
        if is_shorter(self._states):
            raise self._changed("it became shorter")

    def _changed(self, how: str) -> DataError:
        advice = "leave it as it is while it is in use"
        if self.kind == "callable":
            advice = "a callable must return the same rows each time, from a new iterator"
        return DataError(f"{self.name}: changed after it was first read ({how}); {advice}")


def _mapped(source: Source, change: Callable[[Array, int], Array], first_row: int = 0) -> Feed:
    """Return the feed of a source whose rows are changed; see `Source.map_rows`.

    The source begins at row `first_row` of that whose blocks are passed to `change`.
    """
    feed, size = source._settled(), source.chunk_size

    def pieces(start: int) -> Iterator[Piece]:
        begin = start // size * size
        return skip(changed(begin), start - begin)

    def changed(start: int) -> Iterator[Piece]:
        with closing(source.blocks(start)) as blocks:
            for row, block in blocks:
                yield matrix(change(block, first_row + row))

    def of_rows(start: int, stop: int) -> Feed:
        begin, end = start // size * size, min(-(-stop // size) * size, source.n_rows)
        if (begin, end) == (0, source.n_rows):
            return section(whole, start, stop)
        smaller = _mapped(source._part(begin, end), change, first_row + begin)
        return part(smaller, start - begin, stop - begin)

    whole = replace(
        feed,
        pieces=pieces,
        origin=partial(_mapped, source, change, first_row),
        part=of_rows,
        n_rows=source.n_rows,
        dtype=source.dtype,
        array=None,
        take=None if feed.take is None else lambda rows: change(source.take(rows), 0),
        decoded=True,
    )
    return whole
