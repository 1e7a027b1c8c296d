"""Classes of pictures: those that a command names, and those of the data by a model's numbers."""

import re
from collections.abc import Sequence

import numpy as np

from unsup_fast._text import valid
from unsup_fast._types import Array
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.training.data import Data
from unsup_fast.cli.values import WHOLE


def labels_of(words: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Return the numbers of classes that are named by name or number, or as "all".

    All by default; none, for samples whose class is left to the model, as "any".

    Raises
    ------
    UserError
        If the model has no classes, or none of that name or number.
    """
    if words and not classes:
        raise UserError(f"--label {words[0]}: the model has no classes; leave --label out")
    if list(words) == ["any"] and "any" not in classes:
        return []
    labels: list[int] = []
    for word in map(valid, words or ["all"]):
        if word in classes:
            labels.append(list(classes).index(word))
        elif word == "all":
            labels += range(len(classes))
        elif re.fullmatch(f"0|{WHOLE}", word) and int(word) < len(classes):
            labels.append(int(word))
        else:
            raise UserError(
                f"--label {word}: is no class; there are {', '.join(classes)} (or 0 to "
                f"{len(classes) - 1}), all, or any alone"
            )
    return labels


def check_enough(n: int, words: Sequence[str], labels: Sequence[int]) -> None:
    """Refuse fewer pictures than the classes that --label names.

    Raises
    ------
    UserError
        With the least number that will do.
    """
    if words and len(labels) > n:
        raise UserError(
            f"-n {n}: is less than the {len(labels)} classes that --label names; "
            f"pass -n {len(labels)} or more"
        )


def spread(labels: Sequence[int], n: int) -> list[int] | None:
    """Return the class of each of n pictures, those of a class together; None for any class."""
    if not labels:
        return None
    return [labels[i * len(labels) // n] for i in range(n)]


def columns(n_labels: int, n: int) -> int | None:
    """Return the columns of a grid whose rows are the classes, or None if that is no good shape."""
    if n_labels < 2 or n % n_labels or not 1 <= n // n_labels <= 4 * n_labels:
        return None
    return n // n_labels


def labels_for(dataset: Data, classes: tuple[str, ...]) -> Array | None:
    """Return the classes of the pictures by the model's numbers, [N].

    None if the pictures have no classes or some are unknown to the model.
    """
    pictures = dataset.content  # where one class is a class too
    names = [valid(name) for name in pictures.classes]
    if pictures.labels is None or not set(names) <= set(classes):
        return None
    numbers = np.array([classes.index(name) for name in names])
    known: Array = numbers[pictures.labels]
    return known
