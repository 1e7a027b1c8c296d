"""A chunk of a collection, once it is computed, as rows."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from unsup_fast import blocks
from unsup_fast.blocks import DataError, Source
from unsup_fast.blocks._columns import Columns, chosen, describe
from unsup_fast.blocks._options import TableOptions
from unsup_fast.kernels._types import Array

NAME = "X"


def table_columns(schema: Any, first_rows: Callable[[], Any]) -> Columns:
    """Return which columns of a table are rows of the matrix: `blocks.source` takes the same.

    Parameters
    ----------
    schema : pyarrow.Schema
    first_rows : callable
        Returns a pyarrow Table that begins with the first row; for the length of lists.
    """
    options = TableOptions()
    names, is_list = chosen(NAME, schema, options, [])
    return describe(
        NAME, schema, names, is_list, lambda: first_rows().select(names).to_batches(), options
    )


def rows_of(values: Any, names: tuple[str, ...] | None) -> Source | None:
    """Return an array or table as a source; None if it has no rows.

    Parameters
    ----------
    values : array, pandas frame or pyarrow Table
    names : tuple of str, optional
        Columns of a table.
    """
    if len(values) == 0:
        return None
    return blocks.source(values, columns=None if names is None else list(names))


def type_of(values: Any, names: tuple[str, ...] | None) -> np.dtype[Any]:
    """Return the type that the numbers of a chunk need: float32 or float64."""
    rows = rows_of(values, names)
    return np.dtype(np.float32) if rows is None else rows.dtype


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Opens a chunk in the process that calls it."""

    index: int
    compute: Callable[[], Any]
    """Returns the array or table."""
    n_columns: int
    names: tuple[str, ...] | None
    """Columns of a table; None for an array."""

    def __call__(self) -> Source | None:
        """Return the rows, which are checked; None if the chunk is empty."""
        try:
            rows = rows_of(self.compute(), self.names)
            if rows is None:
                return None
            if rows.n_columns != self.n_columns:
                raise DataError(f"{NAME}: has {rows.n_columns} columns, not {self.n_columns}")
            rows.moments  # noqa: B018  checks the values
        except DataError as error:
            raise DataError(f"partition {self.index} of {error}") from error
        return rows


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels the rows of a chunk."""

    assign: Callable[[Array], Array]
    names: tuple[str, ...] | None
    dtype: np.dtype[Any]

    def __call__(self, values: Any) -> Array:
        """Return the labels [M] int32 of a chunk [M, D]."""
        rows = rows_of(values, self.names)
        if rows is None:
            return np.empty(0, np.int32)
        return self.assign(rows.to_array().astype(self.dtype, copy=False))
