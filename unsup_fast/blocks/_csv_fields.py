"""Rows of CSV text as lists of fields, and what a field holds."""

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

# Words that mean a missing value. The list is short, as pyarrow's time for a column grows with it.
MISSING_WORDS = (
    *("", "?", "NA", "Na", "na", "N/A", "n/a", "NaN", "NAN", "nan", "-NaN", "-nan", "<NA>", "NaT"),
    *("NULL", "Null", "null", "None", "none", "#N/A", "#N/A N/A", "#NA"),
    *("1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"),
)
MISSING = frozenset(MISSING_WORDS)
AFTER_A_SPACE = ("", "?", "NA", "NaN", "nan", "N/A", "null")
NULL_VALUES = [*MISSING_WORDS, *(f" {word}" for word in AFTER_A_SPACE)]

INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
FLAGS = re.IGNORECASE | re.ASCII
POINT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", FLAGS)
COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+|\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", FLAGS)
SPACES = " \t"  # that may stand around a number; a no-break space may not


class Kind(Enum):
    """What a field holds."""

    MISSING = 0
    INTEGER = 1
    FRACTION = 2
    TEXT = 3


class Record(NamedTuple):
    """A row of text, as it is written."""

    fields: list[str]
    """With their quotes."""
    end: int
    """Where the next row begins."""


def records(text: str, start: int, separator: str, at_end: bool) -> Iterator[Record]:
    """Yield the rows of a text from a position on, blank lines left out.

    A field in quotes may hold separators and line ends; a quote inside a field is a letter.

    Parameters
    ----------
    text : str
    start : int
    separator : str
        One character.
    at_end : bool
        Whether nothing follows the text; otherwise a last row that may continue is not yielded.
    """
    mark = re.escape(separator)
    plain = rf"[^{mark}\r\n]*"
    field = re.compile(rf'(?:("[^"]*(?:""[^"]*)*"{plain})|({plain}))({mark}|\r\n|\r|\n|)')
    fields: list[str] = []
    while start < len(text):
        match = field.match(text, start)
        assert match is not None  # both parts of the pattern match nothing, too
        quoted, value, end = match.groups()
        start = match.end()
        if quoted is None and value.startswith('"'):
            return  # the quote is closed beyond the text, if at all
        if start == len(text) and not at_end:
            return  # the field, or a line end of two characters, may continue
        fields.append(value if quoted is None else quoted)
        if end != separator:
            if len(fields) > 1 or fields[0].strip():
                yield Record(fields, start)
            fields = []
    if fields:
        yield Record([*fields, ""], start)


def unquoted(field: str) -> str:
    """Return the value of a field."""
    if len(field) < 2 or field[0] != '"':
        return field
    closing = field.rindex('"')
    if closing == 0:
        return field
    return field[1:closing].replace('""', '"') + field[closing + 1 :]


def kind_of(value: str, decimal: str) -> Kind:
    """Return what an unquoted field holds, with this decimal point."""
    value = value.strip(SPACES)
    if value in MISSING:
        return Kind.MISSING
    if INTEGER.fullmatch(value):
        return Kind.INTEGER
    return Kind.FRACTION if is_number(value, decimal) else Kind.TEXT


def is_number(value: str, decimal: str) -> bool:
    """Return whether a value can be read as a number, spaces around it allowed."""
    return (COMMA if decimal == "," else POINT).fullmatch(value.strip(SPACES)) is not None
