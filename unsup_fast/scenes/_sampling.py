"""Random specifications: sample i of a seed depends on nothing else."""

from itertools import permutations

import numpy as np

from unsup_fast._types import Array
from unsup_fast.scenes import _vocabulary as vocabulary
from unsup_fast.scenes._glyphs import Glyphs
from unsup_fast.scenes._philox import below, words
from unsup_fast.scenes._specifications import Specifications
from unsup_fast.scenes._vocabulary import (
    COLOURS,
    DIGITS,
    JITTER,
    MOST_OBJECTS,
    SHAPES,
)

SHARES = (0.35, 0.35, 0.2, 0.1)  # of the kinds
LIMITS = (np.cumsum(SHARES)[:3] * 2**32).astype(np.uint64)
ROWS_AND_COLUMNS = np.array(
    [(0, 1), (2, 3), (0, 2), (1, 3)]
)  # positions of left of twice, and above
PERMUTATIONS = np.array(list(permutations(range(4))))
# Positions of the random words of a sample; four each from JITTERS and GLYPHS on.
KIND, BACKGROUND, COMBINATION, SIZE, SIZE_2, POSITION, COUNT, WORDING = range(8)
JITTERS_X, JITTERS_Y, GLYPHS, N_WORDS = 8, 12, 16, 20


def sample(
    n: int, seed: int, split: str, start: int, glyphs: Glyphs | None = None
) -> Specifications:
    """Return the specifications of samples start to start + n - 1."""
    random = words(seed, np.arange(start, start + n, dtype=np.uint64), N_WORDS)  # [N, 20]
    specs = Specifications.empty(n)
    specs.kind[:] = np.searchsorted(LIMITS, random[:, KIND], side="right")
    specs.background[:] = below(2, random[:, BACKGROUND])
    specs.wording[:] = below(2, random[:, WORDING])
    one, relation, several, two = (specs.kind == k for k in range(4))

    specs.n_objects[:] = np.where(one, 1, np.where(several, 2 + below(3, random[:, COUNT]), 2))
    present = np.arange(MOST_OBJECTS) < specs.n_objects[:, None]  # [N, 4]

    rows = below(4, random[:, POSITION])
    specs.relation[relation] = (rows // 2)[relation]
    positions = PERMUTATIONS[below(len(PERMUTATIONS), random[:, POSITION])]  # [N, 4]
    positions[one, 0] = below(5, random[:, POSITION])[one]
    positions[relation, :2] = ROWS_AND_COLUMNS[rows[relation]]
    specs.position[present] = positions[present]

    nouns = range(len(SHAPES)) if glyphs is None else range(len(SHAPES), len(SHAPES + DIGITS))
    noun, colour = _combinations(nouns, split, relation | two, random[:, COMBINATION])  # [N, 2]
    slots = np.where((relation | two)[:, None], np.array([0, 1, 0, 0]), 0)  # which of the two
    specs.noun[present] = np.take_along_axis(noun, slots, axis=1)[present]
    specs.colour[present] = np.take_along_axis(colour, slots, axis=1)[present]
    if glyphs is None:
        sizes = np.stack([below(2, random[:, SIZE]), below(2, random[:, SIZE_2])], axis=1)
        specs.size[present] = np.take_along_axis(sizes, slots, axis=1)[present]
    else:
        specs.glyph[present] = glyphs.pick(
            specs.noun[present] - len(SHAPES), random[:, GLYPHS : GLYPHS + MOST_OBJECTS][present]
        )

    centres = vocabulary.CENTRES[specs.position]  # [N, 4, 2]
    for axis, (out, first) in enumerate(((specs.x, JITTERS_X), (specs.y, JITTERS_Y))):
        uniform = random[:, first : first + MOST_OBJECTS] / 2**31 - 1  # [N, 4], in [-1, 1)
        out[present] = (centres[..., axis] + JITTER * uniform)[present]
    return specs


def _combinations(nouns: range, split: str, is_pair: Array, random: Array) -> tuple[Array, Array]:
    """Return nouns and colours [N, 2] of two objects, the second for pairs alone.

    All allowed combinations, and all allowed pairs of two different ones, are equally likely.
    """
    is_held = vocabulary.held(nouns).ravel()  # [nouns * 8]
    first, second = (each.ravel() for each in np.indices((len(is_held), len(is_held))))
    with_held = is_held[first] | is_held[second]
    allowed = {"train": ~is_held, "held": is_held, "any": np.ones_like(is_held)}[split]
    allowed_pairs = {"train": ~with_held, "held": with_held, "any": np.ones_like(with_held)}[split]
    singles = np.flatnonzero(allowed)
    pairs = np.flatnonzero(allowed_pairs & (first != second))
    pair = pairs[below(len(pairs), random)]
    single = singles[below(len(singles), random)]
    chosen = np.stack(
        [np.where(is_pair, first[pair], single), np.where(is_pair, second[pair], single)], axis=1
    )  # [N, 2]
    return nouns.start + chosen // len(COLOURS), chosen % len(COLOURS)
