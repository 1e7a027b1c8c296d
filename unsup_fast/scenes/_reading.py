"""Reading of pictures: what objects they show, measured without any network.

The background is the median of the border. Connected pixels that differ from it are an object,
whose colour is that of its farther half. How far each pixel is on the line from background to
colour is its coverage; the shape and size whose drawing at the centre of mass has the largest
soft intersection over union with it are the object's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from unsup_fast._types import Array, ArrayLike, on_host
from unsup_fast.scenes._drawing import Patches, coverage, patches
from unsup_fast.scenes._glyphs import boxes_of, resample
from unsup_fast.scenes._vocabulary import (
    DIGITS,
    GROUNDS,
    PALETTE,
    RADII,
    SHAPES,
    SIZES,
    check_side,
    patch_side,
)

Classify = Callable[[Array], ArrayLike]
"""From pictures of digits [M, 28, 28], float32 from 0 to 1, to the digits [M]."""

FOREGROUND = 55  # distance from the background, of 255 for each channel
LEAST_AREA = 8 / 32**2  # of an object, as a share of the picture
LEAST_OUTSIDE = 0.05  # share outside of objects; with less, noise is that of the whole picture
CROP, CROP_INK = 28, 20  # sides of a cropped digit and of its ink, as in MNIST
CHUNK = 2**18  # pixels of pictures that are read at a time
IN_PLANE = np.zeros((3, 3, 3), bool)
IN_PLANE[1] = True


@dataclass(frozen=True, eq=False)
class Readings:
    """What N pictures show: backgrounds, and M objects in the order of the pictures.

    Attributes
    ----------
    background : ndarray of shape (N,), int8
        Index into `BACKGROUNDS` of the nearest one.
    background_error : ndarray of shape (N,), float32
        Distance of the border's median from it, of 255 for each channel.
    background_noise : ndarray of shape (N,), float32
        Root of the mean squared deviation of a channel from the median, outside of objects.
    picture : ndarray of shape (M,), int64
        The picture that each object is in.
    noun : ndarray of shape (M,), int8
        Index into `SHAPES + DIGITS`.
    colour, size : ndarray of shape (M,), int8
        Indices into `COLOURS` and `SIZES`; -1 is the size of digits.
    x, y : ndarray of shape (M,), float32
        Centres of mass as shares of the side.
    overlap : ndarray of shape (M,), float32
        Soft intersection over union with the drawing of this shape and size; 1 for digits.
    colour_error : ndarray of shape (M,), float32
        Distance from the colour, of 255 for each channel.
    """

    background: Array
    background_error: Array
    background_noise: Array
    picture: Array
    noun: Array
    colour: Array
    size: Array
    x: Array
    y: Array
    overlap: Array
    colour_error: Array

    def __len__(self) -> int:
        return len(self.background)

    def __repr__(self) -> str:
        return f"<Readings of {len(self):,} pictures with {len(self.picture):,} objects>"


def read(images: ArrayLike, *, classify: Classify | None = None) -> Readings:
    """Return what pictures show.

    Parameters
    ----------
    images : array or tensor of shape (N, 3, side, side)
        Bytes.
    classify : callable, optional
        Reads objects as digits instead of shapes: from pictures [M, 28, 28], float32 from 0 to 1,
        with the digit in the middle 20 x 20 pixels, to digits [M] from 0 to 9.

    Raises
    ------
    ValueError
        If the pictures are not of this form, or `classify` does not return one digit for each.
    """
    x = check_images(images)
    side = x.shape[2]
    step = max(1, CHUNK // side**2)
    parts = [
        _read(x[start : start + step], start, classify) for start in range(0, len(x), step)
    ] or [_read(x, 0, classify)]
    names = Readings.__dataclass_fields__
    return Readings(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def check_images(images: ArrayLike) -> Array:
    """Return pictures as an array if they are bytes [N, 3, side, side]."""
    x = on_host(images)
    if x.ndim != 4 or x.shape[1] != 3 or x.shape[2] != x.shape[3] or x.dtype != np.uint8:
        raise ValueError(
            f"images has shape {x.shape} of {x.dtype}; pass bytes (uint8) of shape "
            "[N, 3, side, side], as pictures.to_bytes makes them"
        )
    check_side(x.shape[2])
    return x


def _read(images: Array, first: int, classify: Classify | None) -> Readings:
    """Return what pictures show, of which the first is number `first`."""
    side = images.shape[2]
    x = images.astype(np.float32)
    edges = (x[:, :, 0], x[:, :, -1], x[:, :, 1:-1, 0], x[:, :, 1:-1, -1])
    ground = np.median(np.concatenate(edges, axis=2), axis=2)  # [N, 3]
    background, background_error = _nearest(GROUNDS, ground)
    x -= ground[:, :, None, None]
    squared = np.einsum("nchw,nchw->nhw", x, x)
    mask = squared > FOREGROUND**2
    labels, objects = _components(mask, side, is_digit=classify is not None)

    covered = ndimage.binary_dilation(labels, IN_PLANE)
    outside = ~covered
    outside |= outside.mean(axis=(1, 2), keepdims=True) < LEAST_OUTSIDE
    noise = np.sqrt((squared * outside).sum(axis=(1, 2)) / (3 * outside.sum(axis=(1, 2))))

    cropped = _crop(x, labels, objects, side)
    behind = ground[objects.picture]  # [M, 3]
    colour = (_far_colours if classify is None else _line_colours)(cropped, behind)
    line = PALETTE[colour] - behind  # [M, 3]
    share = np.einsum("mchw,mc->mhw", cropped.pixels, line)
    share /= np.maximum(1, np.einsum("mc,mc->m", line, line))[:, None, None]
    share = np.clip(share, 0, 1) * cropped.around  # [M, P, P]
    mass = np.maximum(share.sum(axis=(1, 2)), 1e-6)
    offset_x = (share * cropped.patch.dx).sum(axis=(1, 2)) / mass
    offset_y = (share * cropped.patch.dy).sum(axis=(1, 2)) / mass
    if classify is None:
        dx = cropped.patch.dx - offset_x[:, None, None]
        dy = cropped.patch.dy - offset_y[:, None, None]
        noun, size, overlap, drawn = _shapes(share, dx, dy, side)
        weight = np.maximum((drawn * drawn).sum(axis=(1, 2)), 1e-6)
        fitted = np.einsum("mchw,mhw->mc", cropped.pixels, drawn) / weight[:, None]  # [M, 3]
        colour, colour_error = _nearest(PALETTE, behind + fitted)
    else:
        noun = len(SHAPES) + _digits(share, classify)
        size = np.full(len(noun), -1)
        overlap = np.ones(len(noun))
        colour_error = _brightest(cropped, share, line)
    return Readings(
        background=background.astype(np.int8),
        background_error=background_error.astype(np.float32),
        background_noise=noise.astype(np.float32),
        picture=objects.picture + first,
        noun=noun.astype(np.int8),
        colour=colour.astype(np.int8),
        size=size.astype(np.int8),
        x=((objects.x + offset_x) / side).astype(np.float32),
        y=((objects.y + offset_y) / side).astype(np.float32),
        overlap=overlap.astype(np.float32),
        colour_error=colour_error.astype(np.float32),
    )


def _nearest(colours: Array, x: Array) -> tuple[Array, Array]:
    """Return the index of the nearest colour to each of x [K, 3], and the distance."""
    distances = np.sqrt(((x[:, None] - colours) ** 2).sum(axis=2))  # [K, colours]
    return distances.argmin(axis=1), distances.min(axis=1)


class _Objects(NamedTuple):
    """Connected pixels: their pictures, and their mean coordinates in pixels, [M] each."""

    picture: Array
    x: Array
    y: Array


def _components(mask: Array, side: int, *, is_digit: bool) -> tuple[Array, _Objects]:
    """Return the object of each pixel, 1 to M and 0 for none, [N, side, side], and the objects."""
    joined = mask
    if is_digit:  # whose strokes may be broken
        times = max(1, side // 32)
        joined = ndimage.binary_dilation(mask, IN_PLANE, iterations=times)
    labels, n_labels = ndimage.label(joined, IN_PLANE)
    labels *= mask
    where = np.flatnonzero(labels)
    at = labels.reshape(-1)[where]
    area = np.bincount(at, minlength=n_labels + 1)
    keep = area >= LEAST_AREA * side**2
    keep[0] = False
    numbers = np.cumsum(keep) * keep
    labels = numbers[labels]
    total = np.maximum(area, 1)
    plane, row, column = np.unravel_index(where, labels.shape)
    x, y, picture = (
        np.bincount(at, weights=each, minlength=n_labels + 1) / total
        for each in (column + 0.5, row + 0.5, plane)
    )
    return labels, _Objects(np.rint(picture[keep]).astype(np.int64), x[keep], y[keep])


class _Cropped(NamedTuple):
    """Squares around objects.

    Attributes
    ----------
    patch : Patches
    pixels : ndarray of shape (M, 3, P, P), float32
        Differences from the background.
    inside : ndarray of shape (M, P, P), bool
        The pixels of the object.
    around : ndarray of shape (M, P, P), bool
        These and their neighbours outside of other objects.
    """

    patch: Patches
    pixels: Array
    inside: Array
    around: Array


def _crop(x: Array, labels: Array, objects: _Objects, side: int) -> _Cropped:
    width = min(side, patch_side(side) + 2)
    patch = patches(objects.x, objects.y, side, width)
    rows = (patch.top[:, None] + np.arange(width))[:, :, None]  # [M, P, 1]
    columns = (patch.left[:, None] + np.arange(width))[:, None, :]  # [M, 1, P]
    picture = objects.picture[:, None, None]
    pixels = np.stack([x[picture, channel, rows, columns] for channel in range(3)], axis=1)
    numbers = labels[picture, rows, columns]  # [M, P, P]
    inside = numbers == np.arange(1, len(objects.x) + 1)[:, None, None]
    around = ndimage.binary_dilation(inside, IN_PLANE) & (inside | (numbers == 0))
    return _Cropped(patch, pixels, inside, around)


def _far_colours(cropped: _Cropped, behind: Array) -> Array:
    """Return the colours [M] of the farther half of the pixels of each object."""
    pixels, inside = _flat(cropped.pixels), _flat(cropped.inside)
    squared = np.where(inside, np.einsum("mcp,mcp->mp", pixels, pixels), -1)
    far = _highest(squared, np.maximum(1, inside.sum(axis=1) // 2))
    return _nearest(PALETTE, behind + _mean(pixels, far))[0]


def _line_colours(cropped: _Cropped, behind: Array) -> Array:
    """Return the colours [M] whose blends with the background are nearest to an object's pixels.

    Strokes of digits are so thin that no pixel may have the colour itself.
    """
    errors = np.empty((len(behind), len(PALETTE)), np.float32)
    for c, colour in enumerate(PALETTE):
        line = colour - behind  # [M, 3]
        squared = np.maximum(1, (line * line).sum(axis=1))[:, None, None]
        share = np.einsum("mchw,mc->mhw", cropped.pixels, line) / squared
        blend = np.clip(share, 0, 1)[:, None] * line[:, :, None, None]  # [M, 3, P, P]
        difference = (cropped.pixels - blend) * cropped.inside[:, None]
        errors[:, c] = (difference * difference).sum(axis=(1, 2, 3))
    return np.asarray(errors.argmin(axis=1))


def _brightest(cropped: _Cropped, share: Array, line: Array) -> Array:
    """Return the distance from their colour of the tenth of each object's pixels nearest to it."""
    inside = _flat(cropped.inside)
    values = np.where(inside, _flat(share), -1)
    highest = _highest(values, np.maximum(1, inside.sum(axis=1) // 10))
    mean = _mean(_flat(cropped.pixels), highest)
    return np.asarray(np.sqrt(((mean - line) ** 2).sum(axis=1)))


def _flat(x: Array) -> Array:
    """Return patches [M, ..., P, P] as rows [M, ..., P P]."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def _highest(values: Array, counts: Array) -> Array:
    """Return which of values [M, K] are the highest `counts` [M] of their row, as 0 and 1."""
    order = np.sort(values, axis=1)
    least = np.take_along_axis(order, values.shape[1] - counts[:, None], axis=1)
    return np.asarray(values >= least).astype(np.float32)


def _mean(pixels: Array, weights: Array) -> Array:
    """Return the mean [M, 3] of pixels [M, 3, K] by weights [M, K]."""
    return np.asarray(np.einsum("mcp,mp->mc", pixels, weights) / weights.sum(axis=1)[:, None])


def _shapes(share: Array, dx: Array, dy: Array, side: int) -> tuple[Array, Array, Array, Array]:
    """Return shape, size, overlap [M] and drawing [M, P, P] of the best match of coverages."""
    best = np.full(len(share), -1.0, np.float32)
    noun, size = np.zeros((2, len(share)), np.int64)
    drawn = np.zeros_like(share)
    total = share.sum(axis=(1, 2))
    for shape in range(len(SHAPES)):
        for z in range(len(SIZES)):
            cover = coverage(shape, dx, dy, RADII[z] * np.float32(side))
            both = np.minimum(cover, share).sum(axis=(1, 2))
            overlap = both / (total + cover.sum(axis=(1, 2)) - both)
            better = overlap > best
            best[better], noun[better], size[better] = overlap[better], shape, z
            drawn[better] = cover[better]
    return noun, size, best, drawn


def _digits(share: Array, classify: Classify) -> Array:
    """Return the digits [M] of coverages [M, P, P]."""
    if not len(share):
        return np.zeros(0, np.int64)
    x, y, longer = boxes_of(share).T[:, :, None]  # [M, 1] each
    offsets = (np.arange(CROP, dtype=np.float32) + 0.5 - CROP / 2) / CROP_INK
    crops = resample(share, x + offsets * longer, y + offsets * longer)  # [M, 28, 28]
    crops /= np.maximum(crops.max(axis=(1, 2), keepdims=True), 1e-6)
    digits = on_host(classify(crops.astype(np.float32)))
    if digits.shape != (len(share),) or not np.isin(digits, range(len(DIGITS))).all():
        raise ValueError(
            f"classify returned {digits.dtype} of shape {digits.shape}; it must return a digit "
            f"from 0 to 9 for each of {len(share)} pictures"
        )
    return digits.astype(np.int64)
