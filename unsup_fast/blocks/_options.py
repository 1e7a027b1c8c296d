"""How a table is read."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Which columns of a table are rows of the matrix, and how its text is read."""

    columns: Sequence[str] | str | None = None
    """Names, or a comma-separated list of them; None takes all columns of numbers."""
    exclude: tuple[str, ...] = ()
    """Names that are left out when `columns` is None."""
    header: bool | None = None
    """Whether the first line of a CSV file holds names; None decides by its contents."""
    separator: str | None = None
    """Character between the values of a CSV file; None decides by its contents."""
    missing: bool = False
    """Whether missing values are read as NaN; otherwise they are an error."""
