"""Files mapped into memory, which may become shorter while they are read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import mmap
from typing import Any, NamedTuple
from weakref import WeakSet, finalize

import numpy as np

from unsup_fast._text import valid
from unsup_fast._types import Array
from unsup_fast._urls import File, Url
from unsup_fast.blocks._feed import DataError
from unsup_fast.blocks.arrow import arrow
from unsup_fast.kernels._dispatch import compiled, missing

_watched: "WeakSet[mmap]" = WeakSet()


def mapping(array: object) -> mmap | None:
    """Return the map that an array lies in, None for other memory."""
    while isinstance(array, np.ndarray):
        array = array.base
    return array if isinstance(array, mmap) else None


class FilePart(NamedTuple):
    """Where in a file the values of a mapped array lie."""

    path: str
    """Absolute."""
    offset: int
    """Bytes before the first value."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype[Any]


def file_part(array: Array) -> FilePart | None:
    """Return which part of a file an array is, None for one that lies in memory.

    Rows that were changed in memory only (`mmap_mode="c"`) lie there, too.
    """
    whole, base = array, array.base
    while isinstance(base, np.ndarray):
        whole, base = base, base.base
    if not isinstance(whole, np.memmap) or whole.filename is None or whole.mode == "c":
        return None
    return FilePart(
        path=os.path.abspath(whole.filename),
        offset=whole.offset + array.ctypes.data - whole.ctypes.data,
        shape=array.shape,
        strides=array.strides,
        dtype=array.dtype,
    )


def opened(part: FilePart) -> Array:
    """Map a part of a file again.

    Raises
    ------
    DataError
        If the file is not there, or too short.
    """
    try:
        whole = np.memmap(part.path, np.uint8, "r")
        return np.ndarray(part.shape, part.dtype, whole, part.offset, part.strides)
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{part.path}: cannot be mapped again ({error})") from error


def watch(array: Array, path: str = "") -> None:
    """Watch the map that an array lies in, if it lies in one.

    To read rows that its file no longer has would end the process (SIGBUS). From a watched map
    zeros are read instead, and operations on its rows and `refuse_shrunk` raise OSError. Only the
    compiled module can watch.
    """
    mapped = mapping(array)
    if mapped is None or mapped in _watched or missing() is not None:
        return
    memory = np.frombuffer(mapped, np.uint8)
    number = compiled().watch(memory.ctypes.data, memory.nbytes, valid(path))
    _watched.add(mapped)
    finalize(mapped, compiled().unwatch, number).atexit = False


def refuse_shrunk(array: Array) -> None:
    """Raise OSError if the array lies in a watched map of a file that has become shorter."""
    if mapping(array) is not None and missing() is None:
        compiled().refuse_shrunk(array.ctypes.data)


@contextmanager
def arrow_file(path: File, **options: Any) -> Iterator[Any]:
    """Open a file for pyarrow: one of a disk as a map, that of a URL to be read in ranges.

    The map is watched: OSError at the end if the file has become shorter. `options` are those of
    fsspec for a URL.
    """
    if isinstance(path, Url):
        with path.open(**options) as file, arrow().PythonFile(file, mode="r") as opened:
            yield opened
        return
    with arrow().memory_map(str(path)) as mapped:
        if not mapped.size() or missing() is not None:
            yield mapped
            return
        address = mapped.read_buffer(1).address
        mapped.seek(0)
        number = compiled().watch(address, mapped.size(), str(path))
        try:
            yield mapped
        except Exception:
            compiled().refuse_shrunk(address)  # zeros in place of the file caused it
            raise
        else:
            compiled().refuse_shrunk(address)
        finally:
            compiled().unwatch(number)
