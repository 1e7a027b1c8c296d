"""Which columns of a table are used, and Arrow's columns as a matrix."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.blocks._feed import (
    MISSING_HINT,
    TILE,
    DataError,
    DType,
    Field,
    Piece,
    copy,
    matrix,
    number_type,
)
from unsup_fast.blocks._names import choose, pandas_index, unique
from unsup_fast.blocks._options import TableOptions
from unsup_fast.blocks.arrow import arrow

if TYPE_CHECKING:
    from unsup_fast.blocks.arrow import ArrowArray, DataType, RecordBatch, Schema

WIDE = 256  # columns from which a batch is converted as a whole


@dataclass(frozen=True, kw_only=True)
class Columns:
    """The columns that become the matrix."""

    names: tuple[str, ...]
    is_list: bool
    """Whether it is one column, whose lists are the rows."""
    n_columns: int
    source_dtype: str
    dtype: DType | None
    integers: list[int] | None
    """Columns of the matrix that hold wide integers; None if all do."""
    missing: bool
    """Whether missing values become NaN; otherwise they are an error."""


def chosen(
    source: str, schema: "Schema", options: TableOptions, notes: list[str]
) -> tuple[list[str], bool]:
    """Return the names of the columns that are used, and whether it is one list column."""
    pa = arrow()
    unique(source, schema.names)
    numeric = [field.name for field in schema if is_number(pa, field.type)]
    lists = [field.name for field in schema if is_list(pa, field.type)]
    index = pandas_index(schema)
    names = choose(source, schema.names, numeric, lists, options, notes, index)
    usable = {*numeric, *lists}
    for name in names:
        if name not in usable:
            kind = schema.field(name).type
            raise DataError(f"{source}: column {name!r} holds {kind}, not numbers")
    return names, names[0] in lists


def describe(
    source: str,
    schema: "Schema",
    names: list[str],
    is_list: bool,
    batches: Callable[[], Iterable[Any]],
    options: TableOptions,
) -> Columns:
    """Return what is known of the chosen columns.

    Parameters
    ----------
    source : str
        What errors call the table.
    schema : pyarrow.Schema
    names : list of str
    is_list : bool
    batches : callable
        Returns record batches with these columns; only looked at for the length of lists.
    options : TableOptions
    """
    kinds = [schema.field(name).type for name in names]
    if not is_list:
        dtypes = [_numpy_type(kind) for kind in kinds]
        dtype, integers = _float_for(source, dtypes)
        listed_types = " and ".join(dict.fromkeys(map(str, dtypes)))
        return Columns(
            names=tuple(names),
            is_list=False,
            n_columns=len(names),
            source_dtype=listed_types,
            dtype=dtype,
            integers=integers,
            missing=options.missing,
        )
    value = _numpy_type(kinds[0].value_type)
    width = getattr(kinds[0], "list_size", 0)
    if width <= 0:
        width = _first_length(batches(), names[0])
    if width == 0:
        raise DataError(f"{source}: column {names[0]!r} has empty lists")
    dtype, integers = _float_for(source, [value])
    return Columns(
        names=tuple(names),
        is_list=True,
        n_columns=width,
        source_dtype=str(value),
        dtype=dtype,
        integers=None if integers else [],
        missing=options.missing,
    )


def _first_length(batches: Iterable[Any], name: str) -> int:
    """Return the length of the first list of a column, 1 if all are missing."""
    for batch in batches:
        lists = batch.column(batch.schema.get_field_index(name)).drop_null()
        if len(lists):
            return len(lists[0])
    return 1


def _numpy_type(kind: "DataType") -> DType:
    if arrow().types.is_decimal(kind):
        return np.dtype(np.float64)
    dtype: DType = np.dtype(kind.to_pandas_dtype())
    return dtype


def _float_for(source: str, kinds: list[DType]) -> tuple[DType | None, list[int]]:
    """Return the type of a matrix of such columns, and which of them decide it if it is None."""
    types = [number_type(kind, source) for kind in kinds]
    wide = [j for j, dtype in enumerate(types) if dtype is None]
    # `in` would take None for float64, as NumPy does.
    if any(dtype is not None and dtype == np.float64 for dtype in types):
        return np.dtype(np.float64), []
    return (None if wide else np.dtype(np.float32)), wide


def piece(source: str, batch: "RecordBatch", columns: Columns, row: int) -> Piece:
    """Return the rows of a record batch, of which the first is `row` of the table.

    Raises
    ------
    DataError
        If a value is missing and may not be, or lists differ in length.
    """
    parts = [batch.column(batch.schema.get_field_index(name)) for name in columns.names]
    if not columns.missing:
        for name, part in zip(columns.names, parts, strict=True):
            if part.null_count:
                at = row + first_null(part)
                raise DataError(f"{source}: row {at}, column {name!r} is missing; {MISSING_HINT}")
    if columns.is_list:
        return matrix(_unlisted(source, parts[0], columns, row))
    if len(parts) >= WIDE and (rows := _wide(batch, columns)) is not None:
        return matrix(rows)
    values = [_values(part) for part in parts]  # D times [M]
    tile = max(1, TILE // len(values))
    halves = all(column.dtype == np.float16 for column in values)

    def fill(start: int, stop: int, out: Array) -> None:
        for low in range(start, stop, tile):
            high = min(low + tile, stop)
            rows = out[low - start : high - start]  # [tile, D]
            target = np.empty(rows.shape, np.float16) if halves else rows
            for j, column in enumerate(values):
                target[:, j] = column[low:high]
            if halves:
                copy(target, rows)

    return Piece(batch.num_rows, fill)


def _wide(batch: "RecordBatch", columns: Columns) -> Array | None:
    """Return a batch of very many columns of one floating type as a matrix, None of others.

    One call for all columns: a NumPy array of each would cost more than reading the values.
    """
    pa = arrow()
    kinds = set(batch.schema.types)
    same = len(kinds) == 1 and kinds <= {pa.float32(), pa.float64()}
    if not same or tuple(batch.schema.names) != columns.names or not hasattr(batch, "to_tensor"):
        return None
    rows: Array = batch.to_tensor(null_to_nan=True, row_major=True).to_numpy()
    return rows


def first_null(column: "ArrowArray") -> int:
    """Return the position of the first missing value of an Arrow array."""
    return int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))


def _unlisted(source: str, lists: "ArrowArray", columns: Columns, row: int) -> Array:
    """Return the values of lists, which must all have one length, as [M, D]."""
    name, width = columns.names[0], columns.n_columns
    present = lists.is_valid().to_numpy(zero_copy_only=False)
    lengths = arrow("compute").list_value_length(lists).fill_null(width).to_numpy()
    uneven = lengths != width
    if uneven.any():
        at = int(uneven.argmax())
        raise DataError(
            f"{source}: row {row + at}, column {name!r} has {lengths[at]} values, "
            f"row 0 has {width}; all must have as many"
        )
    values = lists.flatten()
    if values.null_count and not columns.missing:
        at, position = divmod(first_null(values), width)
        raise DataError(
            f"{source}: row {row + at}, column {name!r} lacks value number {position}; "
            f"{MISSING_HINT}"
        )
    rows = _values(values).reshape(-1, width)
    if present.all():
        return rows
    out = np.full((len(lists), width), np.nan, np.result_type(rows.dtype, np.float32))
    out[present] = rows
    return out


def _values(numbers: "ArrowArray") -> Array:
    """Return an Arrow array as an array, with NaN where a value is missing."""
    pa = arrow()
    if pa.types.is_decimal(numbers.type):
        numbers = numbers.cast(pa.float64())
    if pa.types.is_boolean(numbers.type) and numbers.null_count:
        numbers = numbers.cast(pa.int8())
    values: Array = numbers.to_numpy(zero_copy_only=False)
    return values


def fields(schema: "Schema") -> dict[str, Field]:
    """Return the columns of a table in a file."""
    pa = arrow()
    kinds = {}
    for field in schema:
        kind = "number" if is_number(pa, field.type) else str(field.type)
        kinds[field.name] = Field(
            shown=str(field.type), kind="list" if is_list(pa, field.type) else kind
        )
    return kinds


def is_number(pa: ModuleType, kind: "DataType") -> bool:
    """Return whether an Arrow type can be converted to floats."""
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def is_list(pa: ModuleType, kind: "DataType") -> bool:
    """Return whether an Arrow type is a list of numbers."""
    types = pa.types
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and is_number(pa, kind.value_type))
