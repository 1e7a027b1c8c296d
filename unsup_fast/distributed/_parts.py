"""Parts of data, and what a holder needs to open one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unsup_fast.blocks import Source
from unsup_fast.distributed._engine import Engine

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


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a collection that an engine has already divided."""

    parts: list[Part]
    n_columns: int
    dtype: np.dtype[Any]
    """float32 or float64: the type that all parts are converted to, as `blocks.source` would."""
    names: tuple[str, ...] | None
    """Names of the columns, if the collection has them."""
    name: str
    """What errors call the collection."""
    engine: Callable[[], Engine]
    """Returns the engine that the collection belongs to."""
