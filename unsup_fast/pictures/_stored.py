"""Pictures that are already arrays, in memory, in an `.npz` or an `.npy`."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast import _extras
from unsup_fast._parallel import in_order
from unsup_fast._text import times
from unsup_fast._types import Array
from unsup_fast.blocks import DataError
from unsup_fast.blocks.npy import archive_array, archive_headers
from unsup_fast.pictures._decoding import Size, resized
from unsup_fast.pictures._labels import (
    Classes,
    Labels,
    are_labels,
    coded,
    label_names,
    no_labels,
)
from unsup_fast.pictures._pixels import (
    CHUNK,
    Bytes,
    as_bytes,
    check_values,
    planes,
)

FIRST = "x_train"  # the array that is taken if several hold pictures


def of_npz(
    path: Path, key: str | None, label_key: str | None, labels: bool
) -> tuple[Array, Labels | None, Classes, list[str]]:
    """Return the pictures of an archive, their labels, the names of the classes, and notes."""
    headers = archive_headers(path)
    if key is None:
        key = _pictures(path, {name: shape for name, (shape, _) in headers.items()})
    X = archive_array(path, key)
    rows = X.shape[0] if X.ndim else 0
    if label_key is not None:
        if label_key in headers and not _may_be_labels(headers[label_key], rows):
            shape, dtype = headers[label_key]
            raise DataError(
                f"{path}: array {label_key!r} is {times(shape)} of {dtype}; labels are integers or "
                f"text, one for each of the {rows} pictures"
            )
        values = archive_array(path, label_key).reshape(rows)
        return X, *coded(f"{path}: array {label_key!r}", values), []
    notes = []
    for name in label_names(key) if labels else ():
        if name not in headers:
            continue
        if _may_be_labels(headers[name], rows):
            values = archive_array(path, name).reshape(rows)
            if are_labels(values):
                return X, *coded(f"{path}: array {name!r}", values), []
        notes.append(no_labels(f"array {name!r}"))
    return X, None, (), notes


def _pictures(path: Path, shapes: dict[str, tuple[int, ...]]) -> str:
    if FIRST in shapes:
        return FIRST
    candidates = [name for name, shape in shapes.items() if len(shape) in (3, 4)]
    if len(candidates) != 1:
        listed = ", ".join(f"{name} {times(shape)}" for name, shape in shapes.items())
        raise DataError(
            f"{path}: holds {listed or 'no arrays'}; pass as key which of them are the pictures"
        )
    return candidates[0]


def _may_be_labels(header: tuple[tuple[int, ...], np.dtype[Any]] | None, rows: int) -> bool:
    if header is None:
        return False
    shape, dtype = header
    return shape in ((rows,), (rows, 1)) and dtype.kind in "iubfUS"


def of_array(
    name: str,
    X: Array,
    size: Size | None,
    channels: int | None,
    progress: Callable[[int, int], Any] | None,
) -> Bytes:
    """Return pictures in any layout as bytes [N, C, H, W], cropped and resized.

    Raises
    ------
    DataError
        If they are not pictures.
    ImportError
        If they have to be resized and Pillow is missing.
    """
    X = planes(name, X)  # [N, C, H, W]
    check_values(name, X)
    wanted = channels or (1 if X.shape[1] == 1 else 3)
    height, width = size or X.shape[2:]
    if (height, width) != X.shape[2:]:
        _extras.check("PIL", "plot", "resizing pictures")

    def convert(part: Array) -> Bytes:
        return resized(as_bytes(part, wanted), (height, width))

    pixels = np.empty((len(X), wanted, height, width), np.uint8)
    step = max(1, CHUNK * len(X) // X.size)
    parts = (X[start : start + step] for start in range(0, len(X), step))
    done = 0
    with closing(in_order(convert, parts, None, "pictures")) as converted:
        for part in converted:
            pixels[done : done + len(part)] = part
            done += len(part)
            if progress is not None:
                progress(done, len(X))
    return pixels
