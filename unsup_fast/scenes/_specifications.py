"""What scenes hold, as arrays of numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np

from unsup_fast._types import Array
from unsup_fast.scenes._vocabulary import KINDS, MOST_OBJECTS


@dataclass(frozen=True, eq=False)
class Specifications:
    """What N scenes hold, or what N captions say of them.

    Where there is no object, or the caption does not speak of it, numbers are -1, and coordinates
    NaN. Objects of a relation are in its order: the first is left of the second, or above it.

    Attributes
    ----------
    kind : ndarray of shape (N,), int8
        Index into `KINDS`.
    background : ndarray of shape (N,), int8
        Index into `BACKGROUNDS`.
    relation : ndarray of shape (N,), int8
        Index into `RELATIONS`.
    wording : ndarray of shape (N,), int8
        Which of two wordings the caption has: 1 is "in the" for "at the", and "right of" and
        "below" for "left of" and "above".
    n_objects : ndarray of shape (N,), int8
    noun : ndarray of shape (N, 4), int8
        Index into `SHAPES + DIGITS` of each object.
    colour, size : ndarray of shape (N, 4), int8
        Indices into `COLOURS` and `SIZES`.
    position : ndarray of shape (N, 4), int8
        Index into `POSITIONS`.
    x, y : ndarray of shape (N, 4), float32
        Centres as shares of the side, from the top left corner.
    glyph : ndarray of shape (N, 4), int32
        Which of the pictures of digits is drawn.
    """

    kind: Array
    background: Array
    relation: Array
    wording: Array
    n_objects: Array
    noun: Array
    colour: Array
    size: Array
    position: Array
    x: Array
    y: Array
    glyph: Array

    @classmethod
    def empty(cls, n: int) -> "Specifications":
        """Return specifications of n scenes without objects."""
        one = {name: np.full(n, -1, np.int8) for name in PER_SCENE}
        objects = {
            field.name: np.full((n, MOST_OBJECTS), -1, np.int8)
            for field in fields(cls)
            if field.name not in PER_SCENE
        }
        objects["x"] = np.full((n, MOST_OBJECTS), np.nan, np.float32)
        objects["y"] = objects["x"].copy()
        objects["glyph"] = objects["glyph"].astype(np.int32)
        return cls(**one, **objects)

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> "Specifications":
        """Return specifications from their arrays by name, as `arrays` returns them.

        Raises
        ------
        ValueError
            If one is missing.
        """
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in arrays]:
            raise ValueError(f"specifications lack {', '.join(missing)}; pass {', '.join(names)}")
        return cls(**{name: np.asarray(arrays[name]) for name in names})

    def arrays(self) -> dict[str, Array]:
        """Return the arrays by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def stated(self) -> "Specifications":
        """Return what the captions say: no coordinates, and positions of single objects alone."""
        arrays = self.arrays() | {name: np.full_like(self.x, np.nan) for name in ("x", "y")}
        one = (self.kind == KINDS.index("one"))[:, None]
        arrays["position"] = np.where(one, self.position, -1).astype(np.int8)
        arrays["glyph"] = np.full_like(self.glyph, -1)
        return Specifications(**arrays)

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, rows: slice | Array) -> "Specifications":
        return Specifications(**{name: array[rows] for name, array in self.arrays().items()})

    def __repr__(self) -> str:
        return f"<Specifications of {len(self):,} scenes>"


PER_SCENE = ("kind", "background", "relation", "wording", "n_objects")
