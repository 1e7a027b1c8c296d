"""Arrow's own files: `.arrow` and `.feather`."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import accumulate, islice
from typing import Any

import numpy as np

from unsup_fast._urls import File
from unsup_fast.blocks import _columns
from unsup_fast.blocks._columns import Columns
from unsup_fast.blocks._feed import EmptyError, Feed, Piece, later
from unsup_fast.blocks._options import TableOptions
from unsup_fast.blocks.arrow import arrow, reasons
from unsup_fast.blocks.mapped import arrow_file

MAGIC = b"ARROW1"  # what a file of the file format begins with


def feed(path: File, kind: str, options: TableOptions) -> Feed:
    """Return the feed of an Arrow file, of the file or stream format, read by record batches."""
    notes: list[str] = []
    with reasons(path, "an Arrow file"), _opened(path, None) as file:
        schema = file.schema
    names, is_list = _columns.chosen(str(path), schema, options, notes)
    fields = [schema.get_field_index(name) for name in names]
    sizes = [batch.num_rows for batch in _batches(path, fields[:1], 0)]
    if not sum(sizes):
        raise EmptyError(f"{path}: has no rows")
    columns = _columns.describe(
        str(path), schema, names, is_list, lambda: _batches(path, fields, 0), options
    )

    def pieces(start: int) -> Iterator[Piece]:
        return _pieces(path, columns, fields, sizes, start)

    return Feed(
        name=str(path),
        kind=kind,
        n_columns=columns.n_columns,
        source_dtype=columns.source_dtype,
        pieces=pieces,
        origin=partial(feed, path.absolute(), kind, options),
        n_rows=sum(sizes),
        dtype=columns.dtype,
        integers=columns.integers,
        names=columns.names,
        notes=tuple(notes),
        paths=(path,),
        fields=_columns.fields(schema),
        decoded=True,
    )


def _pieces(
    path: File, columns: Columns, fields: list[int], sizes: list[int], start: int
) -> Iterator[Piece]:
    starts = [0, *accumulate(sizes)]
    first = int(np.searchsorted(starts, start, side="right")) - 1
    for row, batch in zip(starts[first:], _batches(path, fields, first), strict=False):
        piece = _columns.piece(str(path), batch, columns, row)
        yield later(piece, start - row) if start > row else piece


def _batches(path: File, fields: list[int], first: int) -> Iterator[Any]:
    """Yield the batches from number `first` on, with the columns of these indices."""
    with reasons(path, "an Arrow file"), _opened(path, fields) as file:
        if hasattr(file, "get_batch"):
            yield from (file.get_batch(i) for i in range(first, file.num_record_batches))
        else:
            yield from islice(file, first, None)


@contextmanager
def _opened(path: File, fields: list[int] | None) -> Iterator[Any]:
    """Open the file for its columns of these indices, None for all."""
    ipc = arrow("ipc")
    options = ipc.IpcReadOptions(included_fields=fields)
    with arrow_file(path) as mapped:
        of_file_format = mapped.read(len(MAGIC)) == MAGIC
        mapped.seek(0)
        with (ipc.open_file if of_file_format else ipc.open_stream)(
            mapped, options=options
        ) as file:
            yield file
