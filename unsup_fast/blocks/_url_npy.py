"""`.npy` files of URLs, of which ranges of bytes are read."""

import math
from collections.abc import Iterator
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
    shape, dtype = header.shape, header.dtype
    # An array that has shape and type but no memory.
    whole = _arrays.dense(str(url), "npy", np.broadcast_to(np.empty((), dtype), shape))
    n_rows, n_columns = shape[0], whole.n_columns
    row_bytes = n_columns * dtype.itemsize

    def read(rows: range) -> Array:
        start, stop = (header.offset + row * row_bytes for row in (rows.start, rows.stop))
        try:
            (data,) = url.read_ranges([start], [stop])
        except OSError as error:
            raise DataError(f"{url}: cannot be read: {error.strerror or error}") from error
        return _rows([data], [len(rows)])

    def _rows(parts: list[bytes], lengths: list[int]) -> Array:
        for data, length in zip(parts, lengths, strict=True):
            if len(data) != length * row_bytes:
                raise DataError(f"{url}: ends before the last of its {n_rows} rows")
        values = np.frombuffer(b"".join(parts) if len(parts) > 1 else parts[0], dtype)
        return values.reshape(-1, n_columns)

    def pieces(start: int) -> Iterator[Piece]:
        size = max(1, RANGE // row_bytes)
        runs = (range(row, min(row + size, n_rows)) for row in range(start, n_rows, size))
        with closing(in_order(read, runs, REQUESTS, "ranges")) as parts:
            yield from map(matrix, parts)

    def take(indices: Array) -> Array:
        rows, inverse = np.unique(indices, return_inverse=True)
        if not len(rows):
            return np.empty((0, n_columns), dtype)
        starts = [header.offset + int(row) * row_bytes for row in rows]
        try:
            parts = url.read_ranges(starts, [start + row_bytes for start in starts])
        except OSError as error:
            raise DataError(f"{url}: cannot be read: {error.strerror or error}") from error
        return _rows(parts, [1] * len(parts))[inverse]

    return replace(
        whole,
        pieces=pieces,
        origin=partial(feed, url),
        part=None,
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
