"""`.npy` and `.npz` files."""

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tokenize import TokenError
from typing import IO, Any, NamedTuple

import numpy as np

from unsup_fast._text import times
from unsup_fast._types import Array
from unsup_fast._urls import File
from unsup_fast.blocks import _arrays
from unsup_fast.blocks._feed import (
    DataError,
    Feed,
    Piece,
    matrix,
)
from unsup_fast.blocks.mapped import watch

NPY = b"\x93NUMPY"  # what a file begins with
LONGEST = 2**63 - 1
STEP = 1 << 20  # bytes read at once, so that they are converted while in cache

# What a zip archive raises that is truncated, encrypted, or of an unsupported compression.
UNZIPPED = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)
# What NumPy raises about a header that is no literal of Python, or holds other things than it must.
UNPARSED = (
    *(ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError),
    *(SyntaxError, TokenError, RecursionError, MemoryError),
)
DAMAGED = (*UNZIPPED, *UNPARSED)


def feed(path: Path) -> Feed:
    """Return the feed of an `.npy` file: in place, mapped, or read a part at a time."""
    mapped = load(path)
    whole = replace(
        _arrays.dense(str(path), "npy", mapped, paths=(path,)),
        origin=partial(feed, path.absolute()),
        part=None,
    )
    if whole.array is not None or not mapped.flags.c_contiguous:
        return whole
    # Read, not mapped: a file that shrinks then raises an error and does not kill the process.
    offset, dtype = mapped.offset, mapped.dtype  # type: ignore[attr-defined]

    def pieces(start: int) -> Iterator[Piece]:
        row_bytes = dtype.itemsize * whole.n_columns
        rows_at_once = max(1, STEP // row_bytes)
        with path.open("rb") as file:
            file.seek(offset + start * row_bytes)
            for row in range(start, len(mapped), rows_at_once):
                rows = np.empty((min(rows_at_once, len(mapped) - row), whole.n_columns), dtype)
                if file.readinto(rows.view(np.uint8).data) != rows.nbytes:
                    raise DataError(f"{path}: ends before row {row + len(rows)} of {len(mapped)}")
                yield matrix(rows)

    return replace(whole, pieces=pieces)


def archive(path: File, key: str | None) -> Feed:
    """Return the feed of an array of an `.npz` file, which is unpacked into memory."""
    notes: list[str] = []
    X = _npz(path, key, notes)
    return replace(
        _arrays.dense(str(path), "npz", X, tuple(notes)),
        origin=partial(archive, path.absolute(), key),
        part=None,
    )


def load(path: Path) -> Array:
    """Map an `.npy` file into memory; raise DataError if it cannot be mapped."""
    try:
        _check_length(path)
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (DataError, FileNotFoundError):
        raise
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except (EOFError, OSError, *UNPARSED) as error:
        raise DataError(_why_not_npy(path, error)) from error
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: is an .npz archive; rename it to end in .npz")
    watch(array, str(path))
    return array


def _check_length(path: Path) -> None:
    """Raise unless an `.npy` file has a header that can be, and the bytes that it promises."""
    with path.open("rb") as file:
        if file.read(len(NPY)) != NPY:
            return  # np.load says what else it may be
        file.seek(0)
        header = read_header(file)
        shape, dtype = header.shape, header.dtype
        promised = math.prod(shape) * dtype.itemsize
        length = path.stat().st_size - header.offset
    if not dtype.hasobject and promised > length:
        raise DataError(
            f"{path}: is truncated ({length:,} bytes of values, its header promises "
            f"{times(shape)} of {dtype})"
        )


class Header(NamedTuple):
    """What an `.npy` file says of its array."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]
    offset: int
    """Bytes before the first value."""


def read_header(file: IO[bytes]) -> Header:
    """Read the header of an array.

    Raises
    ------
    ValueError, or another of UNPARSED
        If it is not a header, or its shape is not one of integers that can be.
    """
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, is_fortran, dtype = read(file)
    if not all(type(size) is int and 0 <= size <= LONGEST for size in shape):
        raise ValueError("the shape in its header is not one of integers from 0 to 2^63 - 1")
    return Header(shape=shape, is_fortran=is_fortran, dtype=dtype, offset=file.tell())


def _why_not_npy(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(len(NPY))
    if not start:
        return f"{path}: is empty (0 bytes)"
    if start != NPY:
        return f"{path}: is not an .npy file (it does not begin like one)"
    reason = str(error)
    if "Python objects" in reason or "Object arrays" in reason:
        return f"{path}: holds Python objects, which are never unpickled; save an array of numbers"
    if "mmap length" in reason or "EOF: reading" in reason:
        return f"{path}: is truncated (fewer bytes than its header promises)"
    reason = " ".join(reason.split())
    if len(reason) > 150 or "malformed" in reason or not isinstance(error, ValueError):
        reason = "its header is not a dict of descr, fortran_order and shape"
    return f"{path}: cannot be read as .npy ({reason})"


def archive_array(path: File, key: str | None, least: int = 2) -> Array:
    """Return an array of an `.npz` file as it is: of that key, or the one of `least` axes."""
    return _npz(path, key, [], least)


def archive_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    """Return the shape and type of each array of an `.npz` file; nothing large is unpacked."""
    with _archive(path) as archive:
        return _headers(archive)


def _npz(path: File, key: str | None, notes: list[str], least: int = 2) -> Array:
    with _archive(path) as archive:
        headers = _headers(archive)
        shapes = {name: shape for name, (shape, _) in headers.items()}
        name = _npz_key(path, shapes, key, notes, least)
        if headers[name][1].hasobject:
            raise DataError(
                f"{path}: array {name!r} holds Python objects, which are never unpickled"
            )
        shape, dtype = headers[name]
        if math.prod(shape) * dtype.itemsize > archive.getinfo(f"{name}.npy").file_size:
            raise DataError(f"{path}: array {name!r} is truncated; it is not {times(shape)}")
        with archive.open(f"{name}.npy") as file:
            array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


@contextmanager
def _archive(path: File) -> Iterator[zipfile.ZipFile]:
    """Open an `.npz` file, and turn errors about it into ours."""
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            yield archive
    except (DataError, FileNotFoundError):
        raise
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except DAMAGED as error:
        raise DataError(f"{path}: is not an .npz archive, or is truncated") from error


def _headers(archive: zipfile.ZipFile) -> dict[str, tuple[tuple[int, ...], np.dtype[Any]]]:
    headers: dict[str, tuple[tuple[int, ...], np.dtype[Any]]] = {}
    for name in archive.namelist():
        with archive.open(name) as file:
            header = read_header(file)
            headers[name.removesuffix(".npy")] = header.shape, header.dtype
    return headers


def _npz_key(
    path: File,
    shapes: dict[str, tuple[int, ...]],
    key: str | None,
    notes: list[str],
    least: int,
) -> str:
    """Choose the array to take by the headers alone."""
    listed = ", ".join(f"{name} {times(shape)}" for name, shape in shapes.items()) or "no arrays"
    if key is not None:
        if key not in shapes:
            raise DataError(f"{path}: has no array {key!r}; it holds {listed}")
        return key
    candidates = [name for name, shape in shapes.items() if len(shape) >= least]
    if len(candidates) != 1 and len(shapes) != 1:
        raise DataError(f"{path}: holds {listed}; choose one with --key")
    name = candidates[0] if candidates else next(iter(shapes))
    if len(shapes) > 1:
        notes.append(f"Took the array {name!r}, the only one with rows and columns.")
    return name
