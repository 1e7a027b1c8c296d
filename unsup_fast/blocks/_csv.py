"""CSV files."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from unsup_fast._text import listed
from unsup_fast._urls import File
from unsup_fast.blocks import _columns, _csv_head
from unsup_fast.blocks._columns import Columns
from unsup_fast.blocks._csv_fields import NULL_VALUES, is_number
from unsup_fast.blocks._csv_head import Head
from unsup_fast.blocks._csv_text import END, END_TEXT, UNREADABLE, Rows, as_utf8, why
from unsup_fast.blocks._feed import DataError, EmptyError, Feed, Field, Piece, skip
from unsup_fast.blocks._names import (
    choose,
    unique,
)
from unsup_fast.blocks._options import TableOptions
from unsup_fast.blocks.arrow import arrow

if TYPE_CHECKING:
    from unsup_fast.blocks.arrow import InvalidRow, RecordBatch

# A text column of which this share of the first values are numbers was meant as numbers.
MEANT_AS_NUMBERS = 0.5
LONGEST_ROW = 1 << 30  # bytes; pyarrow counts those of a block in 32 bits


@dataclass(frozen=True)
class Table:
    """A CSV file that is read in batches of rows."""

    path: File
    head: Head
    blank_lines: list[int] = field(default_factory=list)
    """Not empty if blank lines were skipped."""
    uneven: list[str] = field(default_factory=list)
    """What is wrong with a row that is too short or too long."""

    def sample(self) -> "RecordBatch | None":
        """Return the first rows as a record batch, of the types that they seem to have."""
        sample = as_utf8(self.head.sample)
        size = len(sample)
        block_size = size + 1 if self.head.is_all else size - 1  # not the last row, which is cut
        table = Table(self.path, self.head)  # discards what was noted of a row that is cut
        try:
            with table._reader(BytesIO(sample), None, block_size) as reader:
                return next(iter(reader), None)
        except arrow().ArrowInvalid as error:
            raise table.refused(error) from error

    def batches(self, types: dict[str, Any]) -> Iterator[Any]:
        """Yield record batches of the columns of these names and types.

        Raises
        ------
        DataError
            If the file cannot be read, or rows differ in length.
        pyarrow.ArrowInvalid
            If a value is not of its column's type ("conversion error").
        """
        pa = arrow()
        block_size, done = self.head.block_size, 0
        while True:
            row = 0
            try:
                for batch in self._batches(types, block_size):
                    row += batch.num_rows
                    if row > done:
                        yield batch.slice(max(0, batch.num_rows - (row - done)))
                        done = row
                return
            except pa.ArrowInvalid as error:
                # A row that is longer than a block: read on from there in longer ones.
                if "straddl" not in str(error) or block_size >= LONGEST_ROW:
                    if "conversion error" in str(error):
                        raise
                    raise self.refused(error) from error
                block_size *= 4

    def _batches(self, types: dict[str, Any], block_size: int) -> Iterator[Any]:
        head, pa = self.head, arrow()
        try:
            with (
                closing(Rows(self.path, head.start, len(head.names), head.separator)) as rows,
                self._reader(pa.PythonFile(rows, mode="r"), types, block_size) as reader,
            ):
                ended = False
                for batch in reader:
                    if not batch.num_rows:
                        continue
                    ended = batch.column(0)[-1].as_py() in (END, END_TEXT.decode())
                    yield batch.slice(0, batch.num_rows - 1) if ended else batch
        except UNREADABLE as error:
            raise why(self.path, error) from error
        if not ended:
            raise DataError(f"{self.path}: a quote that opens a value is never closed")
        if rows.blank_lines:
            self.blank_lines.append(self.head.lines)

    def _reader(
        self, file: IO[bytes] | BytesIO, types: dict[str, Any] | None, block_size: int
    ) -> Any:
        arrow_csv = arrow("csv")
        head = self.head
        return arrow_csv.open_csv(
            file,
            read_options=arrow_csv.ReadOptions(
                use_threads=False,  # as fast, and rows are counted for errors
                block_size=block_size,
                column_names=head.names,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=head.separator,
                newlines_in_values=True,
                ignore_empty_lines=len(head.names) > 1,
                invalid_row_handler=self._uneven,
            ),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(types or ()),
                column_types=types,
                null_values=NULL_VALUES,
                strings_can_be_null=True,
                decimal_point=head.decimal,
            ),
        )

    def _uneven(self, row: "InvalidRow") -> str:
        """Skip a line of spaces, and refuse other rows that are too short or too long."""
        if not row.text.strip():
            self.blank_lines.append(row.number)
            return "skip"
        text = row.text if len(row.text) <= 60 else row.text[:57] + "..."
        self.uneven.append(
            f"Row #{row.number + self.head.lines}: Expected {row.expected_columns} columns, got "
            f"{row.actual_columns}: {text}"
        )
        return "error"

    def refused(self, error: Exception) -> DataError:
        """Return pyarrow's error about the text as ours."""
        reason = self.uneven[-1] if self.uneven else str(error).removeprefix("CSV parse error: ")
        return DataError(f"{self.path}: {' '.join(reason.split())}")

    def texts(self, name: str) -> Iterator[Any]:
        """Yield the values of a column as they are written, None where one is missing."""
        for batch in self.batches({name: arrow().string()}):
            yield from batch.column(0).to_pylist()

    def notes(self) -> tuple[str, ...]:
        """Return what the rows read so far tell."""
        return ("Blank lines were skipped; they are not rows.",) if self.blank_lines else ()


def feed(path: File, options: TableOptions) -> Feed:
    """Return the feed of a CSV file, whose numbers are all float64."""
    head = _csv_head.read(path, options)
    names, notes = head.names, list(head.notes)
    unique(str(path), names)
    table = Table(path, head)
    first = table.sample() if head.sample.strip() else None
    if first is None or first.num_rows == 0:
        raise EmptyError(f"{path}: has no rows")
    numeric, empty = _numeric(table, first)
    if left_out := [name for name in empty if name not in options.exclude]:
        options = replace(options, exclude=(*options.exclude, *left_out))
        if options.columns is None:
            notes.append(f"Skipped columns without values: {listed(left_out)}.")
    chosen = choose(str(path), names, numeric, [], options, notes, head.index)
    _check_text(table, first, chosen, {*numeric, *empty}, options)
    float64 = np.dtype(np.float64)
    columns = Columns(
        names=tuple(chosen),
        is_list=False,
        n_columns=len(chosen),
        source_dtype="float64",
        dtype=float64,
        integers=[],
        missing=options.missing,
    )

    def pieces(start: int) -> Iterator[Piece]:
        return skip(_pieces(table, columns), start)

    return Feed(
        name=str(path),
        kind="csv",
        n_columns=columns.n_columns,
        source_dtype=columns.source_dtype,
        pieces=pieces,
        origin=partial(feed, path.absolute(), options),
        dtype=float64,
        names=columns.names,
        notes=tuple(notes),
        later_notes=table.notes,
        seekable=False,
        paths=(path,),
        fields=dict.fromkeys(names, Field(shown="there", kind="there")),
        decoded=True,
    )


def _numeric(table: Table, first: "RecordBatch") -> tuple[list[str], list[str]]:
    """Return the columns that hold numbers, and those that hold nothing in all of the file.

    Types are guessed from the first rows, so numbers are then read as float64: a column that begins
    with integers may continue with fractions.
    """
    pa = arrow()
    kinds = dict(zip(first.schema.names, first.schema.types, strict=True))
    unknown = [name for name, kind in kinds.items() if pa.types.is_null(kind)]
    numbers = _late(table, unknown) if unknown and not table.head.is_all else {}
    numeric = [
        name
        for name, kind in kinds.items()
        if numbers.get(name) or (_columns.is_number(pa, kind) and not pa.types.is_boolean(kind))
    ]
    return numeric, [name for name in unknown if name not in numbers]


def _late(table: Table, names: list[str]) -> dict[str, bool]:
    """Return whether the first values of columns that begin without any are numbers."""
    string = arrow().string()
    numbers: dict[str, bool] = {}
    for batch in table.batches(dict.fromkeys(names, string)):
        for j, name in enumerate(names):
            if name not in numbers and batch.column(j).null_count < batch.num_rows:
                value = batch.column(j).drop_null()[0].as_py()
                numbers[name] = is_number(value, table.head.decimal)
        if len(numbers) == len(names):
            break
    return numbers


def _pieces(table: Table, columns: Columns) -> Iterator[Piece]:
    pa, path = arrow(), table.path
    row = 0
    try:
        for batch in table.batches(dict.fromkeys(columns.names, pa.float64())):
            yield _columns.piece(str(path), batch, columns, row)
            row += batch.num_rows
    except pa.ArrowInvalid as error:
        for name in columns.names:
            _refuse_text(table, name)
        raise table.refused(error) from error


def _check_text(
    table: Table, first: "RecordBatch", chosen: list[str], numeric: set[str], options: TableOptions
) -> None:
    """Raise if a column that reads as text was chosen, or was meant as numbers."""
    names = chosen if options.columns is not None else table.head.names
    for name in names:
        if name in numeric or (options.columns is None and name in options.exclude):
            continue
        values = [str(value) for value in first[name].to_pylist() if value is not None]
        numbers = sum(is_number(value, table.head.decimal) for value in values)
        if options.columns is not None or (values and numbers >= MEANT_AS_NUMBERS * len(values)):
            _refuse_text(table, name)


def _refuse_text(table: Table, name: str) -> None:
    for row, value in enumerate(table.texts(name)):
        if value is not None and not is_number(value, table.head.decimal):
            shown = value if len(value) <= 40 else value[:37] + "..."
            hint = "; are these names (--header)?" if row == 0 and not table.head.lines else ""
            raise DataError(
                f"{table.path}: row {row}, column {name!r} is {shown!r}, not a number{hint}"
            )
