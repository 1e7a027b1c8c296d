"""Trained models, read from the directories of their runs."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unsup_fast import _extras
from unsup_fast._text import valid
from unsup_fast.cli import files
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.values import WHOLE


def check_torch() -> None:
    """Raise an ImportError with the install command if torch is missing."""
    _extras.check("torch", "torch", "a diffusion model")


def load(run: Path, device: Any, steps: int | None = None) -> Any:
    """Return the `Diffusion` of a run.

    Parameters
    ----------
    run : Path
    device : torch.device
    steps : int, optional
        Steps of the sampler: they choose the student, where a run has one for each number.

    Raises
    ------
    UserError
        If there is none, or its file is damaged or of another kind of model.
    """
    from unsup_fast.models import diffusion
    from unsup_fast.models.diffusion.model import student_steps

    if not (run / files.MODEL).is_file():
        begun = (run / files.CHECKPOINT).is_file()
        advice = "go on with its training first" if begun else "train one there first"
        raise UserError(f"{run}: holds no {files.MODEL}; {advice}")
    students = student_steps(run)
    if students and steps is not None and steps not in students:
        raise UserError(
            f"--steps {steps}: {run} has students of {', '.join(map(str, students))} steps; pass "
            "one of these"
        )
    try:
        return diffusion.load(run, device=device, steps=steps if students else None)
    except ValueError as error:
        raise UserError(str(error)) from error


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
