"""Which columns of a table are used, and Arrow's columns as a matrix."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast import _extras
from unsup_fast.blocks._feed import TILE, DataError, DType, Piece, copy, matrix, number_type

Array = npt.NDArray[Any]


@dataclass(frozen=True)
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


def arrow(part: str | None = None) -> ModuleType:
    """Return pyarrow or a part of it, or raise ImportError with the command that installs it."""
    module = "pyarrow" if part is None else f"pyarrow.{part}"
    return _extras.require(module, "data", "reading tables")


def chosen(
    source: str,
    schema: Any,
    columns: Sequence[str] | None,
    exclude: tuple[str, ...],
    notes: list[str],
) -> tuple[list[str], bool]:
    """Return the names of the columns that are used, and whether it is one list column."""
    pa = arrow()
    unique(source, schema.names)
    numeric = [field.name for field in schema if is_number(pa, field.type)]
    lists = [field.name for field in schema if is_list(pa, field.type)]
    names = choose(source, schema.names, numeric, lists, columns, exclude, notes)
    for name in names:
        if name not in numeric and name not in lists:
            kind = schema.field(name).type
            raise DataError(f"{source}: column {name!r} holds {kind}, not numbers")
    return names, names[0] in lists


def describe(source: str, schema: Any, names: list[str], is_list: bool, first: Any) -> Columns:
    """Return what is known of the chosen columns.

    Parameters
    ----------
    source : str
        What errors call the table.
    schema : pyarrow.Schema
    names : list of str
    is_list : bool
    first : pyarrow.RecordBatch or None
        With a row at least; only looked at for the length of lists.
    """
    kinds = [schema.field(name).type for name in names]
    if not is_list:
        found = [_numpy_type(kind) for kind in kinds]
        dtype, integers = _float_for(source, found)
        listed_types = " and ".join(dict.fromkeys(map(str, found)))
        return Columns(tuple(names), False, len(names), listed_types, dtype, integers)
    value = _numpy_type(kinds[0].value_type)
    width = getattr(kinds[0], "list_size", 0)
    if width <= 0:
        value_of = first.column(first.schema.get_field_index(names[0]))[0].as_py()
        width = len(value_of) if value_of is not None else 1
    if width == 0:
        raise DataError(f"{source}: column {names[0]!r} has empty lists")
    dtype, integers = _float_for(source, [value])
    return Columns(tuple(names), True, width, str(value), dtype, None if integers else [])


def _numpy_type(kind: Any) -> DType:
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


def piece(source: str, batch: Any, columns: Columns, row: int) -> Piece:
    """Return the rows of a record batch, of which the first is `row` of the table.

    Raises
    ------
    DataError
        If a value is missing, or lists differ in length.
    """
    parts = [batch.column(batch.schema.get_field_index(name)) for name in columns.names]
    for name, part in zip(columns.names, parts, strict=True):
        if part.null_count:
            missing = int(np.argmax(part.is_null().to_numpy(zero_copy_only=False)))
            raise DataError(f"{source}: row {row + missing}, column {name!r} is missing")
    if columns.is_list:
        return matrix(_unlisted(source, parts[0], columns, row))
    values = [_values(part) for part in parts]  # D times [M]
    tile = max(1, TILE // len(values))
    halves = all(column.dtype == np.float16 for column in values)

    def fill(start: int, stop: int, out: Array) -> None:
        for low in range(start, stop, tile):
            high = min(low + tile, stop)
            rows = out[low - start : high - start]  # [tile, D]
            beside = np.empty(rows.shape, np.float16) if halves else rows
            for j, column in enumerate(values):
                beside[:, j] = column[low:high]
            if halves:
                copy(beside, rows)

    return Piece(batch.num_rows, fill)


def _unlisted(source: str, lists: Any, columns: Columns, row: int) -> Array:
    """Return the values of lists, which must all have one length, as [M, D]."""
    name, width = columns.names[0], columns.n_columns
    lengths = arrow("compute").list_value_length(lists).to_numpy(zero_copy_only=False)
    uneven = lengths != width
    if uneven.any():
        at = int(uneven.argmax())
        raise DataError(
            f"{source}: row {row + at}, column {name!r} has {lengths[at]} values, "
            f"row 0 has {width}; all must have as many"
        )
    values = lists.flatten()
    if values.null_count:
        missing = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
        at, position = divmod(missing, width)
        raise DataError(f"{source}: row {row + at}, column {name!r} lacks value number {position}")
    return _values(values).reshape(-1, width)


def _values(numbers: Any) -> Array:
    pa = arrow()
    if pa.types.is_decimal(numbers.type):
        numbers = numbers.cast(pa.float64())
    values: Array = numbers.to_numpy(zero_copy_only=False)
    return values


def choose(
    source: str,
    names: list[str],
    numeric: list[str],
    lists: list[str],
    columns: Sequence[str] | None,
    exclude: tuple[str, ...],
    notes: list[str],
) -> list[str]:
    """Decide which columns are used, and note which are not."""
    if columns is not None:
        if not len(columns):
            raise DataError(
                f"{source}: columns is empty; name one of {listed(names)}, or pass None"
            )
        for name in columns:
            if name not in names:
                raise DataError(f"{source}: has no column {name!r}; it has {listed(names)}")
        unique(source, columns)
        if len(columns) > 1 and any(name in lists for name in columns):
            raise DataError(f"{source}: a list column cannot be used beside others; choose only it")
        return list(columns)
    numbers = [name for name in numeric if name not in exclude]
    vectors = [name for name in lists if name not in exclude]
    if vectors and len(numbers) + len(vectors) > 1:
        raise DataError(
            f"{source}: has list columns ({listed(vectors)}) and others that hold numbers "
            f"({listed(numbers) if numbers else 'none'}); choose with --columns"
        )
    chosen = vectors or numbers
    if not chosen:
        separated = len(names) == 1 and any(mark in names[0] for mark in ";\t")
        hint = "; is the separator a comma?" if separated else ""
        raise DataError(f"{source}: has no column of numbers, only {listed(names)}{hint}")
    skipped = [name for name in names if name not in chosen and name not in exclude]
    if skipped:
        notes.append(f"Skipped columns that are not numbers: {listed(skipped)}.")
    return chosen


def unique(source: str, names: Sequence[str]) -> None:
    """Raise if two columns have one name."""
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"{source}: {count} columns are called {name!r}; names must differ")


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names in one line, the first few of many."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def is_number(pa: Any, kind: Any) -> bool:
    """Whether an Arrow type can be converted to floats."""
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def is_list(pa: Any, kind: Any) -> bool:
    """Whether an Arrow type is a list of numbers."""
    types = pa.types
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and is_number(pa, kind.value_type))


@contextmanager
def reasons(path: Path, kind: str) -> Iterator[None]:
    """Turn pyarrow's errors about a file that should be of some kind into ours."""
    pa = arrow()
    try:
        yield
    except pa.ArrowException as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is not {kind}, or is truncated ({reason})") from error
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except OSError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is damaged or truncated ({reason})") from error
