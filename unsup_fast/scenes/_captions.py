"""Captions of scenes, and their reading."""

import re
from collections.abc import Sequence
from typing import NoReturn

from unsup_fast.scenes._specifications import Specifications
from unsup_fast.scenes._vocabulary import (
    BACKGROUNDS,
    COLOURS,
    COUNTS,
    INVERSE,
    KINDS,
    NOUNS,
    POSITIONS,
    RELATIONS,
    SHAPES,
    SIZES,
    plural,
)

ONE, RELATION, SEVERAL, TWO = range(len(KINDS))
MIDDLE = POSITIONS.index("middle")
PLURALS = tuple(plural(noun) for noun in NOUNS)
FORMS = (
    "'a small red circle at the top left on black', 'a large blue ring left of a small cyan cross "
    "on grey', 'three large white squares on black' or 'a red seven and a blue two on grey'"
)
SHOWN = 100  # characters of a caption in an error message


def captions_of(specs: Specifications) -> list[str]:
    """Return a caption for each scene."""
    columns = (
        specs.kind,
        specs.background,
        specs.relation,
        specs.wording,
        specs.n_objects,
        specs.noun,
        specs.colour,
        specs.size,
        specs.position[:, 0],
    )
    return [_caption(*row) for row in zip(*(each.tolist() for each in columns), strict=True)]


def _caption(
    kind: int,
    background: int,
    relation: int,
    wording: int,
    n_objects: int,
    noun: list[int],
    colour: list[int],
    size: list[int],
    position: int,
) -> str:
    def said(k: int) -> str:
        return (f"{SIZES[size[k]]} " if size[k] >= 0 else "") + f"{COLOURS[colour[k]]}"

    def one(k: int) -> str:
        words = f"{said(k)} {NOUNS[noun[k]]}"
        return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"

    if kind == ONE:
        preposition = "in" if wording or position == MIDDLE else "at"
        text = f"{one(0)} {preposition} the {POSITIONS[position]}"
    elif kind == RELATION:
        if wording:
            text = f"{one(1)} {INVERSE[relation]} {one(0)}"
        else:
            text = f"{one(0)} {RELATIONS[relation]} {one(1)}"
    elif kind == SEVERAL:
        text = f"{COUNTS[n_objects - 2]} {said(0)} {PLURALS[noun[0]]}"
    else:
        text = f"{one(0)} and {one(1)}"
    return f"{text} on {BACKGROUNDS[background]}"


def _any_of(words: Sequence[str]) -> str:
    return "(" + "|".join(words) + ")"


_OBJECT = rf"an? (?:{_any_of(SIZES)} )?{_any_of(COLOURS)} {_any_of(NOUNS)}"
_END = rf" on {_any_of(BACKGROUNDS)}"
_PATTERNS = (
    re.compile(rf"{_OBJECT} (in|at) the {_any_of(POSITIONS)}{_END}"),
    re.compile(rf"{_OBJECT} {_any_of(RELATIONS + INVERSE)} {_OBJECT}{_END}"),
    re.compile(
        rf"{_any_of(COUNTS)} (?:{_any_of(SIZES)} )?{_any_of(COLOURS)} {_any_of(PLURALS)}{_END}"
    ),
    re.compile(rf"{_OBJECT} and {_OBJECT}{_END}"),
)
_VOCABULARY = (
    *("a", "an", "in", "at", "the", "on", "and"),
    *(*COUNTS, *SIZES, *COLOURS, *NOUNS, *PLURALS, *POSITIONS, *RELATIONS, *INVERSE, *BACKGROUNDS),
)
_WORDS = frozenset(word for words in _VOCABULARY for word in words.split())


def parse(captions: str | Sequence[str]) -> Specifications:
    """Return what captions say.

    Parameters
    ----------
    captions : str or sequence of str
        Captions as `draw` writes them; upper case, surplus spaces and a final full stop are
        allowed.

    Returns
    -------
    Specifications
        Those of a single caption have length 1.

    Raises
    ------
    ValueError
        If a caption is none of a scene; it says which word, and what is allowed.
    """
    captions = [captions] if isinstance(captions, str) else list(captions)
    specs = Specifications.empty(len(captions))
    for i, caption in enumerate(captions):
        _parse(specs, i, str(caption))
    return specs


def _parse(specs: Specifications, i: int, caption: str) -> None:
    text = " ".join(caption.lower().split()).removesuffix(".")
    matches = [pattern.fullmatch(text) for pattern in _PATTERNS]
    matching = [(k, match) for k, match in enumerate(matches) if match is not None]
    if not matching:
        _refuse(i, caption, text)
    kind, match = matching[0]
    groups = list(match.groups())
    specs.kind[i] = kind
    specs.background[i] = BACKGROUNDS.index(groups.pop())
    specs.wording[i] = 0
    specs.n_objects[i] = 1 if kind == ONE else 2
    if kind == ONE:
        objects = [groups[:3]]
        specs.position[i, 0] = POSITIONS.index(groups[4])
        specs.wording[i] = groups[3] == "in"
    elif kind == SEVERAL:
        specs.n_objects[i] = n = COUNTS.index(groups[0]) + 2
        objects = [[*groups[1:3], NOUNS[PLURALS.index(groups[3])]]] * n
    elif kind == RELATION:
        objects = [groups[:3], groups[4:]]
        specs.wording[i] = groups[3] in INVERSE
        if groups[3] in INVERSE:
            objects.reverse()
        specs.relation[i] = (RELATIONS + INVERSE).index(groups[3]) % len(RELATIONS)
    else:
        objects = [groups[:3], groups[3:]]
    for k, (size, colour, noun) in enumerate(objects):
        is_shape = noun in SHAPES
        if (size is not None) != is_shape or is_shape != (objects[0][2] in SHAPES):
            _refuse(i, caption, text)
        specs.noun[i, k] = NOUNS.index(noun)
        specs.colour[i, k] = COLOURS.index(colour)
        specs.size[i, k] = SIZES.index(size) if is_shape else -1


def _refuse(i: int, caption: str, text: str) -> NoReturn:
    shown = caption if len(caption) <= SHOWN else f"{caption[:SHOWN]}..."
    unknown = [word for word in text.split() if word not in _WORDS]
    reason = f"{unknown[0]!r} is none of its words; " if unknown and len(unknown[0]) < SHOWN else ""
    raise ValueError(
        f"caption {i}, {shown!r}, is none of a scene: {reason}write sentences such as {FORMS}, "
        "with a size of every shape, and without a size of digits"
    )
