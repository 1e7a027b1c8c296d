"""`.npy` files of URLs, of which ranges of bytes are read."""

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np

from unsup_fast._parallel import in_order
from unsup_fast._types import Array
from unsup_fast._urls import Url
from unsup_fast.blocks import _arrays, npy
from unsup_fast.blocks._feed import DataError, Feed, Piece, matrix

RANGE = 8 << 20  # bytes that are asked for at once, where that is a row or more
REQUESTS = 4  # at the same time
STARTS = (1 << 12, 1 << 20)  # bytes of the file that may hold its header


def feed(url: Url) -> Feed:
    """Return the feed of an `.npy` file whose rows are read in ranges as they are needed."""
    header = _header(url)
    return _rows_feed(url, header, 0, header.shape[0] if header.shape else 0)


def _part(url: Url, first: int, stop: int) -> Feed:
    return _rows_feed(url, _header(url), first, stop)


def _rows_feed(url: Url, header: npy.Header, first: int, stop: int) -> Feed:
    """Return the feed of some rows of the file; nothing after them is read ahead."""
    shape = (stop - first, *header.shape[1:]) if header.shape else ()
    # An array that has shape and type but no memory.
    whole = _arrays.dense(str(url), "npy", np.broadcast_to(np.empty((), header.dtype), shape))
    n_columns = whole.n_columns
    row_bytes = n_columns * header.dtype.itemsize

    def offset(row: int) -> int:
        return header.offset + (first + int(row)) * row_bytes

    def read(runs: Sequence[range]) -> Array:
        try:
            parts = url.read_ranges(
                [offset(run.start) for run in runs], [offset(run.stop) for run in runs]
            )
        except OSError as error:
            raise DataError(f"{url}: cannot be read: {error.strerror or error}") from error
        for part, run in zip(parts, runs, strict=True):
            if len(part) != len(run) * row_bytes:
                raise DataError(f"{url}: ends before row {first + run.stop - 1}")
        values = parts[0] if len(parts) == 1 else b"".join(parts)
        return np.frombuffer(values, header.dtype).reshape(-1, n_columns)

    def pieces(start: int) -> Iterator[Piece]:
        size, n_rows = max(1, RANGE // row_bytes), stop - first
        runs = ([range(row, min(row + size, n_rows))] for row in range(start, n_rows, size))
        with closing(in_order(read, runs, REQUESTS, "ranges")) as parts:
            yield from map(matrix, parts)

    def take(indices: Array) -> Array:
        if not len(indices):
            return np.empty((0, n_columns), header.dtype)
        rows, inverse = np.unique(indices, return_inverse=True)
        return read([range(row, row + 1) for row in rows.tolist()])[inverse]

    return replace(
        whole,
        pieces=pieces,
        origin=partial(_part, url, first, stop),
        part=lambda low, high: _rows_feed(url, header, first + low, first + high),
        array=None,
        take=take,
        paths=(url,),
        decoded=True,
    )


def _header(url: Url) -> npy.Header:
    """Read the header of a file; raise DataError if it is none, or the file is too short."""
    try:
        size = url.info()["size"]
        for most in STARTS:
            with url.read_start(min(most, size)) as file:
                if file.read(len(npy.NPY)) != npy.NPY:
                    raise DataError(f"{url}: is not an .npy file (it does not begin like one)")
                file.seek(0)
                try:
                    header = npy.read_header(file)
                except npy.UNPARSED as error:
                    if most < min(size, STARTS[-1]):
                        continue
                    raise DataError(f"{url}: cannot be read as .npy ({error})") from error
            break
    except OSError as error:
        raise DataError(f"{url}: cannot be read: {error.strerror or error}") from error
    if header.dtype.hasobject:
        raise DataError(f"{url}: holds Python objects, which are never unpickled; save numbers")
    if header.is_fortran and len(header.shape) > 1:
        raise DataError(
            f"{url}: is in Fortran order, of which rows cannot be read in ranges; save it in C "
            "order (numpy.ascontiguousarray)"
        )
    promised = header.offset + math.prod(header.shape) * header.dtype.itemsize
    if promised > size:
        raise DataError(f"{url}: is truncated ({size:,} bytes, its header promises {promised:,})")
    return header
