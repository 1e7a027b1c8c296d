"""Properties of a kind of data, and how its rows are read.

Each kind of data has a function that returns a `Feed`; everything else is written once on feeds.
"""

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from unsup_fast._types import Array
from unsup_fast._urls import File
from unsup_fast.blocks._memory import Memory
from unsup_fast.kernels.half_to_float import half_to_float

DType = np.dtype[Any]

BLOCK = 64 << 20  # bytes of a block unless the user sets chunk_size
# Beyond this magnitude float32 no longer holds every integer.
EXACT_IN_FLOAT32 = 1 << 24
MISSING_HINT = "fill it in, or pass --missing drop or mean (missing= in Python)"
TILE = 1 << 17  # values that are converted at a time, so that they stay in cache


class DataError(ValueError):
    """Data cannot be used; the message names file, row and column."""


class EmptyError(DataError):
    """Data have no rows, which is no error of one file among several."""


class Piece(NamedTuple):
    """Rows that a reader yields together, in a type of its own."""

    n_rows: int
    fill: Callable[[int, int, Array], None]
    """``fill(start, stop, out)`` writes rows start to stop into out [stop - start, D]."""


class Field(NamedTuple):
    """A column of a table in a file."""

    shown: str
    """The type, for error messages."""
    kind: str
    """Types of the same kind may differ from file to file: those of numbers, or of lists."""


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Data that can be read from any row on, as often as wanted."""

    name: str
    """What errors call the data: the path of a file, or "X"."""
    kind: str
    """Suffix of the file without its dot, or what the data are: "array", "table" ..."""
    n_columns: int
    source_dtype: str
    """Type of the numbers before they are converted."""
    pieces: Callable[[int], Iterator[Piece]]
    """Iterates over the rows from a row number on, in order."""
    origin: Callable[[], "Feed"]
    """Opens the data again: a partial of a function of a module, so that a feed can be pickled."""
    part: Callable[[int, int], "Feed"] | None = None
    """Returns rows start to stop as a feed that needs less than the whole; None if none does."""
    first_row: int = 0
    """Row number of the first row in the whole that this is a part of."""
    n_rows: int | None = None
    """Number of rows N; None if only reading the data tells it."""
    dtype: DType | None = None
    """float32 or float64; None if that depends on how large the `integers` are."""
    integers: list[int] | None = None
    """Columns of wide integers; None if all are."""
    names: tuple[str, ...] | None = None
    image_shape: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()
    array: Array | None = None
    """The rows themselves if they are a C-contiguous matrix in memory or a memory map."""
    take: Callable[[Array], Array] | None = None
    """Returns the rows of these indices; None if reading a few costs as much as reading many."""
    decoded: bool = False
    """Whether reading means work that is worth memory to save: unpacking, parsing, a function."""
    seekable: bool = True
    """Whether starting at a later row saves reading the ones before."""
    paths: tuple[File, ...] = ()
    """The files, if the data are in files."""
    later_notes: Callable[[], tuple[str, ...]] = tuple
    """Notes that are known only after reading."""
    row_indices: Array | None = None
    """Which rows of the data these are, if rows with missing values were dropped."""
    n_rows_of_data: int | None = None
    """Rows of the data with those that were dropped, if any were."""
    fields: "Mapping[str, Field] | None" = None
    """All columns of a table in a file, by which the files of a list are compared."""

    def __reduce__(self) -> tuple[Callable[..., "Feed"], tuple[object, ...]]:
        known = Known(
            name=self.name,
            n_rows=self.n_rows,
            n_columns=self.n_columns,
            names=self.names,
            dtype=self.dtype,
            notes=self.notes,
            first_row=self.first_row,
            n_rows_of_data=self.n_rows_of_data,
        )
        return opened_again, (self.origin, known)


@dataclass(frozen=True, kw_only=True)
class Known:
    """What a pickled feed knows of its data, so that no pass is repeated where it arrives."""

    name: str
    n_rows: int | None
    n_columns: int
    names: tuple[str, ...] | None
    dtype: DType | None
    notes: tuple[str, ...]
    first_row: int
    n_rows_of_data: int | None


def opened_again(origin: Callable[[], Feed], known: Known) -> Feed:
    """Return the feed of data that were open before, in another process perhaps.

    Raises
    ------
    DataError
        If the data are not there, or have other rows or columns.
    """
    try:
        feed = origin()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{known.name}: cannot be opened again: {reason}") from error
    for what in ("n_rows", "n_columns", "names"):
        before, now = getattr(known, what), getattr(feed, what)
        if now != before and None not in (before, now):
            raise DataError(
                f"{known.name}: changed after it was first read (its {what} was {before} and is "
                f"{now}); leave it as it is while it is in use"
            )
    return replace(
        feed,
        origin=origin,
        name=known.name,
        n_rows=known.n_rows,
        dtype=known.dtype,
        notes=known.notes,
        first_row=known.first_row,
        n_rows_of_data=known.n_rows_of_data,
    )


def matrix(rows: Array) -> Piece:
    """Return a matrix of numbers as a piece."""

    def fill(start: int, stop: int, out: Array) -> None:
        copy(rows[start:stop], out)

    return Piece(len(rows), fill)


def copy(values: Array, out: Array) -> None:
    """Copy numbers of any type and layout into `out`, C-contiguous and of the same shape [M, D]."""
    if values.dtype != np.float16 or out.dtype != np.float32:
        out[...] = values
        return
    step = max(1, TILE // values.shape[1])
    for low in range(0, len(values), step):
        half_to_float(np.ascontiguousarray(values[low : low + step]), out[low : low + step])


def skip(pieces: Iterator[Piece], start: int) -> Iterator[Piece]:
    """Leave out the first `start` rows of pieces that can only be read from the first row on."""
    for piece in pieces:
        if start >= piece.n_rows:
            start -= piece.n_rows
        elif start:
            yield later(piece, start)
            start = 0
        else:
            yield piece


def later(piece: Piece, start: int) -> Piece:
    """Return a piece without its first rows."""
    return Piece(
        piece.n_rows - start, lambda low, high, out: piece.fill(low + start, high + start, out)
    )


def first(pieces: Iterator[Piece], n_rows: int) -> Iterator[Piece]:
    """Yield only the first `n_rows` rows of pieces."""
    for piece in pieces:
        if piece.n_rows >= n_rows:
            yield Piece(n_rows, piece.fill)
            return
        n_rows -= piece.n_rows
        yield piece


def part(feed: Feed, start: int, stop: int) -> Feed:
    """Return rows start to stop of a feed whose number of rows and type are known."""
    smaller = section(feed, start, stop) if feed.part is None else feed.part(start, stop)
    return replace(
        smaller,
        name=feed.name,
        n_rows=stop - start,
        dtype=feed.dtype,
        notes=feed.notes,
        n_rows_of_data=feed.n_rows_of_data,
        first_row=feed.first_row + start,
    )


def section(feed: Feed, start: int, stop: int) -> Feed:
    """Return rows start to stop of a feed as they are read from the whole."""
    take = feed.take
    return replace(
        feed,
        pieces=lambda row: first(feed.pieces(start + row), stop - start - row),
        origin=partial(part, feed, start, stop),
        part=lambda low, high: part(feed, start + low, start + high),
        array=None if feed.array is None else feed.array[start:stop],
        take=None if take is None else lambda indices: take(indices + start),
        row_indices=None if feed.row_indices is None else feed.row_indices[start:stop],
        n_rows=stop - start,
        first_row=feed.first_row + start,
    )


def cut(
    feed: Feed, start: int, size: int, dtype: DType, memory: Memory
) -> Generator[Array, None, None]:
    """Yield the rows from `start` on as blocks [size, D]; the last may have fewer rows."""
    block: Array | None = None
    filled, row = 0, start
    for piece in feed.pieces(start):
        done = 0
        while done < piece.n_rows:
            if block is None:
                left = size if feed.n_rows is None else max(1, feed.n_rows - row)
                block = memory.block((min(size, left), feed.n_columns), dtype)
            few = min(len(block) - filled, piece.n_rows - done)
            piece.fill(done, done + few, block[filled : filled + few])
            done, filled, row = done + few, filled + few, row + few
            if filled == len(block):
                yield block
                block, filled = None, 0
    if block is not None:
        yield block[:filled].copy()


def number_type(dtype: DType, name: str) -> DType | None:
    """Return the type that numbers are converted to, None if that depends on their size.

    Raises
    ------
    DataError
        If they are no numbers.
    """
    if dtype.kind not in "fiub" or dtype == np.longdouble:
        raise DataError(f"{name}: holds {dtype}; float, integer or bool is needed")
    if dtype.kind == "f":
        return np.dtype(np.float64 if dtype.itemsize == 8 else np.float32)
    if dtype.kind in "iu" and dtype.itemsize > 2:
        return None
    return np.dtype(np.float32)
