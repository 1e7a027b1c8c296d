"""Functions that yield matrices."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from unsup_fast._text import times
from unsup_fast._types import Array
from unsup_fast.blocks._arrays import unmasked
from unsup_fast.blocks._feed import (
    DataError,
    Feed,
    Piece,
    matrix,
    number_type,
    skip,
)

NAME = "X"


def feed(call: Callable[[], Iterable[Any]]) -> Feed:
    """Return the feed of a function; it is called once here, for its first matrix."""
    first = next(_matrices(call), None)
    if first is None:
        raise DataError(f"{NAME}: has no rows (the function yields no matrix)")
    if first.shape[1] == 0:
        raise DataError(f"{NAME}: has no values (the first matrix is {times(first.shape)})")

    def pieces(start: int) -> Iterator[Piece]:
        return skip(_alike(call, first.shape[1], first.dtype), start)

    return Feed(
        name=NAME,
        kind="callable",
        n_columns=first.shape[1],
        source_dtype=str(first.dtype.newbyteorder("=")),
        pieces=pieces,
        origin=partial(feed, call),
        dtype=number_type(first.dtype, NAME),
        seekable=False,
        decoded=True,
    )


def _alike(
    call: Callable[[], Iterable[Any]], n_columns: int, dtype: np.dtype[Any]
) -> Iterator[Piece]:
    for number, X in enumerate(_matrices(call)):
        if X.shape[1] != n_columns:
            raise DataError(
                f"{NAME}: matrix {number} has {X.shape[1]} columns, the first had {n_columns}; "
                "all must have as many"
            )
        if X.dtype != dtype:
            raise DataError(
                f"{NAME}: matrix {number} holds {X.dtype}, the first held {dtype}; "
                "all must be of one type"
            )
        yield matrix(X)


def _matrices(call: Callable[[], Iterable[Any]]) -> Iterator[Array]:
    matrices = call()
    if not isinstance(matrices, Iterable):
        raise TypeError(
            f"the function returned {type(matrices).__name__}; "
            "it must return an iterator of matrices"
        )
    for number, rows in enumerate(matrices):
        X = np.asarray(unmasked(rows, f"{NAME}: matrix {number}"))
        if X.ndim != 2:
            raise DataError(
                f"{NAME}: matrix {number} has shape {times(X.shape)}; rows x columns are needed"
            )
        yield X
