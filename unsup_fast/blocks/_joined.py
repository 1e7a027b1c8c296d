"""Several files as one: their rows follow each other."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import accumulate

import numpy as np

from unsup_fast._parallel import in_order
from unsup_fast._types import Array
from unsup_fast._urls import File, Url
from unsup_fast.blocks._feed import DataError, DType, EmptyError, Feed, Piece, later, part
from unsup_fast.blocks._options import TableOptions

SHOWN = {"npy": ".npy", "csv": "CSV", "parquet": "Parquet", "arrow": "Arrow", "feather": "Arrow"}
AT_ONCE = 16  # files of URLs that are opened at once: most of that is waiting

Open = Callable[[File, TableOptions], Feed]


def opened(name: str, files: Sequence[File], options: TableOptions, open_file: Open) -> Feed:
    """Return the feed of files of one kind.

    Parameters
    ----------
    name : str
        What errors call the data.
    files : sequence of File
        At least one; files without rows are left out.
    options : TableOptions
    open_file : callable
        Returns the feed of a file.

    Raises
    ------
    DataError
        If the files differ in their columns, or no file has rows.
    """
    members: list[Feed] = []
    for number, file in enumerate(files):
        try:
            members.append(open_file(file, options))
        except EmptyError:
            continue
        rest = files[number + 1 :]
        break
    else:
        raise EmptyError(f"{name}: has no rows")
    first = members[0]

    def others(file: File) -> Feed | None:
        try:
            feed = open_file(file, options)
        except EmptyError:
            return None
        _check_columns(first, feed)
        if feed.names != first.names:  # they stand in another order
            feed = open_file(file, replace(options, columns=first.names))
        _check_shape(first, feed)
        return feed

    threads = AT_ONCE if any(isinstance(file, Url) for file in rest) else 1
    with closing(in_order(others, rest, threads, "open")) as feeds:
        for feed in feeds:
            if feed is not None:
                members.append(feed)
    note = f"Rows of {len(files)} {SHOWN[first.kind]} files."
    notes = dict.fromkeys(note for member in members for note in member.notes)
    return replace(joined(name, members), notes=(note, *notes) if len(files) > 1 else tuple(notes))


def joined(name: str, members: list[Feed]) -> Feed:
    """Return the feed of the rows of these, which have the same columns.

    Rows of a member that states no number are counted when it has been read to its end.
    """
    first = members[0]
    known = [member.n_rows for member in members]
    integers = [member.integers for member in members if member.dtype is None]

    def pieces(start: int) -> Iterator[Piece]:
        row = 0
        for i, member in enumerate(members):
            begin = row
            if member.n_rows is not None:
                row = begin + min(max(0, start - begin), member.n_rows)
            if row - begin == member.n_rows:
                continue
            for piece in member.pieces(row - begin):
                if row + piece.n_rows > start:
                    yield later(piece, start - row) if start > row else piece
                row += piece.n_rows
            if member.n_rows is None:
                members[i] = replace(member, n_rows=row - begin)

    def of_rows(start: int, stop: int) -> Feed:
        return joined(name, list(_cut(members, start, stop)))

    return replace(
        first,
        name=name,
        pieces=pieces,
        origin=partial(joined, name, members),
        part=of_rows,
        source_dtype=" and ".join(dict.fromkeys(member.source_dtype for member in members)),
        n_rows=None if None in known else sum(n_rows or 0 for n_rows in known),
        dtype=_dtype(members),
        integers=None if None in integers else sorted({j for each in integers for j in each or ()}),
        array=None,
        take=_take(members),
        decoded=any(member.decoded for member in members),
        seekable=all(member.seekable for member in members),
        paths=tuple(path for member in members for path in member.paths),
        later_notes=lambda: tuple(
            dict.fromkeys(note for member in members for note in member.later_notes())
        ),
    )


def _cut(members: Sequence[Feed], start: int, stop: int) -> Iterator[Feed]:
    row = 0
    for member in members:
        if member.n_rows is None:
            raise AssertionError("rows are counted before they are cut")
        low, high = max(start - row, 0), min(stop - row, member.n_rows)
        if low < high:
            whole = high - low == member.n_rows
            yield member if whole else part(member, low, high)
        row += member.n_rows


def _dtype(members: Sequence[Feed]) -> DType | None:
    """Return the widest type, None if it depends on the values of a member."""
    types = [member.dtype for member in members]
    if any(dtype is not None and dtype == np.float64 for dtype in types):
        return np.dtype(np.float64)
    return None if None in types else np.dtype(np.float32)


def _take(members: Sequence[Feed]) -> Callable[[Array], Array] | None:
    takes = [member.take for member in members]
    n_rows = [member.n_rows for member in members]
    if None in takes or None in n_rows:
        return None
    starts = list(accumulate((n or 0 for n in n_rows), initial=0))

    def take(indices: Array) -> Array:
        dtype = _dtype(members)
        numbers = np.searchsorted(starts, indices, side="right") - 1  # [M]
        out = np.empty((len(indices), members[0].n_columns), np.float64 if dtype is None else dtype)
        for i in np.unique(numbers):
            of_member, of_file = numbers == i, takes[i]
            assert of_file is not None
            out[of_member] = of_file(indices[of_member] - starts[i])
        return out

    return take


def _check_columns(first: Feed, other: Feed) -> None:
    """Raise unless two tables have the same columns, in any order."""
    ours, theirs = first.fields or {}, other.fields or {}
    for name in [*ours, *theirs]:
        one, another = ours.get(name), theirs.get(name)
        if one is None or another is None or one.kind != another.kind:
            raise DataError(
                f"{other.name}: column {name!r} is {another.shown if another else 'not there'}, in "
                f"{first.name} it is {one.shown if one else 'not there'}; all files must have the "
                "same columns"
            )


def _check_shape(first: Feed, other: Feed) -> None:
    """Raise unless the rows of two files are of one shape."""
    if other.n_columns != first.n_columns:
        raise DataError(
            f"{other.name}: has {other.n_columns} columns, {first.name} has {first.n_columns}; all "
            "files must have the same columns"
        )
    if other.image_shape != first.image_shape:
        raise DataError(
            f"{other.name}: holds images of shape {other.image_shape}, {first.name} of "
            f"{first.image_shape}; all files must hold images of one shape"
        )
