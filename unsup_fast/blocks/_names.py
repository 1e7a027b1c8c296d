"""Names of columns: which there are, which were asked for, and which belong to an index."""

import csv
import json
import re
from collections import Counter
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

from unsup_fast._text import listed
from unsup_fast.blocks._feed import DataError
from unsup_fast.blocks._options import TableOptions

if TYPE_CHECKING:
    from unsup_fast.blocks.arrow import Schema

INDEX_LEVEL = re.compile(r"__index_level_\d+__")
UNNAMED_INDEX = "Unnamed: 0"  # what pandas calls a first column without a name


def unique(source: str, names: Sequence[str]) -> None:
    """Raise if there are no columns, or two have one name."""
    if not names:
        raise DataError(f"{source}: has no columns")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise DataError(f"{source}: {count} columns are called {name!r}; names must differ")


def split(source: str, text: str, names: Sequence[str]) -> list[str]:
    """Return the names in a comma-separated list, as far as they are names of columns.

    The whole text may be one name. Otherwise names with commas are quoted as in CSV. Each is
    compared exactly first, and without the spaces around it if no column is called so.

    Raises
    ------
    DataError
        If an item of the list is empty and no column is called so, or the list is not one line.
    """
    if text in names:
        return [text]
    by_stripped: dict[str, list[str]] = {}
    for name in names:
        by_stripped.setdefault(name.strip(), []).append(name)

    def resolved(item: str) -> str:
        candidates = by_stripped.get(item.strip(), [])
        if item in candidates or len(candidates) != 1:
            return item if item in candidates else item.strip()
        return candidates[0]

    lists = []
    for skip_space in (False, True):  # a quote after a space opens a name in the second alone
        try:
            rows = list(csv.reader(StringIO(text, newline=""), skipinitialspace=skip_space))
        except csv.Error as error:
            raise DataError(f"{source}: the list of columns cannot be read: {error}") from None
        if len(rows) > 1:
            raise DataError(
                f"{source}: the list of columns {text!r} has several lines; quote a name that has"
            )
        lists.append([resolved(item) for item in rows[0] or [""]])
        if all(item in names for item in lists[-1]):
            return lists[-1]
    if not all(lists[1]):
        raise DataError(f"{source}: the list of columns {text!r} has an empty name; write A,B,C")
    return lists[1]


def pandas_index(schema: "Schema") -> list[str]:
    """Return the columns of an Arrow schema that hold the index of a pandas frame."""
    index = {name for name in schema.names if INDEX_LEVEL.fullmatch(name)}
    try:
        about = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        index |= {name for name in about.get("index_columns", ()) if isinstance(name, str)}
    except (ValueError, AttributeError, TypeError, RecursionError):
        pass  # the metadata are anybody's, and say nothing that must be known
    return [name for name in schema.names if name in index]


def choose(
    source: str,
    names: list[str],
    numeric: list[str],
    lists: list[str],
    options: TableOptions,
    notes: list[str],
    index: Sequence[str] = (),
) -> list[str]:
    """Decide which columns are used, and note which are not.

    Parameters
    ----------
    source : str
        What errors call the table.
    names, numeric, lists : list of str
        All columns, those of numbers, and those of lists of numbers.
    options : TableOptions
    notes : list of str
        Sentences about what is left out are appended.
    index : sequence of str
        Columns that hold an index, which are used only if they are asked for by name.
    """
    if options.columns is not None:
        return _asked_for(source, names, lists, options.columns)
    left_out = {*options.exclude, *index}
    numbers = [name for name in numeric if name not in left_out]
    vectors = [name for name in lists if name not in left_out]
    if vectors and len(numbers) + len(vectors) > 1:
        raise DataError(
            f"{source}: has list columns ({listed(vectors)}) and others that hold numbers "
            f"({listed(numbers) if numbers else 'none'}); choose with --columns"
        )
    chosen = vectors or numbers
    if not chosen:
        raise DataError(f"{source}: has no column of numbers, only {listed(names)}")
    used = {*chosen, *left_out}
    skipped = [name for name in names if name not in used]
    if skipped:
        notes.append(f"Skipped columns that are not numbers: {listed(skipped)}.")
    if index:
        notes.append(f"Left out the index of a pandas frame: {listed(index)}.")
    return chosen


def _asked_for(
    source: str, names: list[str], lists: list[str], columns: Sequence[str] | str
) -> list[str]:
    """Return the columns that were asked for by name."""
    if not len(columns):
        raise DataError(f"{source}: columns is empty; name one of {listed(names)}, or pass None")
    chosen = split(source, columns, names) if isinstance(columns, str) else list(columns)
    known = set(names)
    for name in chosen:
        if name not in known:
            raise DataError(f"{source}: has no column {name!r}; it has {listed(names)}")
    unique(source, chosen)
    if len(chosen) > 1 and not known.isdisjoint(lists) and any(name in lists for name in chosen):
        raise DataError(f"{source}: a list column cannot be used beside others; choose only it")
    return chosen
