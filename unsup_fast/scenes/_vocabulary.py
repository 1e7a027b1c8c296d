"""The words of captions, and the colours and measures that they stand for."""

import math

import numpy as np

from unsup_fast._types import Array

SHAPES = ("circle", "square", "triangle", "cross", "ring", "diamond")
"""Shapes, in the order of their numbers in `Specifications.noun`."""
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""Digits; digit d has the number `len(SHAPES) + d` in `Specifications.noun`."""
COLOURS = ("red", "green", "blue", "yellow", "purple", "cyan", "orange", "white")
"""Colours of objects."""
SIZES = ("small", "large")
"""Sizes of shapes; digits have one size, of which captions do not speak."""
BACKGROUNDS = ("black", "grey")
"""Colours of the background."""
POSITIONS = ("top left", "top right", "bottom left", "bottom right", "middle")
"""Places of a single object: the centres of four quadrants, and of the picture."""
RELATIONS = ("left of", "above")
"""Relations of the first object to the second."""
KINDS = ("one", "relation", "several", "two")
"""Kinds of scenes: one object at a position, two in a relation, 2 to 4 equal ones, any two."""
SPLITS = ("train", "held", "any")
"""Splits: without held-out combinations, with at least one in each scene, and both."""

NOUNS = SHAPES + DIGITS
INVERSE = ("right of", "below")  # the relations, said of the second object
COUNTS = ("two", "three", "four")
MOST_OBJECTS = 4

PALETTE: Array = np.array(
    [
        (220, 40, 40),
        (40, 170, 60),
        (50, 80, 230),
        (240, 215, 40),
        (150, 50, 190),
        (50, 205, 215),
        (245, 135, 25),
        (245, 245, 245),
    ],
    np.float32,
)
GROUNDS: Array = np.array([(12, 12, 12), (110, 110, 110)], np.float32)

# As shares of the side of the picture. Two large objects leave two pixels between them at 24.
RADII: Array = np.array([3.2, 5.0], np.float32) / 32
JITTER = 0.5 / 32
CENTRES: Array = np.array([(1, 1), (3, 1), (1, 3), (3, 3), (2, 2)]) / 4  # (x, y) of each position
LEAST_SIDE, MOST_SIDE = 16, 1024


def plural(noun: str) -> str:
    """Return the plural of a shape or digit."""
    return noun + ("es" if noun[-1] in "sx" else "s")


def held(nouns: range) -> Array:
    """Return which combinations of nouns and colours are held out, [nouns, 8] bools.

    Combination (k, c) is held out where 3 k + 5 c = 3 mod 8, so that each shape is held out in one
    colour, and no two shapes in the same.
    """
    k, c = np.meshgrid(np.arange(len(nouns)), np.arange(len(COLOURS)), indexing="ij")
    return np.asarray((3 * k + 5 * c) % len(COLOURS) == 3)


HELD = frozenset(
    (COLOURS[c], SHAPES[s])
    for s, c in zip(*(each.tolist() for each in np.nonzero(held(range(6)))), strict=True)
)
"""The six pairs of colour and shape that `split="train"` never shows."""


def check_side(side: int) -> int:
    """Return the side of pictures if it is allowed."""
    if isinstance(side, bool) or not isinstance(side, int | np.integer):
        raise TypeError(f"side={side!r} is no number of pixels; pass an int")
    if not LEAST_SIDE <= side <= MOST_SIDE:
        raise ValueError(f"side={side} must be from {LEAST_SIDE} to {MOST_SIDE}")
    return int(side)


def patch_side(side: int) -> int:
    """Return the side of a square of pixels that holds any object, wherever its centre is."""
    return min(side, math.ceil(2.4 * float(RADII[1]) * side) + 4)
