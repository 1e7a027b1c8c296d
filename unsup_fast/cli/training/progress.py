"""Callbacks of a training: show progress, draw samples, and stop at the time limit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unsup_fast import pictures
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.training import folder
from unsup_fast.cli.training.family import Family
from unsup_fast.cli.training.options import TrainingSettings
from unsup_fast.report.numbers import count, real, short


class TrainingProgress:
    """Follows a training.

    Parameters
    ----------
    family : Family
    settings : TrainingSettings
    display : Silent
    """

    def __init__(self, family: Family, settings: TrainingSettings, display: Silent) -> None:
        self._family, self._settings, self._display = family, settings, display
        self._limit = None if settings.minutes is None else 60 * settings.minutes

    def step(self, state: Any, losses: Mapping[str, float], rate: float) -> bool:
        """Show how far it is; return whether its time is over."""
        steps = self._settings.steps
        share = state.step / steps
        left = (steps - state.step) * self._settings.batch_size / max(rate, 1e-9)
        if self._limit is not None:
            share = max(share, min(1.0, state.seconds / self._limit))
            left = min(left, max(0.0, self._limit - state.seconds))
        figures = ", ".join(f"{name} {real(value)}" for name, value in losses.items())
        self._display.moved(
            f"step {count(state.step)} of {count(steps)}",
            f"{figures}, {short(rate)} pictures/s",
            share,
            left,
        )
        return self._limit is not None and state.seconds >= self._limit

    def sample(self, model: Any, step: int) -> None:
        """Draw samples."""
        draw(self._family, self._settings.out, model, step, self._settings.seed)


def draw(family: Family, run: Path, model: Any, step: int, seed: int) -> None:
    """Write a grid of samples of the averaged weights after a step."""
    path = folder.grid_path(run, step)
    path.parent.mkdir(exist_ok=True)
    samples, columns = family.samples(model, seed)
    pictures.save_grid(path, samples, columns=columns)
