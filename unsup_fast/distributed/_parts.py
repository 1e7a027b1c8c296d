"""Parts of data, and what a holder needs to open one."""

from collections.abc import Callable
from dataclasses import dataclass

from unsup_fast.blocks import Source

Opener = Callable[[], "Source | None"]
"""Opens a part in the process that calls it; None if the part has no rows. It travels there."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some consecutive rows of the data."""

    index: int
    """Number of the part, in the order of the rows."""
    open: Opener
    n_rows: int | None = None
    """Rows, if that is known before the part is opened."""
