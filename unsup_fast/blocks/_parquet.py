"""Parquet files."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast._urls import File, Url
from unsup_fast.blocks import _columns
from unsup_fast.blocks._columns import Columns
from unsup_fast.blocks._feed import EXACT_IN_FLOAT32, DType, EmptyError, Feed, Piece, later
from unsup_fast.blocks._options import TableOptions
from unsup_fast.blocks.arrow import arrow, reasons
from unsup_fast.blocks.mapped import arrow_file

if TYPE_CHECKING:
    from unsup_fast.blocks.arrow import FileMetaData

VALUES = 1 << 20  # of a batch that is read at once
FEW_ROWS = 64  # of a batch that is only looked at


@dataclass(frozen=True, kw_only=True)
class Footer:
    """Contents of the footer of a Parquet file."""

    path: File
    schema: Any
    metadata: Any

    @property
    def sizes(self) -> list[int]:
        """Rows of each row group."""
        return [self.metadata.row_group(i).num_rows for i in range(self.metadata.num_row_groups)]


def feed(path: File, options: TableOptions) -> Feed:
    """Return the feed of a Parquet file, read by row groups."""
    footer, notes = _footer(path), list[str]()
    names, is_list = _columns.chosen(str(path), footer.schema, options, notes)
    if footer.metadata.num_rows == 0:
        raise EmptyError(f"{path}: has no rows")

    def first_batches() -> Iterator[Any]:
        return (batch for _, batch in _batches(footer, names, 0, FEW_ROWS))

    columns = _columns.describe(str(path), footer.schema, names, is_list, first_batches, options)
    dtype = columns.dtype
    if dtype is None:
        dtype = _float_type(footer.metadata, columns)

    def pieces(start: int) -> Iterator[Piece]:
        return _pieces(footer, columns, start)

    return Feed(
        name=str(path),
        kind="parquet",
        n_columns=columns.n_columns,
        source_dtype=columns.source_dtype,
        pieces=pieces,
        origin=partial(feed, path.absolute(), options),
        n_rows=footer.metadata.num_rows,
        dtype=dtype,
        integers=columns.integers,
        names=columns.names,
        notes=tuple(notes),
        paths=(path,),
        fields=_columns.fields(footer.schema),
        decoded=True,
    )


def _footer(path: File) -> Footer:
    parquet = arrow("parquet")
    with (
        reasons(path, "a Parquet file"),
        arrow_file(path, cache_type="none") as opened,
        parquet.ParquetFile(opened) as file,
    ):
        return Footer(path=path, schema=file.schema_arrow, metadata=file.metadata)


def _pieces(footer: Footer, columns: Columns, start: int) -> Iterator[Piece]:
    """Yield the rows from `start` on; row groups before it are not read."""
    n_rows = max(1, VALUES // columns.n_columns)
    for row, batch in _batches(footer, columns.names, start, n_rows):
        piece = _columns.piece(str(footer.path), batch, columns, row)
        yield later(piece, start - row) if start > row else piece


def _batches(
    footer: Footer, names: Sequence[str], start: int, n_rows: int
) -> Iterator[tuple[int, Any]]:
    """Yield the first row of a batch and a batch of at most `n_rows` rows, from `start` on."""
    parquet, sizes = arrow("parquet"), footer.sizes
    starts = list(accumulate(sizes, initial=0))
    group = max(0, int(np.searchsorted(starts, start, side="right")) - 1)
    row, groups = starts[group], range(group, len(sizes))
    remote = isinstance(footer.path, Url)
    with (
        reasons(footer.path, "a Parquet file"),
        arrow_file(footer.path, cache_type="none") as file,
        parquet.ParquetFile(file, metadata=footer.metadata, pre_buffer=remote) as opened,
    ):
        # Of a URL one group at a time: all bytes that are asked for are read before the first row.
        for some in [[i] for i in groups] if remote else [list(groups)]:
            for batch in opened.iter_batches(n_rows, row_groups=some, columns=list(names)):
                if row + batch.num_rows > start:
                    yield row, batch
                row += batch.num_rows


def _float_type(metadata: "FileMetaData", columns: Columns) -> DType | None:
    """Return the type of the blocks if the statistics tell how large the integers are."""
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
