"""Whether the first line of a CSV file holds the names of the columns or data.

Names over numbers are easy. Names that are numbers (0, 1, 2 as pandas writes them, years) and data
that hold text (as UCI's iris.data) are distinguished by the rows below them; where these do not
decide, the choice is noted, so that the user can state it.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from unsup_fast._text import listed
from unsup_fast.blocks._csv_fields import Kind, kind_of, unquoted

STRONG = 100  # times as likely names as data, for integers above nothing but fractions
LONG = 5  # consecutive integers that are names if nothing else tells
SEVERAL = 3  # rows or columns below which a coincidence is likely

ROWS_NOTE = "pass --no-header (header=False) if it is data"
NAMES_NOTE = "pass --header (header=True) if it holds names"


class Column(NamedTuple):
    """A column of the first rows: its first field, and those below that hold a value."""

    first: str
    kind: Kind
    below: list[str]
    kinds: list[Kind]

    @property
    def is_numeric(self) -> bool:
        """Return whether at least half of the values below are numbers."""
        numbers = sum(kind is not Kind.TEXT for kind in self.kinds)
        return bool(self.kinds) and 2 * numbers >= len(self.kinds)

    @property
    def is_fractions(self) -> bool:
        """Return whether the values below are numbers, none of them written as an integer."""
        return bool(self.kinds) and all(kind is Kind.FRACTION for kind in self.kinds)


class Decision(NamedTuple):
    """Whether the first line holds names, and whether the user should know."""

    header: bool
    certain: bool = True


def decide(rows: Sequence[list[str]], decimal: str) -> Decision:
    """Decide whether the first of these rows holds names.

    Parameters
    ----------
    rows : sequence of list of str
        Fields as written, the first line first.
    decimal : str
        Decimal point of the numbers.
    """
    width = len(rows[0])
    below = [row for row in rows[1:] if len(row) == width]
    columns = [_column(j, rows[0], below, decimal) for j in range(width)]
    numbers = [column for column in columns if column.kind in (Kind.INTEGER, Kind.FRACTION)]
    text = [column for column in columns if column.kind is Kind.TEXT]
    if not numbers:
        return Decision(header=bool(text))
    if not below:
        return Decision(header=False)
    if _quoted(rows[0]) and not any(map(_quoted, below)):
        return Decision(header=True)
    if any(column.is_numeric for column in text):
        integers = all(column.kind is Kind.INTEGER for column in numbers)
        return Decision(header=integers or _is_scale(numbers), certain=False)
    if any(column.kind is Kind.FRACTION for column in numbers):
        scale = _is_scale(numbers)
        outside = scale and all(_is_outside(column, decimal) for column in numbers)
        return Decision(header=outside, certain=not scale)
    if any(column.first in column.below for column in text):
        return Decision(header=False)
    index = columns[0] if columns[0].kind is Kind.MISSING else None
    return _integers(numbers, has_text=bool(text), index=index, decimal=decimal)


def _integers(
    columns: list[Column], *, has_text: bool, index: Column | None, decimal: str
) -> Decision:
    """Decide where the numbers in the first line are integers and no text is above numbers."""
    values = [int(column.first) for column in columns]
    if len(set(values)) < len(values) or min(values) < 0:
        return Decision(header=False)
    consecutive = all(b - a == 1 for a, b in pairwise(values))
    numbered = consecutive and values[0] == 0
    if index is not None and numbered and _is_index(index):
        return Decision(header=True)
    if any(_goes_on(column, decimal) for column in columns):
        return Decision(header=False, certain=not numbered)
    over_fractions = [column for column in columns if column.is_fractions]
    if over_fractions:
        rows = min(len(column.below) for column in over_fractions)
        strength = (rows + 1) ** len(over_fractions)  # of the rule of succession
        names = strength >= STRONG or (consecutive and len(values) > 1)
        return Decision(header=names, certain=names and numbered and len(values) >= SEVERAL)
    if len(values) == 1:
        return Decision(header=False, certain=not (has_text or numbered))
    scale = consecutive or _is_scale(columns)
    if not scale or _rows_are_consecutive(columns):
        return Decision(header=False)
    names = all(_is_outside(column, decimal) for column in columns)
    if consecutive:
        names |= len(values) >= (SEVERAL if numbered else LONG)
    return Decision(header=names, certain=not (names or consecutive))


def note(decision: Decision, names: Sequence[str], first: Sequence[str]) -> tuple[str, ...]:
    """Return what the user should know of a decision, as notes."""
    if decision.header:
        if decision.certain:
            return ()
        return (f"The first line ({listed(first, 4)}) is taken for names; {ROWS_NOTE}.",)
    called = f"c0 to {names[-1]}" if len(names) > 1 else "c0"
    doubt = "" if decision.certain else f"; {NAMES_NOTE}"
    return (f"The first line is data, so the columns are called {called}{doubt}.",)


def _column(j: int, first: list[str], below: list[list[str]], decimal: str) -> Column:
    value = unquoted(first[j]).strip()
    values = [unquoted(row[j]).strip() for row in below]
    kinds = [kind_of(text, decimal) for text in values]
    present = [i for i, kind in enumerate(kinds) if kind is not Kind.MISSING]
    return Column(
        first=value,
        kind=kind_of(value, decimal),
        below=[values[i] for i in present],
        kinds=[kinds[i] for i in present],
    )


def _quoted(row: list[str]) -> bool:
    return all(field.startswith('"') for field in row)


def _is_scale(columns: list[Column]) -> bool:
    """Return whether the first values are marks of a scale, as the wavelengths of a spectrum."""
    values = [float(column.first.replace(",", ".")) for column in columns]
    steps = [b - a for a, b in pairwise(values)]
    return len(values) >= SEVERAL and (min(steps) > 0 or max(steps) < 0)


def _rows_are_consecutive(columns: list[Column]) -> bool:
    """Return whether the next rows count up as the first does, as sliding windows or meshes do."""
    n_rows = min(SEVERAL, *(len(column.below) for column in columns))
    rows = [[column.below[i] for column in columns] for i in range(n_rows)]
    if not rows or rows[0] == [column.first for column in columns]:
        return False
    if any(kind is not Kind.INTEGER for column in columns for kind in column.kinds[:n_rows]):
        return False
    return all(int(b) - int(a) == 1 for row in rows for a, b in pairwise(row))


def _goes_on(column: Column, decimal: str) -> bool:
    """Return whether the column counts in equal steps, and its first value is where they begin."""
    if len(column.below) < SEVERAL or Kind.TEXT in column.kinds[:SEVERAL]:
        return False
    values = [float(t.replace(decimal, ".")) for t in [column.first, *column.below[:SEVERAL]]]
    steps = [b - a for a, b in pairwise(values)]
    return steps[0] != 0 and all(abs(step - steps[0]) <= 1e-2 * abs(steps[0]) for step in steps)


def _is_index(column: Column) -> bool:
    return column.below == [str(i) for i in range(len(column.below))]


def _is_outside(column: Column, decimal: str) -> bool:
    """Return whether the first value lies outside of those below by more than their range."""
    if len(column.below) < SEVERAL or Kind.TEXT in column.kinds:
        return False
    values = [float(value.replace(decimal, ".")) for value in column.below]
    first, low, high = float(column.first.replace(decimal, ".")), min(values), max(values)
    return not low - (high - low) <= first <= high + (high - low)
