"""Captioned pictures that can be checked: simple scenes, and a reader that scores any picture.

    data = scenes.draw(20_000, seed=0)  # .images uint8 [N, 3, 32, 32], .captions, .specifications
    scores = scenes.score(samples, captions)  # of a model, say
    print(scores.means())

Scenes follow from seed and index alone, at any resolution. NumPy and SciPy only.
"""

from unsup_fast.scenes._captions import parse
from unsup_fast.scenes._draw import Scenes, draw, render
from unsup_fast.scenes._reading import Readings, read
from unsup_fast.scenes._scoring import Scores, score
from unsup_fast.scenes._specifications import Specifications
from unsup_fast.scenes._vocabulary import (
    BACKGROUNDS,
    COLOURS,
    DIGITS,
    HELD,
    KINDS,
    POSITIONS,
    RELATIONS,
    SHAPES,
    SIZES,
    SPLITS,
)

__all__ = [
    "BACKGROUNDS",
    "COLOURS",
    "DIGITS",
    "HELD",
    "KINDS",
    "POSITIONS",
    "RELATIONS",
    "SHAPES",
    "SIZES",
    "SPLITS",
    "Readings",
    "Scenes",
    "Scores",
    "Specifications",
    "draw",
    "parse",
    "read",
    "render",
    "score",
]
