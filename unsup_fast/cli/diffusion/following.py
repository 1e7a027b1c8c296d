"""Callbacks of a training: show progress, draw samples, and stop at the time limit."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unsup_fast import pictures
from unsup_fast.cli.diffusion import models, runs
from unsup_fast.cli.progress import Silent
from unsup_fast.report.numbers import count, real, short

GRID, ROW = 64, 8
SAMPLER, STEPS = "dpm++2m", 20
MOST_ROWS = 10


class Following:
    """Follows a training.

    Parameters
    ----------
    run : Path
        Directory of the run.
    steps : int
    minutes : float or None
        Training time after which it is stopped.
    batch_size, seed : int
    progress : Silent

    Attributes
    ----------
    over : bool
        Whether the minutes were over.
    """

    def __init__(
        self,
        run: Path,
        steps: int,
        minutes: float | None,
        batch_size: int,
        seed: int,
        progress: Silent,
    ) -> None:
        self.over = False
        self._run, self._steps, self._seed = run, steps, seed
        self._limit = None if minutes is None else 60 * minutes
        self._batch_size = batch_size
        self._progress = progress

    def step(self, state: Any, losses: Mapping[str, float], rate: float) -> bool:
        """Show how far it is; return whether its time is over."""
        share = state.step / self._steps
        left = (self._steps - state.step) * self._batch_size / max(rate, 1e-9)
        if self._limit is not None:
            share = max(share, min(1.0, state.seconds / self._limit))
            left = min(left, max(0.0, self._limit - state.seconds))
        figures = ", ".join(f"{name} {real(value)}" for name, value in losses.items())
        self._progress.moved(
            f"step {count(state.step)} of {count(self._steps)}",
            f"{figures}, {short(rate)} pictures/s",
            share,
            left,
        )
        self.over = self._limit is not None and state.seconds >= self._limit
        return self.over

    def show(self, model: Any, step: int) -> None:
        """Draw samples."""
        draw(self._run, model, step, self._seed)


def draw(run: Path, model: Any, step: int, seed: int) -> None:
    """Write samples of the averaged weights after a step, those of a class in a row."""
    path = runs.grid_path(run, step)
    path.parent.mkdir(exist_ok=True)
    rows = min(len(model.config.classes), MOST_ROWS)
    n = ROW * rows or GRID
    samples = model.sample(
        n,
        sampler=SAMPLER,
        steps=min(STEPS, model.config.n_timesteps),
        label=models.spread(range(rows), n),
        seed=seed,
    )
    pictures.save_grid(path, samples, columns=ROW)
