"""Trained models, read from the directories of their runs."""

from pathlib import Path
from typing import Any

from unsup_fast import _extras
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.run_folder import RunFolder


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

    RunFolder(run).check_trained()
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
