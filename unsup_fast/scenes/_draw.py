"""Scenes: random specifications with their pictures and captions."""

from typing import NamedTuple

import numpy as np

from unsup_fast._types import Array, ArrayLike
from unsup_fast.scenes import _drawing
from unsup_fast.scenes._captions import captions_of
from unsup_fast.scenes._glyphs import Glyphs, glyphs_of
from unsup_fast.scenes._sampling import sample
from unsup_fast.scenes._specifications import Specifications
from unsup_fast.scenes._vocabulary import SHAPES, SPLITS, check_side

Digits = tuple[ArrayLike, ArrayLike]


class Scenes(NamedTuple):
    """Captioned pictures.

    Attributes
    ----------
    images : ndarray of shape (N, 3, side, side), uint8
    captions : list of str
    specifications : Specifications
        What the pictures hold; `Specifications.stated` is what the captions say of it.
    """

    images: Array
    captions: list[str]
    specifications: Specifications


def draw(
    n: int,
    *,
    seed: int = 0,
    split: str = "train",
    side: int = 32,
    start: int = 0,
    digits: Digits | None = None,
) -> Scenes:
    """Return random scenes with their captions.

    Sample i of a seed and split is the same scene whatever `n`, `start` and `side` are: draws are
    words of Philox4x32-10 with the seed as key and i as counter.

    Parameters
    ----------
    n : int
    seed : int
        From 0 to 2^64 - 1.
    split : {"train", "held", "any"}
        "train" has none of the combinations of colour and shape in `HELD`, each scene of "held"
        has at least one, and "any" draws from all.
    side : int
        Height and width in pixels. The reader is exact from 24 on.
    start : int
        Index of the first sample, for batches of one endless data set.
    digits : tuple of (images, labels), optional
        Draws digits instead of shapes: pictures [M, H, W] or [M, 1, H, W], bright on dark, bytes or
        floats >= 0, and their digits [M]. All ten must be there. Digits take 10 pixels of 32: a
        side of 64 shows them well.

    Returns
    -------
    Scenes
        Its images, captions and specifications.

    Raises
    ------
    ValueError, TypeError
        If an argument is not allowed.
    """
    _check_integer("n", n, 2**40)
    _check_integer("seed", seed, 2**64 - 1)
    _check_integer("start", start, 2**62)
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is not one of {', '.join(SPLITS)}")
    side = check_side(side)
    glyphs = None if digits is None else glyphs_of(digits)
    specs = sample(int(n), int(seed), split, int(start), glyphs)
    return Scenes(_rendered(specs, side, glyphs), captions_of(specs), specs)


def render(
    specifications: Specifications, side: int = 32, *, digits: Digits | None = None
) -> Array:
    """Return the pictures of scenes, uint8 [N, 3, side, side].

    Parameters
    ----------
    specifications : Specifications
        With coordinates: as of `draw`, not of `parse`.
    side : int
        Height and width in pixels.
    digits : tuple of (images, labels), optional
        The digits that the scenes were drawn with.

    Raises
    ------
    ValueError, TypeError
        If an argument is not allowed, coordinates are missing, or scenes hold digits and `digits`
        is None.
    """
    side = check_side(side)
    is_there = specifications.noun >= 0
    if not np.isfinite(specifications.x[is_there] + specifications.y[is_there]).all():
        raise ValueError(
            "specifications lack coordinates, as those of captions do; pass those of draw"
        )
    has_digits = bool((specifications.noun >= len(SHAPES)).any())
    if has_digits and digits is None:
        raise ValueError("specifications name digits, and digits is None; pass (images, labels)")
    glyphs = glyphs_of(digits) if has_digits and digits is not None else None
    if glyphs is not None and specifications.glyph.max() >= len(glyphs.ink):
        raise ValueError(
            f"specifications name image {specifications.glyph.max()} of digits, which has "
            f"{len(glyphs.ink)}; pass those that the scenes were drawn with"
        )
    return _rendered(specifications, side, glyphs)


def _rendered(specs: Specifications, side: int, glyphs: Glyphs | None) -> Array:
    out = np.empty((len(specs), 3, side, side), np.uint8)
    _drawing.render(specs, side, glyphs, out)
    return out


def _check_integer(name: str, value: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name}={value!r} is no whole number; pass an int")
    if not 0 <= value <= most:
        raise ValueError(f"{name}={value} must be from 0 to {most}")
