"""Columns of CSV and Parquet files as a matrix, read with pyarrow."""

import csv as csv_text
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast import _extras
from unsup_fast.blocks import EXACT_IN_FLOAT32, Array, DataError

# A text column of which this share of the first values are numbers was meant as numbers.
MEANT_AS_NUMBERS = 0.5


def csv(
    path: Path, columns: Sequence[str] | None, exclude: tuple[str, ...], notes: list[str]
) -> tuple[Array, tuple[str, ...]]:
    """Read the chosen columns of a CSV file as float64 [N, D], and return their names."""
    pa, arrow_csv = _arrow("csv")
    names = _header(path)
    read_options = {}
    if names is None:
        names = [f"c{j}" for j in range(_fields(path))]
        read_options = {"column_names": names}
        notes.append(
            f"The first line is numbers, so the columns are called c0 to c{len(names) - 1}."
        )
    _unique(path, names)

    def read(types: dict[str, Any], threads: bool = True) -> Any:
        return arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(use_threads=threads, **read_options),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(types), column_types=types, strings_can_be_null=True
            ),
        )

    chosen: list[str] = []

    def text(name: str) -> Iterable[Any]:
        values: list[Any] = read({name: pa.string()})[name].to_pylist()
        return values

    try:
        # Types are guessed from the first block only, so numbers are then asked for as float64:
        # a column that begins with integers may go on with fractions.
        reader = arrow_csv.open_csv(path, read_options=arrow_csv.ReadOptions(**read_options))
        first = next(iter(reader), None)
        if first is None or first.num_rows == 0:
            raise DataError(f"{path}: has no rows")
        boolean = pa.types.is_boolean
        numeric = [f.name for f in reader.schema if _is_number(pa, f.type) and not boolean(f.type)]
        chosen = _choose(path, list(names), numeric, [], columns, exclude, notes)
        for name in chosen if columns is not None else [n for n in names if n not in exclude]:
            if name not in numeric:
                _check_text(path, name, first[name].to_pylist(), text, columns is not None)
        table = read({name: pa.float64() for name in chosen})
    except pa.ArrowInvalid as error:
        for name in chosen if "conversion error" in str(error) else ():
            _first_text(path, name, text(name))
        raise DataError(f"{path}: {_parse_error(read, names, error)}") from error
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    return _stack(path, pa, table, chosen), tuple(chosen)


def parquet(
    path: Path, columns: Sequence[str] | None, exclude: tuple[str, ...], notes: list[str]
) -> tuple[Array, tuple[str, ...]]:
    """Read the chosen columns of a Parquet file, or the values of its list column, as [N, D]."""
    pa, arrow_parquet = _arrow("parquet")
    try:
        with arrow_parquet.ParquetFile(path, memory_map=True) as file:
            schema = file.schema_arrow
            _unique(path, schema.names)
            numeric = [f.name for f in schema if _is_number(pa, f.type)]
            lists = [f.name for f in schema if _is_list(pa, f.type)]
            chosen = _choose(path, schema.names, numeric, lists, columns, exclude, notes)
            for name in chosen:
                if name not in numeric and name not in lists:
                    kind = schema.field(name).type
                    raise DataError(f"{path}: column {name!r} holds {kind}, not numbers")
            table = file.read(columns=chosen)
    except pa.ArrowException as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is not a Parquet file, or is truncated ({reason})") from error
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except OSError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: is damaged or truncated ({reason})") from error
    if table.num_rows == 0:
        raise DataError(f"{path}: has no rows")
    if chosen[0] in lists:
        return _unlist(path, pa, table, chosen[0]), tuple(chosen)
    return _stack(path, pa, table, chosen), tuple(chosen)


def _arrow(part: str) -> tuple[Any, Any]:
    purpose = "reading CSV and Parquet files"
    pa = _extras.require("pyarrow", "data", purpose)
    return pa, _extras.require(f"pyarrow.{part}", "data", purpose)


def _header(path: Path) -> list[str] | None:
    """Return the names in a CSV's first line, or None if that line is numbers already."""
    line = _first_line(path)
    return None if all(map(_parses, line)) else line


def _fields(path: Path) -> int:
    return len(_first_line(path))


def _first_line(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = next(csv_text.reader(file), None)
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except (UnicodeDecodeError, csv_text.Error) as error:
        raise DataError(f"{path}: is not UTF-8 text with comma-separated values") from error
    if not line:
        raise DataError(f"{path}: is empty")
    return line


def _parses(text: str | None) -> bool:
    try:
        float(text or "")
    except ValueError:
        return False
    return True


def _unique(path: Path, names: Sequence[str]) -> None:
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"{path}: {count} columns are called {name!r}; names must differ")


def _choose(
    path: Path,
    names: list[str],
    numeric: list[str],
    lists: list[str],
    columns: Sequence[str] | None,
    exclude: tuple[str, ...],
    notes: list[str],
) -> list[str]:
    """Decide which columns are used, and note which are not."""
    if columns is not None:
        for name in columns:
            if name not in names:
                raise DataError(f"{path}: has no column {name!r}; it has {_listed(names)}")
        _unique(path, columns)
        if len(columns) > 1 and any(name in lists for name in columns):
            raise DataError(f"{path}: a list column cannot be used beside others; choose only it")
        return list(columns)
    numbers = [name for name in numeric if name not in exclude]
    vectors = [name for name in lists if name not in exclude]
    if vectors and len(numbers) + len(vectors) > 1:
        raise DataError(
            f"{path}: has list columns ({_listed(vectors)}) and others that hold numbers "
            f"({_listed(numbers) if numbers else 'none'}); choose with --columns"
        )
    chosen = vectors or numbers
    if not chosen:
        separated = len(names) == 1 and any(mark in names[0] for mark in ";\t")
        hint = "; is the separator a comma?" if separated else ""
        raise DataError(f"{path}: has no column of numbers, only {_listed(names)}{hint}")
    skipped = [name for name in names if name not in chosen and name not in exclude]
    if skipped:
        notes.append(f"Skipped columns that are not numbers: {_listed(skipped)}.")
    return chosen


def _listed(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _is_number(pa: Any, kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind)
        or types.is_floating(kind)
        or types.is_boolean(kind)
        or types.is_decimal(kind)
    )


def _is_list(pa: Any, kind: Any) -> bool:
    types = pa.types
    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and _is_number(pa, kind.value_type))


def _check_text(path: Path, name: str, sample: list[Any], text: Any, wanted: bool) -> None:
    """Raise if a column that reads as text was chosen, or was meant as numbers."""
    values = [str(value) for value in sample if value is not None]
    numbers = sum(map(_parses, values))
    if wanted or (values and numbers >= MEANT_AS_NUMBERS * len(values)):
        _first_text(path, name, text(name))


def _first_text(path: Path, name: str, values: Iterable[Any]) -> None:
    for row, value in enumerate(values):
        if value is None:
            raise DataError(f"{path}: row {row}, column {name!r} is missing")
        if not _parses(value):
            shown = value if len(value) <= 40 else value[:37] + "..."
            raise DataError(f"{path}: row {row}, column {name!r} is {shown!r}, not a number")


def _parse_error(read: Any, names: Sequence[str], error: Exception) -> str:
    # Only a reader with one thread counts lines.
    try:
        read({}, threads=False)
    except Exception as again:
        error = again
    return " ".join(str(error).removeprefix("CSV parse error: ").split())


def _stack(path: Path, pa: Any, table: Any, names: Sequence[str]) -> Array:
    """Copy numeric columns side by side into one matrix [N, D]."""
    for name in names:
        _no_missing(path, name, table[name])
    dtype = np.result_type(np.float32, *(_float_type(pa, table[name]) for name in names))
    array = np.empty((table.num_rows, len(names)), dtype)
    for j, name in enumerate(names):
        column, start = table[name], 0
        if pa.types.is_decimal(column.type):
            column = column.cast(pa.float64())
        for chunk in column.chunks:
            array[start : start + len(chunk), j] = chunk.to_numpy(zero_copy_only=False)
            start += len(chunk)
    return array


def _float_type(pa: Any, column: Any) -> type[np.floating[Any]]:
    kind = column.type
    if pa.types.is_float64(kind) or pa.types.is_decimal(kind):
        return np.float64
    if pa.types.is_integer(kind) and kind.bit_width > 16:
        import pyarrow.compute as compute

        ends = compute.min_max(column).as_py()
        if ends["max"] > EXACT_IN_FLOAT32 or ends["min"] < -EXACT_IN_FLOAT32:
            return np.float64
    return np.float32


def _no_missing(path: Path, name: str, column: Any) -> None:
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise DataError(f"{path}: row {row}, column {name!r} is missing")


def _unlist(path: Path, pa: Any, table: Any, name: str) -> Array:
    """Return the values of a list column whose lists all have one length, as [N, D]."""
    import pyarrow.compute as compute

    column = table[name]
    _no_missing(path, name, column)
    lengths = compute.list_value_length(column).to_numpy()
    uneven = lengths != lengths[0]
    if uneven.any():
        row = int(uneven.argmax())
        raise DataError(
            f"{path}: row {row}, column {name!r} has {lengths[row]} values, "
            f"row 0 has {lengths[0]}; all must have as many"
        )
    parts, start = [], 0
    for chunk in column.chunks:
        values = chunk.flatten()
        if values.null_count:
            at = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
            row, position = divmod(at, int(lengths[0]))
            raise DataError(
                f"{path}: row {start + row}, column {name!r} lacks value number {position}"
            )
        if pa.types.is_decimal(values.type):
            values = values.cast(pa.float64())
        parts.append(values.to_numpy(zero_copy_only=False).reshape(-1, int(lengths[0])))
        start += len(chunk)
    return np.concatenate(parts)
