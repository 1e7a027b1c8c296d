"""Grids of pictures, as arrays and as files."""

import base64
import html
import io
import math
import os
from numbers import Integral
from pathlib import Path

import numpy as np

from unsup_fast import _extras
from unsup_fast._types import ArrayLike, on_host
from unsup_fast.pictures._pixels import Bytes, to_bytes
from unsup_fast.storage.atomic import write_bytes

GAP = 2
# Pictures of a figure and in a row of it, and the sides between which they are shown, in pixels.
SHOWN, COLUMNS, SMALLEST, LARGEST = 40, 10, 48, 128
GROUND = 128  # between pictures, which may be black or white at their edges


def grid(x: ArrayLike, columns: int | None = None) -> Bytes:
    """Return pictures side by side in one, row by row.

    Parameters
    ----------
    x : array or tensor
        Bytes, or floats in [-1, 1]: [N, C, H, W] or [N, H, W, C] with C of 1 or 3, grey ones
        [N, H, W], or one picture [C, H, W], [H, W, 3] or [H, W].
        An ambiguous shape is the first of these.
    columns : int, optional
        Pictures per row; None gives as many rows as columns, or one fewer.

    Returns
    -------
    ndarray of shape (H', W', 3), uint8
        The grid, with 2 pixels of grey between pictures, and grey in empty cells.

    Raises
    ------
    ValueError
        If `x` does not hold pictures or is not finite, or `columns` is not positive.
    TypeError
        If `columns` is not an integer.
    """
    pixels = on_host(x)
    pictures = _pictures(pixels if pixels.dtype == np.uint8 else to_bytes(pixels))  # [N, H, W, 3]
    n, height, width = pictures.shape[:3]
    if columns is None:
        columns = math.ceil(math.sqrt(n))
    elif not isinstance(columns, Integral) or isinstance(columns, bool):
        raise TypeError(f"columns={columns!r} is not a number of pictures; pass an int >= 1")
    elif columns < 1:
        raise ValueError(f"columns={columns} is below 1; pass an int >= 1")
    columns = min(int(columns), n)
    rows = -(-n // columns)
    cells = np.full((rows * columns, height + GAP, width + GAP, 3), GROUND, np.uint8)
    cells[:n, :height, :width] = pictures
    cells = cells.reshape(rows, columns, height + GAP, width + GAP, 3)
    whole = cells.swapaxes(1, 2).reshape(rows * (height + GAP), columns * (width + GAP), 3)
    return np.ascontiguousarray(whole[:-GAP, :-GAP])  # [H', W', 3]


def _pictures(x: Bytes) -> Bytes:
    """Return bytes as pictures [N, H, W, 3]."""
    shape = x.shape
    if x.ndim == 2:
        x = x[None, None]  # [1, 1, H, W]
    elif x.ndim == 3 and shape[0] not in (1, 3):
        # [1, H, W, 3] or [N, 1, H, W]
        x = x[None] if shape[2] == 3 else x[:, None]
    elif x.ndim == 3:
        x = x[None]  # [1, C, H, W]
    if x.ndim == 4 and x.shape[1] in (1, 3):
        x = np.moveaxis(x, 1, 3)  # [N, H, W, C]
    if x.ndim != 4 or x.shape[3] not in (1, 3) or x.size == 0:
        raise ValueError(f"x has shape {shape}; pass pictures [N, C, H, W] with C of 1 or 3")
    return np.broadcast_to(x, (*x.shape[:3], 3))


def save_grid(path: str | os.PathLike[str], x: ArrayLike, columns: int | None = None) -> None:
    """Write pictures side by side as a PNG file, atomically.

    Parameters
    ----------
    path : path
        Ends in `.png`; a file of that name is replaced.
    x, columns
        As for `grid`.

    Raises
    ------
    ValueError
        As for `grid`, or if the name does not end in `.png`.
    OSError
        If it cannot be written, with the reason; an existing file is unchanged then.
    ImportError
        If Pillow is missing, with the install command.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"{path}: grids are saved as PNG; name a file that ends in .png")
    write_bytes(path, png(grid(x, columns)), "the pictures")


def png(picture: Bytes) -> bytes:
    """Return a picture [H, W, 3] as the content of a PNG file.

    Raises
    ------
    ImportError
        If Pillow is missing, with the install command.
    """
    image = _extras.require("PIL.Image", "plot", "saving pictures")
    file = io.BytesIO()
    image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def figure(pixels: Bytes, caption: str) -> str:
    """Return the first pictures [N, C, H, W] as an HTML figure, enlarged where they are small."""
    few = pixels[:SHOWN]
    n, _, height, width = few.shape
    columns = min(COLUMNS, n)
    stride = -(-max(height, width) // LARGEST)
    picture = grid(few[:, :, ::stride, ::stride], columns)
    content = base64.b64encode(png(picture)).decode()
    zoom = max(1, SMALLEST // max(height, width))
    return (
        f'<figure><img src="data:image/png;base64,{content}" alt="The first {n} pictures" '
        f'style="width: {zoom * picture.shape[1]}px; max-width: 100%; image-rendering: pixelated">'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )
