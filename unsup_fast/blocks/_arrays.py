"""Arrays in memory or memory-mapped, and sparse matrices."""

import math
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast._text import times
from unsup_fast._types import Array
from unsup_fast._urls import File
from unsup_fast.blocks._feed import (
    DataError,
    EmptyError,
    Feed,
    Piece,
    copy,
    number_type,
)
from unsup_fast.blocks._sparse import check_sparse
from unsup_fast.blocks.mapped import FilePart, file_part, opened, refuse_shrunk, watch

if TYPE_CHECKING:
    from scipy.sparse import sparray, spmatrix

AXES = ("row", "column")


def unmasked(value: Any, name: str) -> Any:
    """Return a masked array without masked entries as a plain one, and the rest as it is.

    Raises
    ------
    DataError
        If an entry is masked, which makes it a missing value.
    """
    if not isinstance(value, np.ma.MaskedArray):
        return value
    masked = np.ma.getmaskarray(value)
    if masked.any():
        indices = np.unravel_index(int(masked.argmax()), masked.shape)
        where = ", ".join(f"{axis} {i}" for axis, i in zip(AXES, indices, strict=False))
        raise DataError(
            f"{name} is masked, that is missing, in {where or 'its only entry'} (counted from 0); "
            "leave out such rows, or fill them in"
        )
    return value.data


def dense(
    name: str, kind: str, X: Array, notes: tuple[str, ...] = (), paths: tuple[File, ...] = ()
) -> Feed:
    """Return the feed of an array [N, D], or of images [N, H, W] or [N, H, W, C]."""
    X = unmasked(X, name)
    dtype = number_type(X.dtype, name)
    if X.ndim not in (2, 3, 4):
        raise DataError(f"{name}: has shape {times(X.shape)}; rows x columns are needed")
    if math.prod(X.shape) == 0:
        error = DataError if len(X) else EmptyError
        raise error(f"{name}: has no values (shape {times(X.shape)})")
    n_columns, image_shape = math.prod(X.shape[1:]), None
    if X.ndim > 2:
        if X.ndim == 3 or X.shape[3] in (1, 3, 4):
            image_shape = X.shape[1:]
        notes += (f"Each {times(X.shape[1:])} image is a row of {n_columns:,} columns.",)
    native = X.dtype.newbyteorder("=")
    watch(X, str(getattr(X, "filename", None) or name))
    file = None if paths else file_part(X)
    in_place = native == X.dtype == dtype and X.flags.c_contiguous and X.flags.aligned

    def pieces(start: int) -> Iterator[Piece]:
        def fill(low: int, high: int, out: Array) -> None:
            copy(X[start + low : start + high].reshape(high - low, n_columns), out)
            refuse_shrunk(X)

        yield Piece(len(X) - start, fill)

    def take(indices: Array) -> Array:
        rows = X[indices].reshape(len(indices), n_columns)
        refuse_shrunk(X)
        return rows

    return Feed(
        name=name,
        kind=kind,
        n_columns=n_columns,
        source_dtype=str(native),
        pieces=pieces,
        origin=partial(dense, name, kind, X) if file is None else partial(mapped, name, file),
        part=lambda start, stop: dense(name, kind, X[start:stop], paths=paths),
        n_rows=len(X),
        dtype=dtype,
        image_shape=image_shape,
        notes=notes,
        array=X.reshape(len(X), n_columns) if in_place else None,
        take=take,
        paths=paths,
    )


def mapped(name: str, file: FilePart) -> Feed:
    """Return the feed of an array that lies in a file, mapped again."""
    return dense(name, "array", opened(file))


def sparse(X: "spmatrix | sparray") -> Feed:
    """Return the feed of a SciPy matrix, converted to dense blocks one at a time."""
    if X.ndim != 2 or 0 in X.shape:
        raise DataError(f"X: has shape {times(X.shape)}; rows x columns are needed")
    try:
        check_sparse(X)
    except ValueError as error:
        raise DataError(f"X: {error}") from None
    X = X.tocsr()

    def pieces(start: int) -> Iterator[Piece]:
        def fill(low: int, high: int, out: Array) -> None:
            out[...] = X[start + low : start + high].toarray()

        yield Piece(X.shape[0] - start, fill)

    def take(indices: Array) -> Array:
        rows: Array = X[indices].toarray()
        return rows

    return Feed(
        name="X",
        kind="sparse",
        n_columns=X.shape[1],
        source_dtype=str(X.dtype.newbyteorder("=")),
        pieces=pieces,
        origin=partial(sparse, X),
        part=lambda start, stop: sparse(X[start:stop]),
        n_rows=X.shape[0],
        dtype=number_type(X.dtype, "X"),
        take=take,
    )
