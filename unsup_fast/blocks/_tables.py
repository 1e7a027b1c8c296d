"""Tables in memory and Arrow data sets."""

from collections.abc import Callable, Iterator
from numbers import Number
from typing import TYPE_CHECKING, Any

from unsup_fast.blocks import _columns
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

    def batches(names: list[str], start: int, most: int) -> Iterator[Any]:
        chosen = data.select(names).slice(start)
        return iter(chosen.to_batches(max_chunksize=most))

    return _feed(data.schema, data.num_rows, batches, options)


def frame(data: Any, options: TableOptions) -> Feed:
    """Return the feed of a pandas frame, which is converted a few rows at a time."""
    pa = arrow()
    strange = [name for name in data.columns if not isinstance(name, str)]
    if strange:
        raise DataError(
            f"{NAME}: the column {strange[0]!r} has no text for a name; "
            "pass data.to_numpy(), or name all columns"
        )
    unique(NAME, list(data.columns))
    schema = _schema(data, options)

    def batches(names: list[str], start: int, most: int) -> Iterator[Any]:
        fields = pa.schema([schema.field(name) for name in names])
        for row in range(start, len(data), most):
            part = data[names].iloc[row : row + most]
            yield pa.RecordBatch.from_pandas(part, schema=fields, preserve_index=False)

    return _feed(schema, len(data), batches, options)


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

    def batches(names: list[str], start: int, most: int) -> Iterator[Any]:
        # As little read ahead as the scanner allows: it would fill memory with batches.
        record_batches = data.to_batches(
            columns=names, batch_size=most, batch_readahead=1, fragment_readahead=1
        )
        return iter(record_batches)

    return _feed(data.schema, data.count_rows(), batches, options, seekable=False)


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


def _feed(
    schema: "Schema",
    n_rows: int,
    batches: Callable[[list[str], int, int], Iterator["RecordBatch"]],
    options: TableOptions,
    seekable: bool = True,
) -> Feed:
    """Return the feed of record batches.

    ``batches(names, start, most)`` yields those columns in batches of at most that many rows, from
    row `start` on, or from the first row if `seekable` is false.
    """
    notes: list[str] = []
    names, is_list = _columns.chosen(NAME, schema, options, notes)
    if n_rows == 0:
        raise DataError(f"{NAME}: has no rows")
    columns = _columns.describe(
        NAME, schema, names, is_list, lambda: batches(names, 0, FEW_ROWS), options
    )
    most = max(1, VALUES // columns.n_columns)

    def pieces(start: int) -> Iterator[Piece]:
        row = start if seekable else 0
        read = _numbered(batches(names, row, most), row)
        converted = (_columns.piece(NAME, batch, columns, row) for batch, row in read)
        return converted if seekable else skip(converted, start)

    return Feed(
        name=NAME,
        kind="table",
        n_columns=columns.n_columns,
        source_dtype=columns.source_dtype,
        pieces=pieces,
        n_rows=n_rows,
        dtype=columns.dtype,
        integers=columns.integers,
        names=columns.names,
        notes=tuple(notes),
        decoded=not seekable,
        seekable=seekable,
    )


def _numbered(batches: Iterator[Any], row: int) -> Iterator[tuple[Any, int]]:
    for batch in batches:
        yield batch, row
        row += batch.num_rows
