"""CSV files."""

import csv as csv_text
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast.blocks import _columns
from unsup_fast.blocks._columns import Columns
from unsup_fast.blocks._feed import DataError, Feed, Piece, skip

# A text column of which this share of the first values are numbers was meant as numbers.
MEANT_AS_NUMBERS = 0.5


def feed(path: Path, columns: Sequence[str] | None, exclude: tuple[str, ...]) -> Feed:
    """Return the feed of a CSV file, whose numbers are all float64."""
    pa = _columns.arrow()
    notes: list[str] = []
    header = _header(path)
    names = header or [f"c{j}" for j in range(_fields(path))]
    if header is None:
        notes.append(
            f"The first line is numbers, so the columns are called c0 to c{len(names) - 1}."
        )
    _columns.unique(str(path), names)
    given = None if header else names
    try:
        # Types are guessed from the first block only, so numbers are then asked for as float64:
        # a column that begins with integers may go on with fractions.
        with _reader(path, given, None) as reader:
            first = next(iter(reader), None)
            if first is None or first.num_rows == 0:
                raise DataError(f"{path}: has no rows")
            numeric = [
                field.name
                for field in reader.schema
                if _columns.is_number(pa, field.type) and not pa.types.is_boolean(field.type)
            ]
        chosen = _columns.choose(str(path), names, numeric, [], columns, exclude, notes)
        for name in chosen if columns is not None else [n for n in names if n not in exclude]:
            if name not in numeric:
                text = _text(path, given, name)
                _check_text(path, name, first[name].to_pylist(), text, columns is not None)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: {_parse_error(path, given, error)}") from error
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    float64 = np.dtype(np.float64)
    found = Columns(tuple(chosen), False, len(chosen), "float64", float64, [])

    def pieces(start: int) -> Iterator[Piece]:
        return skip(_pieces(path, given, found), start)

    return Feed(
        name=str(path),
        kind="csv",
        n_columns=found.n_columns,
        source_dtype=found.source_dtype,
        pieces=pieces,
        dtype=float64,
        names=found.names,
        notes=tuple(notes),
        seekable=False,
        path=path,
        decoded=True,
    )


def _reader(path: Path, names: list[str] | None, types: Any, threads: bool = True) -> Any:
    """Open a CSV; `names` are those of the columns if the file has none, `types` those to read."""
    arrow_csv = _columns.arrow("csv")
    return arrow_csv.open_csv(
        path,
        read_options=arrow_csv.ReadOptions(use_threads=threads, column_names=names),
        convert_options=arrow_csv.ConvertOptions(
            include_columns=list(types or ()), column_types=types, strings_can_be_null=True
        ),
    )


def _pieces(path: Path, names: list[str] | None, columns: Columns) -> Iterator[Piece]:
    pa = _columns.arrow()
    row = 0
    try:
        with _reader(path, names, dict.fromkeys(columns.names, pa.float64())) as reader:
            for batch in reader:
                yield _columns.piece(str(path), batch, columns, row)
                row += batch.num_rows
    except pa.ArrowInvalid as error:
        for name in columns.names if "conversion error" in str(error) else ():
            _first_text(path, name, _text(path, names, name))
        raise DataError(f"{path}: {_parse_error(path, names, error)}") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error


def _text(path: Path, names: list[str] | None, name: str) -> Iterator[Any]:
    """Yield the values of a column as they are written."""
    with _reader(path, names, {name: _columns.arrow().string()}) as reader:
        for batch in reader:
            yield from batch.column(0).to_pylist()


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


def _check_text(path: Path, name: str, sample: list[Any], text: Any, wanted: bool) -> None:
    """Raise if a column that reads as text was chosen, or was meant as numbers."""
    values = [str(value) for value in sample if value is not None]
    numbers = sum(map(_parses, values))
    if wanted or (values and numbers >= MEANT_AS_NUMBERS * len(values)):
        _first_text(path, name, text)


def _first_text(path: Path, name: str, values: Iterable[Any]) -> None:
    for row, value in enumerate(values):
        if value is None:
            raise DataError(f"{path}: row {row}, column {name!r} is missing")
        if not _parses(value):
            shown = value if len(value) <= 40 else value[:37] + "..."
            raise DataError(f"{path}: row {row}, column {name!r} is {shown!r}, not a number")


def _parse_error(path: Path, names: list[str] | None, error: Exception) -> str:
    # Only a reader with one thread counts lines.
    try:
        with _reader(path, names, None, threads=False) as reader:
            for _ in reader:
                pass
    except Exception as again:
        error = again
    return " ".join(str(error).removeprefix("CSV parse error: ").split())
