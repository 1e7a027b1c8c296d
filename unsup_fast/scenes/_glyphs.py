"""Pictures of digits: their choice, and their drawing at any position and scale."""

from typing import NamedTuple

import numpy as np

from unsup_fast._types import Array, ArrayLike, on_host
from unsup_fast.scenes._philox import below
from unsup_fast.scenes._vocabulary import DIGITS

INK = 0.2  # of the darkest pixel: what counts as part of the digit


class Glyphs(NamedTuple):
    """Pictures of digits that are ready to be drawn.

    Attributes
    ----------
    ink : ndarray of shape (M, H, W), float32
        From 0 to 1, which each picture reaches.
    boxes : ndarray of shape (M, 3), float32
        Centre x and y of the box around the digit, and its longer side, in pixels.
    order : ndarray of shape (M,)
        Indices of the pictures, those of a digit together.
    starts, counts : ndarray of shape (10,)
        Where the pictures of a digit begin in `order`, and how many there are.
    """

    ink: Array
    boxes: Array
    order: Array
    starts: Array
    counts: Array

    def pick(self, digits: Array, random: Array) -> Array:
        """Return indices of random pictures of digits [K]."""
        return np.asarray(self.order[self.starts[digits] + below(self.counts[digits], random)])


def glyphs_of(digits: tuple[ArrayLike, ArrayLike]) -> Glyphs:
    """Return pictures of digits that are ready to be drawn.

    Parameters
    ----------
    digits : tuple of (images, labels)
        Pictures [M, H, W] or [M, 1, H, W], bright on dark, as bytes or floats in [0, 1]; and their
        digits [M], whole numbers from 0 to 9.

    Raises
    ------
    ValueError, TypeError
        If they are not of this form, a picture is empty, or a digit has no picture.
    """
    if not isinstance(digits, tuple) or len(digits) != 2:
        raise TypeError(f"digits is of type {type(digits).__name__}; pass a tuple (images, labels)")
    images, labels = (on_host(each) for each in digits)
    if images.ndim == 4 and images.shape[1] == 1:
        images = images[:, 0]  # [M, H, W]
    if images.ndim != 3 or images.size == 0 or images.dtype.kind not in "uif":
        raise ValueError(
            f"digits has images {images.shape} of {images.dtype}; pass [M, H, W] or [M, 1, H, W], "
            "bytes or floats in [0, 1]"
        )
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "ui":
        raise ValueError(
            f"digits has labels {labels.shape} of {labels.dtype}; pass one integer from 0 to 9 for "
            f"each of the {len(images)} images"
        )
    if labels.min() < 0 or labels.max() > 9:
        raise ValueError(
            f"digits has labels from {labels.min()} to {labels.max()}; pass digits from 0 to 9"
        )
    counts = np.bincount(labels.astype(np.int64), minlength=10)
    if not counts.all():
        missing = [DIGITS[d] for d in np.flatnonzero(counts == 0)]
        raise ValueError(f"digits has no image of {', '.join(missing)}; pass images of all ten")
    ink = images.astype(np.float32)
    peaks = ink.max(axis=(1, 2))
    if not np.isfinite(ink).all() or ink.min() < 0 or peaks.min() <= 0:
        raise ValueError(
            f"digits has values from {ink.min():.6g}, and images up to {peaks.min():.6g} alone; "
            "pass finite values >= 0, some of each image above 0"
        )
    ink /= peaks[:, None, None]
    starts = np.cumsum(counts) - counts
    return Glyphs(ink, boxes_of(ink), np.argsort(labels, kind="stable"), starts, counts)


def boxes_of(ink: Array) -> Array:
    """Return centre x and y and the longer side of the boxes around ink [M, H, W], [M, 3]."""
    spans = []
    for axis in (1, 2):  # columns, then rows
        has_ink: Array = np.asarray((ink > INK).any(axis=axis))
        first = has_ink.argmax(axis=1)
        last = has_ink.shape[1] - has_ink[:, ::-1].argmax(axis=1)
        spans.append((first, last))
    (left, right), (top, bottom) = spans
    longer = np.maximum(right - left, bottom - top)
    return np.stack([(left + right) / 2, (top + bottom) / 2, longer], axis=1).astype(np.float32)


def resample(ink: Array, x: Array, y: Array) -> Array:
    """Return ink [K, P, Q] at the points (x [K, Q], y [K, P]) of pictures [K, H, W].

    Points are in pixels of the pictures, evenly spaced and ascending. Weights are triangles of one
    pixel to either side, or of one spacing where that is wider; outside a picture is no ink.
    """
    across = _weights(x, ink.shape[2])  # [K, Q, W]
    down = _weights(y, ink.shape[1])  # [K, P, H]
    return np.asarray(down @ ink @ across.transpose(0, 2, 1))


def _weights(points: Array, n: int) -> Array:
    spacing = np.maximum(1, points[:, 1] - points[:, 0])[:, None, None]  # [K, 1, 1]
    offsets = points[:, :, None] - (np.arange(n, dtype=np.float32) + 0.5)  # [K, P, n]
    return np.asarray(np.maximum(0, 1 - np.abs(offsets) / spacing) / spacing)
