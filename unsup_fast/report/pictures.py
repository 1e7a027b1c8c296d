"""Rows as pictures: small PNG files inside the page."""

import base64
import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Largest side of a thumbnail, in pixels.
SIDE = 64
GAP = 2


def strip(rows: Array, shape: tuple[int, ...], low: float, high: float) -> str:
    """Return rows side by side as the data URI of one PNG.

    Parameters
    ----------
    rows : ndarray of shape (n, D)
    shape : tuple of int
        (height, width) or (height, width, channels) of each row.
    low, high : float
        Values that are drawn as black and white.
    """
    channels = shape[2] if len(shape) == 3 else 1
    images = rows.reshape(len(rows), shape[0], shape[1], channels).astype(np.float64)
    images = shrink((images - low) / ((high - low) or 1.0))
    n, height, width, _ = images.shape
    wide = np.zeros((height, n * (width + GAP) - GAP, channels + 1))  # the last is opacity
    for number, image in enumerate(images):
        left = number * (width + GAP)
        wide[:, left : left + width, :channels] = image
        wide[:, left : left + width, channels] = 1.0
    colour = np.repeat(wide[..., :1], 3, axis=2) if channels == 1 else wide[..., :3]
    opacity = wide[..., -1:]
    if channels == 4:
        opacity = opacity * wide[..., 3:4]
    pixels = np.rint(np.clip(np.concatenate([colour, opacity], axis=2), 0, 1) * 255)
    return "data:image/png;base64," + base64.b64encode(png(pixels.astype(np.uint8))).decode()


def thumbnail(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return the height and width that pictures of this shape are shrunk to."""
    factor = _factor(shape[0], shape[1])
    return max(1, shape[0] // factor), max(1, shape[1] // factor)


def _factor(height: int, width: int) -> int:
    return -(-max(height, width) // SIDE)


def shrink(images: Array) -> Array:
    """Return images [n, H, W, C] averaged over squares until no side is above 64."""
    n, height, width, channels = images.shape
    factor = _factor(height, width)
    tall, wide = thumbnail((height, width))
    high_step, wide_step = min(factor, height), min(factor, width)
    cut = images[:, : tall * high_step, : wide * wide_step]
    squares = cut.reshape(n, tall, high_step, wide, wide_step, channels)
    averaged: Array = squares.mean(axis=(2, 4))
    return averaged


def png(pixels: Array) -> bytes:
    """Return a PNG file of RGBA pixels [height, width, 4], uint8."""
    height, width, _ = pixels.shape
    # Each line begins with the number of its filter; 0 leaves it as it is.
    lines = np.zeros((height, 1 + 4 * width), dtype=np.uint8)
    lines[:, 1:] = pixels.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
