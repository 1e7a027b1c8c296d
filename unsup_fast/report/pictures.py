"""Rows as pictures: small PNG files inside the page."""

import base64
import io

import numpy as np

from unsup_fast import _extras
from unsup_fast._types import Array

# Largest side of a thumbnail, in pixels.
SIDE = 64
GAP = 2


def strip(rows: Array, shape: tuple[int, ...], low: float, high: float, room: int) -> str:
    """Return rows side by side as the data URI of one PNG.

    Parameters
    ----------
    rows : ndarray of shape (n, D)
    shape : tuple of int
        (height, width) or (height, width, channels) of each row.
    low, high : float
        Values that are drawn as black and white.
    room : int
        Places of the strip, at least n; those left over are transparent.

    Raises
    ------
    ImportError
        If pillow is missing, with the install command.
    """
    images = _extras.require("PIL.Image", "cli", "a report")
    size = shape[:2] if shape[2:] == (1,) else shape
    shares = (rows.astype(np.float64) - low) / ((high - low) or 1.0)
    pixels = np.rint(np.clip(shares, 0, 1) * 255).astype(np.uint8).reshape(len(rows), *size)
    small = [images.fromarray(image) for image in pixels]
    for image in small:
        image.thumbnail((SIDE, SIDE), images.Resampling.BOX)
    width, height = small[0].size
    wide = images.new(
        "LA" if small[0].mode == "L" else "RGBA", (room * (width + GAP) - GAP, height)
    )
    for i, image in enumerate(small):
        wide.paste(image.convert(wide.mode), (i * (width + GAP), 0))
    file = io.BytesIO()
    wide.save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
