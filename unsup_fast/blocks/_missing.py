"""Missing values: rows that hold any are dropped, or filled with the mean of the column."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from unsup_fast._types import Array
from unsup_fast.blocks._feed import (
    BLOCK,
    EXACT_IN_FLOAT32,
    DataError,
    DType,
    Feed,
    Piece,
    cut,
    part,
)
from unsup_fast.blocks._memory import Memory
from unsup_fast.kernels.moments import moments

CHOICES = ("error", "drop", "mean")
SHOWN = 5  # rows that a note names


@dataclass(frozen=True, kw_only=True)
class Survey:
    """Result of a pass over the data: the missing values."""

    incomplete: Array
    """Whether a row lacks a value, [N]."""
    n_missing: int
    means: Array
    """Means of the values that are present, [D] float64; NaN of a column without values."""
    dtype: DType
    """Type of the blocks."""


def applied(feed: Feed, missing: str) -> Feed:
    """Return a feed without missing values.

    Parameters
    ----------
    feed : Feed
        Missing values are NaN.
    missing : {"drop", "mean"}
    """
    if feed.array is not None and moments(feed.array).first_nonfinite is None:
        return feed
    survey = _survey(feed)
    feed = replace(feed, n_rows=len(survey.incomplete), dtype=survey.dtype)
    if survey.n_missing == 0:
        return feed
    if missing == "mean":
        return _filled(feed, survey)
    return dropped(feed, survey.incomplete, "missing values")


def _survey(feed: Feed) -> Survey:
    dtype = np.dtype(np.float64) if feed.dtype is None else feed.dtype
    integers = slice(None) if feed.integers is None else feed.integers
    counts = np.zeros(feed.n_columns, np.int64)
    means = np.zeros(feed.n_columns)
    incomplete, n_missing, largest = [], 0, 0.0
    size = max(1, BLOCK // (8 * feed.n_columns))
    with closing(cut(feed, 0, size, dtype, Memory())) as blocks:
        for block in blocks:
            lacking = np.isnan(block)  # [M, D]
            incomplete.append(lacking.any(axis=1))
            present = len(block) - lacking.sum(axis=0)  # [D]
            n_missing += int(lacking.sum())
            counts += present
            block[lacking] = 0
            # Divided first, so that a sum of finite values is finite.
            part = (block / block.dtype.type(len(block))).sum(axis=0, dtype=np.float64)
            part *= len(block) / np.maximum(present, 1)
            means += (part - means) * (present / np.maximum(counts, 1))
            if feed.dtype is None:
                largest = max(largest, float(np.abs(block[:, integers]).max(initial=0)))
    if not incomplete:
        raise DataError(f"{feed.name}: has no rows")
    if feed.dtype is None:
        dtype = np.dtype(np.float64 if largest > EXACT_IN_FLOAT32 else np.float32)
    means[counts == 0] = np.nan
    return Survey(
        incomplete=np.concatenate(incomplete), n_missing=n_missing, means=means, dtype=dtype
    )


def dropped(feed: Feed, incomplete: Array, what: str) -> Feed:
    """Return the feed without some of its rows.

    Parameters
    ----------
    feed : Feed
        Of which rows may have been dropped before.
    incomplete : ndarray of bool, shape (N,)
        Which rows are dropped.
    what : str
        What these rows have: "missing values".

    Raises
    ------
    DataError
        If no row is left.
    """
    complete = np.flatnonzero(~incomplete)
    n_rows, n_dropped = len(incomplete), int(incomplete.sum())
    if not len(complete):
        raise DataError(f"{feed.name}: all {n_rows} rows have {what}, so none is left")
    of_data = feed.first_row + np.arange(n_rows) if feed.row_indices is None else feed.row_indices
    n_rows_of_data = feed.n_rows_of_data or n_rows

    def pieces(start: int) -> Iterator[Piece]:
        row = int(complete[start])
        for piece in feed.pieces(row):
            low, high = np.searchsorted(complete, (row, row + piece.n_rows))
            if high > low:
                yield _selected(piece, complete[low:high] - row)
            row += piece.n_rows
        if row != n_rows:
            raise DataError(f"{feed.name}: changed after it was first read")

    def take(indices: Array) -> Array:
        assert feed.take is not None
        return feed.take(complete[indices])

    def of_rows(start: int, stop: int) -> Feed:
        low, high = int(complete[start]), int(complete[stop - 1]) + 1
        return dropped(part(feed, low, high), incomplete[low:high], what)

    rows = ", ".join(map(str, of_data[incomplete][:SHOWN]))
    more = " ..." if n_dropped > SHOWN else ""
    note = f"Dropped {n_dropped} of {n_rows} rows, with {what} ({rows}{more})."
    return replace(
        feed,
        pieces=pieces,
        origin=partial(dropped, feed, incomplete, what),
        part=of_rows,
        n_rows=len(complete),
        array=None,
        take=None if feed.take is None else take,
        notes=(*feed.notes, note),
        row_indices=of_data[complete],
        n_rows_of_data=n_rows_of_data,
    )


def _selected(piece: Piece, positions: Array) -> Piece:
    """Return these rows of a piece, in ascending order."""

    def fill(start: int, stop: int, out: Array) -> None:
        low, high = int(positions[start]), int(positions[stop - 1]) + 1
        if high - low == stop - start:
            piece.fill(low, high, out)
            return
        rows = np.empty((high - low, out.shape[1]), out.dtype)
        piece.fill(low, high, rows)
        out[...] = rows[positions[start:stop] - low]

    return Piece(len(positions), fill)


def _filled(feed: Feed, survey: Survey) -> Feed:
    """Return the feed with the mean of its column in place of a missing value."""
    without = np.flatnonzero(np.isnan(survey.means))
    if len(without):
        j = int(without[0])
        column = repr(feed.names[j]) if feed.names and len(feed.names) > j else str(j)
        raise DataError(f"{feed.name}: column {column} has no values, so no mean; leave it out")

    def put_in(rows: Array) -> None:
        i, j = np.nonzero(np.isnan(rows))
        rows[i, j] = survey.means[j]

    def filled(piece: Piece) -> Piece:
        def fill(start: int, stop: int, out: Array) -> None:
            piece.fill(start, stop, out)
            put_in(out)

        return Piece(piece.n_rows, fill)

    def take(indices: Array) -> Array:
        assert feed.take is not None
        rows = np.array(feed.take(indices), dtype=feed.dtype)
        put_in(rows)
        return rows

    note = f"Put the mean of the column in place of {survey.n_missing} missing values."
    return replace(
        feed,
        pieces=lambda start: map(filled, feed.pieces(start)),
        origin=partial(_filled, feed, survey),
        part=lambda start, stop: _filled(part(feed, start, stop), survey),
        array=None,
        take=None if feed.take is None else take,
        notes=(*feed.notes, note),
    )
