"""Tables in memory and Arrow data sets."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from numbers import Number
from typing import TYPE_CHECKING, Any

from unsup_fast.blocks import _columns
from unsup_fast.blocks._columns import Columns
from unsup_fast.blocks._feed import DataError, Feed, Piece, skip
from unsup_fast.blocks._names import unique
from unsup_fast.blocks._options import TableOptions
from unsup_fast.blocks.arrow import arrow

if TYPE_CHECKING:
    from unsup_fast.blocks.arrow import ArrowTable, Dataset, RecordBatch, Schema

NAME = "X"
VALUES = 1 << 20  # of a batch that is converted at once
FEW_ROWS = 64  # of a batch that is only looked at


def table(data: "ArrowTable", options: TableOptions) -> Feed:
    """Return the feed of a pyarrow Table."""

    def first_batches(names: list[str]) -> Iterator[Any]:
        return iter(data.select(names).to_batches(max_chunksize=FEW_ROWS))

    columns, notes = _columns_of(data.schema, data.num_rows, first_batches, options)
    return replace(_table(Rows(data), columns, 0), notes=notes)


class Rows:
    """Rows of a table, pickled without the others; pyarrow would pickle those of the buffers, too.

    Parameters
    ----------
    table : pyarrow.Table
    """

    def __init__(self, table: "ArrowTable") -> None:
        self.table = table

    def __reduce__(self) -> tuple[Callable[[Any], "Rows"], tuple[Any]]:
        sink = arrow().BufferOutputStream()
        with arrow("ipc").new_stream(sink, self.table.schema) as writer:
            writer.write_table(self.table)
        return _unpickled, (sink.getvalue(),)


def _unpickled(stream: Any) -> Rows:
    with arrow("ipc").open_stream(stream) as reader:
        return Rows(reader.read_all())


def _table(rows: Rows, columns: Columns, first_row: int) -> Feed:
    """Return the feed of these columns; rows of errors are counted from `first_row`."""
    data = rows.table.select(list(columns.names))

    def pieces(start: int) -> Iterator[Piece]:
        batches = data.slice(start).to_batches(max_chunksize=_most(columns))
        return _pieces(batches, columns, first_row + start)

    return _feed(
        columns=columns,
        n_rows=data.num_rows,
        pieces=pieces,
        origin=partial(_table, Rows(data), columns, first_row),
        part=lambda start, stop: _table(
            Rows(data.slice(start, stop - start)), columns, first_row + start
        ),
    )


def frame(data: Any, options: TableOptions) -> Feed:
    """Return the feed of a pandas frame, which is converted a few rows at a time."""
    strange = [name for name in data.columns if not isinstance(name, str)]
    if strange:
        raise DataError(
            f"{NAME}: the column {strange[0]!r} has no text for a name; "
            "pass data.to_numpy(), or name all columns"
        )
    unique(NAME, list(data.columns))
    schema = _schema(data, options)

    def first_batches(names: list[str]) -> Iterator[Any]:
        return _converted(data[names], _fields(schema, names), 0, FEW_ROWS)

    columns, notes = _columns_of(schema, len(data), first_batches, options)
    fields = _fields(schema, columns.names)
    return replace(_frame(data[list(columns.names)], fields, columns, 0), notes=notes)


def _frame(data: Any, schema: "Schema", columns: Columns, first_row: int) -> Feed:
    """Return the feed of a pandas frame of these columns; see `_table`."""

    def pieces(start: int) -> Iterator[Piece]:
        batches = _converted(data, schema, start, _most(columns))
        return _pieces(batches, columns, first_row + start)

    return _feed(
        columns=columns,
        n_rows=len(data),
        pieces=pieces,
        origin=partial(_frame, data, schema, columns, first_row),
        part=lambda start, stop: _frame(data.iloc[start:stop], schema, columns, first_row + start),
    )


def _fields(schema: "Schema", names: Sequence[str]) -> "Schema":
    return arrow().schema([schema.field(name) for name in names])


def _converted(data: Any, schema: "Schema", start: int, most: int) -> Iterator["RecordBatch"]:
    """Yield the rows of a pandas frame from `start` on, at most so many at a time."""
    pa = arrow()
    for row in range(start, len(data), most):
        few = data.iloc[row : row + most]
        yield pa.RecordBatch.from_pandas(few, schema=schema, preserve_index=False)


def _schema(data: Any, options: TableOptions) -> "Schema":
    """Return the Arrow schema of a pandas frame; columns of other objects than numbers are null.

    Raises
    ------
    DataError
        If Arrow has no type for a column that is used, or holds numbers.
    """
    pa = arrow()
    refused = (pa.ArrowException, TypeError, ValueError, OverflowError)
    try:
        return pa.Schema.from_pandas(data, preserve_index=False)
    except refused:
        pass
    fields = []
    for name in data.columns:
        try:
            fields.append(pa.Schema.from_pandas(data[[name]], preserve_index=False).field(0))
        except refused as error:
            if name in options.columns if options.columns is not None else _has_numbers(data[name]):
                reason = " ".join(str(error).split())
                raise DataError(
                    f"{NAME}: column {name!r} of type {data[name].dtype} cannot be read "
                    f"({reason}); convert it, or choose other columns"
                ) from error
            fields.append(pa.field(name, pa.null()))
    return pa.schema(fields)


def _has_numbers(column: Any) -> bool:
    """Return whether a pandas column is of numbers, or of objects some of which are."""
    return column.dtype != object or any(isinstance(value, Number) for value in column)


def dataset(data: "Dataset", options: TableOptions) -> Feed:
    """Return the feed of a pyarrow Dataset."""

    def batches(names: list[str], most: int) -> Iterator[Any]:
        # As little read ahead as the scanner allows: it would fill memory with batches.
        record_batches = data.to_batches(
            columns=names, batch_size=most, batch_readahead=1, fragment_readahead=1
        )
        return iter(record_batches)

    n_rows = data.count_rows()
    columns, notes = _columns_of(
        data.schema, n_rows, lambda names: batches(names, FEW_ROWS), options
    )

    def pieces(start: int) -> Iterator[Piece]:
        read = batches(list(columns.names), _most(columns))
        return skip(_pieces(read, columns, 0), start)

    feed = _feed(
        columns=columns, n_rows=n_rows, pieces=pieces, origin=partial(dataset, data, options)
    )
    return replace(feed, notes=notes, decoded=True, seekable=False)


def imported(data: Any) -> "ArrowTable":
    """Return the table of a frame that speaks Arrow: by `__arrow_c_stream__`, or `to_arrow`."""
    pa = arrow()
    try:
        arrow_table = pa.table(data) if hasattr(data, "__arrow_c_stream__") else data.to_arrow()
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise TypeError(
            f"data of type {type(data).__name__} is no table ({' '.join(str(error).split())}); "
            "pass a table, a frame or an array"
        ) from error
    if not isinstance(arrow_table, pa.Table):
        raise TypeError(f"{type(data).__name__}.to_arrow() returned no table; pass a frame")
    return arrow_table


def _columns_of(
    schema: "Schema",
    n_rows: int,
    first_batches: Callable[[list[str]], Iterator["RecordBatch"]],
    options: TableOptions,
) -> tuple[Columns, tuple[str, ...]]:
    """Return the columns that are used, and what is done to the data in sentences for the user.

    ``first_batches(names)`` yields those columns in batches that are only looked at.
    """
    notes: list[str] = []
    names, is_list = _columns.chosen(NAME, schema, options, notes)
    if n_rows == 0:
        raise DataError(f"{NAME}: has no rows")
    columns = _columns.describe(NAME, schema, names, is_list, lambda: first_batches(names), options)
    return columns, tuple(notes)


def _most(columns: Columns) -> int:
    """Return the most rows of a batch that is converted at once."""
    return max(1, VALUES // columns.n_columns)


def _pieces(batches: Iterable["RecordBatch"], columns: Columns, row: int) -> Iterator[Piece]:
    """Yield batches, of which the first begins with this row of the table."""
    for batch in batches:
        yield _columns.piece(NAME, batch, columns, row)
        row += batch.num_rows


def _feed(
    *,
    columns: Columns,
    n_rows: int,
    pieces: Callable[[int], Iterator[Piece]],
    origin: Callable[[], Feed],
    part: Callable[[int, int], Feed] | None = None,
) -> Feed:
    return Feed(
        name=NAME,
        kind="table",
        n_columns=columns.n_columns,
        source_dtype=columns.source_dtype,
        pieces=pieces,
        origin=origin,
        part=part,
        n_rows=n_rows,
        dtype=columns.dtype,
        integers=columns.integers,
        names=columns.names,
    )
