"""Parquet files, one or several with the same columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast.blocks import _columns
from unsup_fast.blocks._columns import Columns
from unsup_fast.blocks._feed import EXACT_IN_FLOAT32, DataError, DType, Feed, Piece, later
from unsup_fast.blocks._options import TableOptions
from unsup_fast.blocks.arrow import arrow, reasons
from unsup_fast.blocks.mapped import arrow_map

if TYPE_CHECKING:
    from unsup_fast.blocks.arrow import FileMetaData

VALUES = 1 << 20  # of a batch that is read at once
FEW_ROWS = 64  # of a batch that is only looked at


@dataclass(frozen=True, kw_only=True)
class File:
    """Contents of the footer of a Parquet file."""

    path: Path
    schema: Any
    metadata: Any

    @property
    def sizes(self) -> list[int]:
        """Rows of each row group."""
        return [self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups)]


def feed(
    name: str, paths: Sequence[Path], options: TableOptions, notes: tuple[str, ...] = ()
) -> Feed:
    """Return the feed of Parquet files, whose rows follow each other; read by row groups.

    Parameters
    ----------
    name : str
        What errors call the data.
    paths : sequence of Path
        At least one.
    options : TableOptions
    notes : tuple of str
        What is known of the data already.
    """
    files = [_opened(path) for path in paths]
    first, more = files[0], list(notes)
    names, is_list = _columns.chosen(str(first.path), first.schema, options, more)
    for other in files[1:]:
        _check_alike(first, other)
    n_rows = sum(file.metadata.num_rows for file in files)
    if n_rows == 0:
        raise DataError(f"{name}: has no rows")
    columns = _columns.describe(
        name, first.schema, names, is_list, lambda: _first_batches(files, names), options
    )

    def pieces(start: int) -> Iterator[Piece]:
        return _pieces(files, columns, start)

    return Feed(
        name=name,
        kind="parquet",
        n_columns=columns.n_columns,
        source_dtype=columns.source_dtype,
        pieces=pieces,
        origin=partial(feed, name, [path.absolute() for path in paths], options, notes),
        n_rows=n_rows,
        dtype=_float_type(files, columns),
        integers=columns.integers,
        names=columns.names,
        notes=tuple(more),
        paths=tuple(paths),
        decoded=True,
    )


def _opened(path: Path) -> File:
    parquet = arrow("parquet")
    with (
        reasons(path, "a Parquet file"),
        parquet.ParquetFile(path, memory_map=True) as file,
    ):
        return File(path=path, schema=file.schema_arrow, metadata=file.metadata)


def _check_alike(first: File, other: File) -> None:
    """Raise unless two files have the same columns of the same types, in any order."""
    types = dict(zip(first.schema.names, first.schema.types, strict=True))
    others = dict(zip(other.schema.names, other.schema.types, strict=True))
    for name in [*types, *others]:
        if types.get(name) != others.get(name):
            raise DataError(
                f"{other.path}: column {name!r} is {others.get(name, 'not there')}, in "
                f"{first.path} it is {types.get(name, 'not there')}; all files must have the same "
                "columns"
            )


def _pieces(files: list[File], columns: Columns, start: int) -> Iterator[Piece]:
    """Yield the rows from `start` on; row groups before it are not read."""
    n_rows = max(1, VALUES // columns.n_columns)
    for file, first, row, batch in _batches(files, list(columns.names), start, n_rows):
        piece = _columns.piece(str(file.path), batch, columns, row - first)
        yield later(piece, start - row) if start > row else piece


def _first_batches(files: list[File], names: list[str]) -> Iterator[Any]:
    return (batch for _, _, _, batch in _batches(files, names, 0, FEW_ROWS))


def _batches(
    files: list[File], names: list[str], start: int, n_rows: int
) -> Iterator[tuple[File, int, int, Any]]:
    """Yield file, its first row, the batch's first row, and a batch of at most `n_rows` rows."""
    parquet = arrow("parquet")
    first = 0
    for file in files:
        end = first + file.metadata.num_rows
        if end > start:
            starts = list(accumulate(file.sizes, initial=first))
            group = max(0, int(np.searchsorted(starts, start, side="right")) - 1)
            row = starts[group]
            with (
                reasons(file.path, "a Parquet file"),
                arrow_map(file.path) as mapped,
                parquet.ParquetFile(mapped) as opened,
            ):
                groups = list(range(group, len(file.sizes)))
                for batch in opened.iter_batches(n_rows, row_groups=groups, columns=names):
                    if row + batch.num_rows > start:
                        yield file, first, row, batch
                    row += batch.num_rows
        first = end


def _float_type(files: list[File], columns: Columns) -> DType | None:
    """Return the type of the blocks if the files' statistics tell how large the integers are."""
    if columns.dtype is not None:
        return columns.dtype
    types = {_float_type_of(file.metadata, columns) for file in files}
    if None in types:
        return None
    return np.dtype(np.float64) if np.dtype(np.float64) in types else np.dtype(np.float32)


def _float_type_of(metadata: "FileMetaData", columns: Columns) -> DType | None:
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    wide = columns.names
    if columns.integers is not None:
        wide = tuple(columns.names[j] for j in columns.integers)
    known = set(wide)
    for i, path in enumerate(paths):
        if known.isdisjoint((path, *_prefixes(path))):
            continue
        for group in range(metadata.num_row_groups):
            statistics = metadata.row_group(group).column(i).statistics
            if statistics is None or not statistics.has_min_max:
                return None
            if max(abs(int(statistics.min)), abs(int(statistics.max))) > EXACT_IN_FLOAT32:
                return np.dtype(np.float64)
    return np.dtype(np.float32)


def _prefixes(path: str) -> Iterator[str]:
    """Yield what stands before each dot of the path of a nested column."""
    return (path[:at] for at, letter in enumerate(path) if letter == ".")
