"""Drawing of scenes at any resolution: coverage of pixels from signed distances."""

from typing import NamedTuple

import numpy as np

from unsup_fast._types import Array
from unsup_fast.scenes._glyphs import Glyphs, resample
from unsup_fast.scenes._specifications import Specifications
from unsup_fast.scenes._vocabulary import (
    GROUNDS,
    PALETTE,
    RADII,
    SHAPES,
    patch_side,
)

CHUNK = 2**18  # pixels of pictures that are drawn at a time


def distance(shape: int, x: Array, y: Array, r: Array) -> Array:
    """Return the signed distance of points to the edge of a shape, negative inside.

    Parameters
    ----------
    shape : int
        Index into `SHAPES`.
    x, y : ndarray
        Coordinates from the centre of mass, y downwards; they broadcast.
    r : ndarray
        Radius, in the same unit.
    """
    if SHAPES[shape] == "circle":
        return np.asarray(np.sqrt(x * x + y * y) - r)
    if SHAPES[shape] == "ring":
        w = np.float32(0.3) * r  # half of its width
        return np.asarray(np.abs(np.sqrt(x * x + y * y) - (r - w)) - w)
    x = np.abs(x)
    if SHAPES[shape] == "triangle":  # equilateral, with a circumscribed circle of 1.2 r
        lower = y - np.float32(0.6) * r
        sides = np.float32(0.75**0.5) * x - np.float32(0.5) * y - np.float32(0.6) * r
        return np.asarray(np.maximum(lower, sides))
    y = np.abs(y)
    if SHAPES[shape] == "square":
        return np.asarray(np.maximum(x, y) - np.float32(0.88) * r)
    if SHAPES[shape] == "cross":
        long, short = np.float32(1.05) * r, np.float32(0.36) * r
        return np.asarray(
            np.minimum(np.maximum(x - long, y - short), np.maximum(x - short, y - long))
        )
    return np.asarray((x + y - np.float32(1.15) * r) * np.float32(0.5**0.5))  # diamond


def coverage(shape: int, x: Array, y: Array, r: Array) -> Array:
    """Return how much of each pixel a shape covers, from 0 to 1, to first order at its edge."""
    cover = distance(shape, x, y, r)
    np.subtract(np.float32(0.5), cover, out=cover)
    return np.asarray(np.clip(cover, 0, 1, out=cover))


class Patches(NamedTuple):
    """Squares of pixels around points.

    Attributes
    ----------
    left, top : ndarray of shape (K,), int64
        Corners, inside the picture.
    dx : ndarray of shape (K, 1, P), float32
        Coordinates of pixels from the point.
    dy : ndarray of shape (K, P, 1), float32
    """

    left: Array
    top: Array
    dx: Array
    dy: Array


def patches(x: Array, y: Array, side: int, width: int) -> Patches:
    """Return squares of `width` pixels around points [K] in pixels."""
    left, top = (np.clip(np.floor(c - width / 2), 0, side - width).astype(np.int64) for c in (x, y))
    offsets = np.arange(width) + 0.5
    dx = (left[:, None] + offsets - x[:, None]).astype(np.float32)  # [K, P]
    dy = (top[:, None] + offsets - y[:, None]).astype(np.float32)
    return Patches(left, top, dx[:, None, :], dy[:, :, None])


def render(specs: Specifications, side: int, glyphs: Glyphs | None, out: Array) -> None:
    """Draw scenes into out [N, 3, side, side], uint8."""
    step = max(1, CHUNK // side**2)
    for start in range(0, len(specs), step):
        _render(specs[start : start + step], side, glyphs, out[start : start + step])


def _render(specs: Specifications, side: int, glyphs: Glyphs | None, out: Array) -> None:
    out[:] = GROUNDS[specs.background][:, :, None, None]
    flat = out.reshape(-1)
    width = patch_side(side)
    for noun in range(len(SHAPES) + 1):  # the last is all digits
        is_drawn = specs.noun == noun if noun < len(SHAPES) else specs.noun >= noun
        scene, slot = np.nonzero(is_drawn)
        if not len(scene):
            continue
        x, y = (each[scene, slot].astype(np.float64) * side for each in (specs.x, specs.y))
        around = patches(x, y, side, width)
        if noun < len(SHAPES):
            r = (RADII[specs.size[scene, slot]] * np.float32(side))[:, None, None]
            cover = coverage(noun, around.dx, around.dy, r)  # [K, P, P]
        else:
            assert glyphs is not None
            cover = _written(glyphs, specs.glyph[scene, slot], around, side)
        _paint(flat, cover, around, scene, side, specs, specs.colour[scene, slot])


def _written(glyphs: Glyphs, chosen: Array, around: Patches, side: int) -> Array:
    """Return the ink of digits in their patches, [K, P, P]."""
    centre_x, centre_y, longer = glyphs.boxes[chosen].T
    scale = (longer / (2 * RADII[1] * side))[:, None]  # pixels of the glyph in one of the picture
    x = around.dx[:, 0] * scale + centre_x[:, None]  # [K, P]
    y = around.dy[:, :, 0] * scale + centre_y[:, None]
    ink = resample(glyphs.ink[chosen], x, y)
    return np.asarray(ink / np.maximum(ink.max(axis=(1, 2), keepdims=True), 1e-6))


def _paint(
    flat: Array,
    cover: Array,
    around: Patches,
    scene: Array,
    side: int,
    specs: Specifications,
    colour: Array,
) -> None:
    """Blend colours into the pixels that objects cover; no two objects of a scene share one."""
    k, row, column = np.nonzero(cover)
    first = scene * (3 * side * side) + around.top * side + around.left
    pixel = first[k] + row * side + column
    share = cover[k, row, column]
    ground = GROUNDS[specs.background[scene]]  # [K, 3]
    difference = PALETTE[colour] - ground
    for channel in range(3):
        value = ground[k, channel] + share * difference[k, channel]
        flat[pixel + channel * side * side] = np.rint(value)
