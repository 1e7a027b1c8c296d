"""Scores of pictures: whether they show what their captions say."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from unsup_fast._types import Array, ArrayLike
from unsup_fast.scenes._captions import parse
from unsup_fast.scenes._reading import Classify, Readings, check_images, read
from unsup_fast.scenes._specifications import Specifications
from unsup_fast.scenes._vocabulary import (
    CENTRES,
    COLOURS,
    KINDS,
    MOST_OBJECTS,
    RELATIONS,
    SHAPES,
    SIZES,
)

LEAST_OVERLAP = 0.75
MOST_COLOUR_ERROR = 60
MOST_BACKGROUND_ERROR, MOST_BACKGROUND_NOISE = 40, 18
NEAR, FAR = 1 / 8, 1 / 4  # of the side: of a position, and between objects of a relation
NO_OBJECT, NO_MATCH = -1, 10_000


@dataclass(frozen=True, eq=False)
class Scores:
    """Whether each of N pictures shows what its caption says, bools [N].

    Attributes
    ----------
    background : ndarray
        The colour behind the objects, which has to be even: noise of more than 18 of 255 fails.
    count : ndarray
        The number of objects.
    colour, shape, size : ndarray
        What objects have, whichever object has it.
    binding : ndarray
        The objects, each with its own colour, shape and size.
    position : ndarray
        The position of one object, or the relation of two; true where the caption says neither.
    all : ndarray
        Background, count, binding and position.
    """

    background: Array
    count: Array
    colour: Array
    shape: Array
    size: Array
    binding: Array
    position: Array
    all: Array

    def means(self) -> dict[str, float]:
        """Return the share of pictures that are right, by the names of the scores.

        It is NaN if there are no pictures.
        """
        n = len(self)
        return {
            field.name: float(getattr(self, field.name).mean()) if n else math.nan
            for field in fields(self)
        }

    def __len__(self) -> int:
        return len(self.all)

    def __getitem__(self, rows: slice | Array) -> "Scores":
        return Scores(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    def __repr__(self) -> str:
        right = ", ".join(f"{name} {mean:.1%}" for name, mean in self.means().items())
        return f"<Scores of {len(self):,} pictures: {right}>"


def score(
    images: ArrayLike,
    captions: str | Sequence[str] | Specifications,
    *,
    classify: Classify | None = None,
) -> Scores:
    """Return whether pictures show what their captions say.

    Parameters
    ----------
    images : array or tensor of shape (N, 3, side, side)
        Bytes.
    captions : sequence of str, or Specifications
        One for each picture.
    classify : callable, optional
        For captions that name digits: from pictures [M, 28, 28], float32 from 0 to 1, to digits
        [M] from 0 to 9. See `read`.

    Raises
    ------
    ValueError
        If pictures or captions are not of this form, their numbers differ, or captions name digits
        and `classify` is None.
    """
    specs = captions if isinstance(captions, Specifications) else parse(captions)
    x = check_images(images)
    if len(specs) != len(x):
        raise ValueError(f"{len(specs)} captions for {len(x)} images; pass one for each")
    digits = (specs.noun >= len(SHAPES)).any(axis=1)
    if digits.any() and classify is None:
        raise ValueError(
            f"caption {digits.argmax()} names digits, and classify is None; pass a function from "
            "pictures [M, 28, 28] to digits [M]"
        )
    out = np.zeros((len(fields(Scores)), len(x)), bool)
    for group, reader in ((~digits, None), (digits, classify)):
        rows = np.flatnonzero(group)
        if len(rows):
            out[:, rows] = _compare(read(x[rows], classify=reader), specs[rows])
    return Scores(*out)


def _compare(readings: Readings, specs: Specifications) -> Array:
    """Return the scores of readings, [8, N], in the order of the fields of `Scores`."""
    n = len(specs)
    counts = np.bincount(readings.picture, minlength=n)
    slot = np.arange(len(readings.picture)) - (np.cumsum(counts) - counts)[readings.picture]
    first = slot < MOST_OBJECTS  # where there are more, the count is wrong
    at = readings.picture[first], slot[first]

    def table(values: Array, fill: float = NO_OBJECT) -> Array:
        out = np.full((n, MOST_OBJECTS), fill)
        out[at] = values[first]
        return out

    good = (readings.overlap >= LEAST_OVERLAP) & (readings.colour_error <= MOST_COLOUR_ERROR)
    noun = np.where(good, readings.noun, NO_MATCH)
    objects = np.where(good, _coded(readings.noun, readings.colour, readings.size), NO_MATCH)
    wanted = np.where(
        specs.noun >= 0, _coded(specs.noun, specs.colour, specs.size), NO_OBJECT
    )  # [N, 4]
    count = counts == specs.n_objects
    colour, shape, size, binding = (
        count & (np.sort(shown) == np.sort(said)).all(axis=1)
        for shown, said in (
            (table(readings.colour), specs.colour),
            (table(noun), specs.noun),
            (table(readings.size), specs.size),
            (table(objects), wanted),
        )
    )
    background = (
        (readings.background == specs.background)
        & (readings.background_error <= MOST_BACKGROUND_ERROR)
        & (readings.background_noise <= MOST_BACKGROUND_NOISE)
    )
    x, y = table(readings.x, np.nan), table(readings.y, np.nan)
    position = _placed(specs, count, table(objects), wanted, x, y)
    right = background & count & binding & position
    return np.stack([background, count, colour, shape, size, binding, position, right])


def _coded(noun: Array, colour: Array, size: Array) -> Array:
    """Return one number for an object's noun, colour and size."""
    whole = noun.astype(np.int64) * len(COLOURS) + colour
    return np.asarray(whole * (len(SIZES) + 1) + size + 1)


def _placed(
    specs: Specifications, count: Array, objects: Array, wanted: Array, x: Array, y: Array
) -> Array:
    """Return whether positions and relations are right, [N]; true where there are none."""
    placed = np.ones(len(specs), bool)
    one = specs.kind == KINDS.index("one")
    centre = CENTRES[specs.position[:, 0]]  # [N, 2]
    away = np.maximum(np.abs(x[:, 0] - centre[:, 0]), np.abs(y[:, 0] - centre[:, 1]))
    placed[one] = (count & (away < NEAR))[one]

    pair = specs.kind == KINDS.index("relation")
    is_above = (specs.relation == RELATIONS.index("above"))[:, None]
    along = np.where(is_above, y, x)  # [N, 4]
    forward = (objects[:, :2] == wanted[:, :2]).all(axis=1) & (along[:, 1] - along[:, 0] > FAR)
    backward = (objects[:, 1::-1] == wanted[:, :2]).all(axis=1) & (along[:, 0] - along[:, 1] > FAR)
    placed[pair] = (count & (forward | backward))[pair]
    return placed
