"""The separator, the names and the first row of a CSV file, from its first lines."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from unsup_fast._urls import File
from unsup_fast.blocks import _csv_header, _csv_text
from unsup_fast.blocks._csv_fields import Kind, Record, is_number, kind_of, records, unquoted
from unsup_fast.blocks._feed import DataError
from unsup_fast.blocks._names import UNNAMED_INDEX
from unsup_fast.blocks._options import TableOptions

SAMPLE = 1 << 20  # bytes that are looked at first; twice as many until they hold a few rows
LARGEST_SAMPLE = 1 << 30
ROWS, FIELDS = 100, 1 << 18  # that decide whether the first line holds names
SNIFFED_ROWS, SNIFFED_FIELDS = 20, 1 << 14  # that decide what separates values
LEAST = 3  # rows that decide in any case
ROWS_OF_BLOCK = 256  # at least, so that tables of very many columns are read in few blocks
SMALLEST_BLOCK, LARGEST_BLOCK = 1 << 20, 1 << 28  # bytes

SEPARATORS = ",;\t|"
UTF8_MARK = "\xef\xbb\xbf"  # its bytes, one character each
GZIP = b"\x1f\x8b"
UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
BLANK = re.compile(r"(?:[ \t]*(?:\r\n|\r|\n))+")
DECLARED = re.compile(r"sep=(.)[ \t]*(?:\r\n|\r|\n)")  # as Excel writes
COMMENTS = re.compile(r"(?:#[^\r\n]*(?:\r\n|\r|\n))+")


@dataclass(frozen=True, kw_only=True)
class Head:
    """What is known of a CSV file before its rows are read."""

    names: list[str]
    start: int
    """Position of the first row in the unpacked file."""
    separator: str
    decimal: str
    sample: bytes
    """The first rows."""
    is_all: bool
    """Whether these are all rows; otherwise the last may be cut."""
    block_size: int
    """Bytes to read at once."""
    index: list[str]
    """Name of the column that is the index of a pandas frame, if one is."""
    lines: int
    """Lines of names: 1 or 0."""
    notes: tuple[str, ...]


def read(path: File, options: TableOptions) -> Head:
    """Read the first lines of a CSV file.

    Raises
    ------
    DataError
        If it cannot be read, is empty, or is no text.
    """
    size = SAMPLE
    while True:
        data, is_all = _first_bytes(path, size)
        head = _head(path, data, is_all, options)
        if head is not None:
            return head
        size *= 2


def _first_bytes(path: File, size: int) -> tuple[bytes, bool]:
    try:
        with _csv_text.opened(path) as file:
            data = file.read(size)
            is_all = len(data) < size
    except _csv_text.UNREADABLE as error:
        raise _csv_text.why(path, error) from error
    if not data.removeprefix(UTF8_MARK.encode("latin-1")).strip():
        raise DataError(f"{path}: is empty")
    if data.startswith(GZIP):
        raise DataError(f"{path}: is packed by gzip; name it .csv.gz or .tsv.gz")
    if data.startswith(UTF16_MARKS) or b"\0" in data:
        raise DataError(f"{path}: is not UTF-8 text (UTF-16, perhaps); save it as UTF-8")
    return data, is_all


def _head(path: File, data: bytes, is_all: bool, options: TableOptions) -> Head | None:
    """Return what these first bytes tell, None if they are too few."""
    # One character a byte, so that positions in the text are positions in the file.
    text = data.decode("latin-1")
    notes: list[str] = []
    start, declared, comment = _first_line(text, notes)
    default = "\t" if ".tsv" in map(str.lower, path.suffixes[-2:]) else ","
    separator = options.separator or declared or _separator(text, start, is_all, default)
    first = _some(records(text, start, separator, is_all), ROWS, FIELDS)
    if len(first) < LEAST and not is_all and len(data) < LARGEST_SAMPLE:
        return None
    if not first:
        raise DataError(f"{path}: a quote in the first line is not closed")
    if separator not in (default, options.separator):
        notes.append(f"Values are separated by {separator!r}.")
    rows = [record.fields for record in first]
    decimal = _decimal(rows, separator, text[start:])
    if options.header is not False and _is_blank(rows, decimal):
        start, first, rows = first[0].end, first[1:], rows[1:]
        notes.append("A line of separators at the top was skipped.")
    if decimal == ",":
        notes.append("Numbers have a decimal comma.")
    header, names = _header(rows, decimal, comment.split(separator), options.header, notes)
    begin = first[0].end if header else start
    longest = max(b - a for a, b in pairwise([start, *(record.end for record in first)]))
    return Head(
        names=names,
        start=begin,
        separator=separator,
        decimal=decimal,
        sample=data[begin:],
        is_all=is_all,
        block_size=min(max(SMALLEST_BLOCK, ROWS_OF_BLOCK * longest), LARGEST_BLOCK),
        index=names[:1] if header and names[0] == UNNAMED_INDEX else [],
        lines=int(header),
        notes=tuple(notes),
    )


def _first_line(text: str, notes: list[str]) -> tuple[int, str | None, str]:
    """Return where the first row begins, the separator that is declared, and the comment before.

    Blank lines, a line "sep=;" and lines that begin with # are no rows.
    """
    start = len(UTF8_MARK) if text.startswith(UTF8_MARK) else 0
    separator, comment = None, ""
    if blank := BLANK.match(text, start):
        start = blank.end()
        notes.append("Blank lines at the top were skipped.")
    if declared := DECLARED.match(text, start):
        separator, start = declared[1], declared.end()
    comments = COMMENTS.match(text, start)
    if comments and text[comments.end() :].strip():
        comment = comments[0].splitlines()[-1].lstrip("# \t").rstrip()
        start = comments.end()
        notes.append("Lines at the top that begin with # were skipped.")
    return start, separator, comment


def _separator(text: str, start: int, is_all: bool, default: str) -> str:
    """Return the separator that gives rows of one length, and the most numbers in them."""
    best, most = default, -1.0
    for separator in dict.fromkeys(default + SEPARATORS):
        some = _some(records(text, start, separator, is_all), SNIFFED_ROWS, SNIFFED_FIELDS)
        rows = [record.fields for record in some]
        if not rows or len(rows[0]) < 2 or any(len(row) != len(rows[0]) for row in rows):
            continue
        decimal = _decimal(rows, separator)
        fields = [unquoted(field) for row in rows[1:] or rows for field in row]
        numbers = sum(is_number(field, decimal) for field in fields) / len(fields)
        if numbers > most:
            best, most = separator, numbers
    return best


def _some(all_records: Iterator[Record], n_rows: int, n_fields: int) -> list[Record]:
    """Return the first records: at most `n_rows`, and LEAST of those with very many fields."""
    first = list(islice(all_records, LEAST))
    if first:
        n_rows = min(n_rows, max(LEAST, n_fields // len(first[0].fields)))
    return first + list(islice(all_records, n_rows - len(first)))


def _is_blank(rows: Sequence[list[str]], decimal: str) -> bool:
    """Return whether the first row is blank, as spreadsheets write it, and names follow."""
    if len(rows) < LEAST or len(rows[0]) < 2 or any(unquoted(field).strip() for field in rows[0]):
        return False
    return _csv_header.decide(rows[1:], decimal).header


def _decimal(rows: Sequence[list[str]], separator: str, text: str = "") -> str:
    """Return the decimal point of the numbers: a comma if it is seen, and no point is.

    Where neither is in the rows, all of the text is looked at.
    """
    if separator == ",":
        return "."
    values = [unquoted(field) for row in rows for field in row]
    fractions = {
        point: any(kind_of(value, point) is Kind.FRACTION and point in value for value in values)
        for point in ".,"
    }
    if any(fractions.values()):
        return "," if not fractions["."] else "."
    mark = re.escape(separator)
    fraction = rf'(?:^|{mark})[ "]*[+-]?\d+([.,])\d+[ "]*(?:$|{mark}|\r)'
    match = re.search(fraction, text, re.MULTILINE)
    return match[1] if match else "."


def _header(
    rows: list[list[str]],
    decimal: str,
    comment: list[str],
    stated: bool | None,
    notes: list[str],
) -> tuple[bool, list[str]]:
    """Return whether the first row holds names, and the names of the columns."""
    width = len(rows[0])
    decision = _csv_header.decide(rows, decimal)
    if stated is not None:
        decision = _csv_header.Decision(header=stated)
    if decision.header:
        names = [_decoded(unquoted(field)) for field in rows[0]]
    elif stated is None and len(comment) == width > 1:
        notes.append("The names are those in the last line that begins with #.")
        return False, [_decoded(unquoted(name.strip())) for name in comment]
    else:
        names = [f"c{j}" for j in range(width)]
    notes += _csv_header.note(decision, names, [_decoded(unquoted(field)) for field in rows[0]])
    return decision.header, [name or f"Unnamed: {j}" for j, name in enumerate(names)]


def _decoded(name: str) -> str:
    """Return a name, of one character a byte, as UTF-8, or as Latin-1 if it is not."""
    try:
        return name.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return name
