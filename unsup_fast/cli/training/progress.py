"""Callbacks of a training: show progress, draw samples, and stop at the time limit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unsup_fast import pictures
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.training import folder
from unsup_fast.cli.training.family import Family, Job
from unsup_fast.report.numbers import count, real, short


class TrainingProgress:
    """Follows a training.

    Parameters
    ----------
    job : Job
    display : Silent
    """

    def __init__(self, job: Job, display: Silent) -> None:
        self._job, self._display = job, display
        minutes = job.settings.minutes
        self._limit = None if minutes is None else 60 * minutes

    def step(self, state: Any, losses: Mapping[str, float], rate: float) -> bool:
        """Show how far it is; return whether its time is over."""
        steps = self._job.config.steps
        share = state.step / steps
        examples = self._job.plan.batches * self._job.config.batch_size
        left = (steps - state.step) * examples / max(rate, 1e-9)
        if self._limit is not None:
            share = max(share, min(1.0, state.seconds / self._limit))
            left = min(left, max(0.0, self._limit - state.seconds))
        shown = self._job.family.figures or tuple(losses)
        figures = ", ".join(f"{name} {real(losses[name])}" for name in shown if name in losses)
        stage = self._job.family.stage(self._job, state.step)
        self._display.moved(
            f"step {count(state.step)} of {count(steps)}",
            f"{stage}{': ' if stage else ''}{figures}, {short(rate)} pictures/s",
            share,
            left,
        )
        return self._limit is not None and state.seconds >= self._limit

    def sample(self, model: Any, step: int) -> None:
        """Draw samples."""
        settings = self._job.settings
        draw(self._job.family, settings.out, model, step, settings.seed)


def draw(family: Family, run: Path, model: Any, step: int, seed: int) -> None:
    """Write a grid of samples of the averaged weights after a step."""
    path = folder.grid_path(run, step)
    path.parent.mkdir(exist_ok=True)
    samples, columns = family.samples(model, seed)
    pictures.save_grid(path, samples, columns=columns)
