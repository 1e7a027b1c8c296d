"""Schedulers that walk along sigmas: where they stand, and noise of the level they stand at."""

from typing import Any

import numpy as np
import torch
from diffusers.utils import logging

from unsup_fast.kernels.noise import noise as add
from unsup_fast.models.diffusion.path import Path
from unsup_fast.models.diffusion.schedules import Array
from unsup_fast.models.diffusion.table import Table
from unsup_fast.schedulers._fused import Fused, alike, state, unchanged

_logger = logging.get_logger(__name__)


def later(path: Path, begin: int) -> Path:
    """Return the path from a step on."""
    levels: dict[str, Any] = path._asdict()
    cut: dict[str, Any] = {
        name: x[begin:] for name, x in levels.items() if isinstance(x, np.ndarray)
    }
    return path._replace(**cut)


class Walking(Fused):
    """Base of the schedulers that count their steps.

    A subclass says what path its sigmas are (`_path`) and which table goes along it (`_make`).
    """

    _table: Table | None = None
    _rows: Any = None
    _begun = 0
    _made_of: tuple[Any, ...] = ()
    _way: Path | None = None

    sigmas: Any
    _step_index: Any
    _begin_index: Any

    def _path(self, sigmas: Array, timesteps: Array) -> Path:
        raise NotImplementedError

    def _make(self, path: Path, begin: int) -> Table:
        raise NotImplementedError

    def _prepare(self) -> None:
        self._restart()
        self._table_from(0)

    def _table_from(self, begin: int) -> Table:
        """Return the table of a run that begins at a step, and make it if there is none yet."""
        now = state(self.sigmas, self.timesteps, self.config)
        if self._table is None or self._begun != begin or not unchanged(self._made_of, now):
            times = np.asarray(self._times(), np.float64)
            sigmas = self.sigmas.double().cpu().numpy()[: times.size + 1]
            self._way = self._path(sigmas, times)
            self._table = self._make(later(self._way, begin), begin)
            self._rows = torch.from_numpy(self._table.rows)
            self._begun, self._made_of = begin, now
        return self._table

    def _init_step_index(self, timestep: Any) -> None:
        """Find the step that a run begins with: diffusers' own way, but without the device."""
        begin = self._begin_index
        self._step_index = self._find(self._value(timestep)) if begin is None else begin
        self._table_from(self._step_index)

    def _find(self, t: float) -> int:
        """Return the step at a timestep; the second of several, as diffusers has it."""
        found = [i for i, each in enumerate(self._times()) if each == t]
        if not found:
            raise ValueError(
                f"timestep={t:g} is none of the scheduler's {len(self._times())} timesteps; pass "
                "an entry of scheduler.timesteps"
            )
        return found[1] if len(found) > 1 else found[0]

    def _row(self, timestep: Any) -> tuple[Any, Table]:
        """Return the row of the present step."""
        if self._step_index is None:
            self._init_step_index(timestep)
        table = self._table_from(self._begun)
        at = self._step_index - self._begun
        if not 0 <= at < len(self._rows):
            raise ValueError(
                f"all {len(self._times())} steps are taken; call set_timesteps for another run"
            )
        return self._rows[at], table

    def _levels(self, timesteps: Any, n: int) -> tuple[Any, Any]:
        """Return the weights of image and noise: two numbers, or float64 [B] each."""
        if self._way is None:
            self._table_from(0)
        if self._begin_index is None:
            many = isinstance(timesteps, torch.Tensor) and timesteps.numel() > 1
            values = timesteps.tolist() if many else [self._value(timesteps)]
            steps = [self._find(t) for t in values]
        else:
            steps = [self._begin_index if self._step_index is None else self._step_index]
        way = self._way
        assert way is not None
        if len(set(steps)) == 1:
            signal, sigma = self._level(way, steps[0])
            return signal, sigma
        if len(steps) != n:
            raise ValueError(f"timesteps has {len(steps)} entries for {n} samples; pass one each")
        levels = torch.tensor([self._level(way, i) for i in steps], dtype=torch.float64)
        return levels[:, 0], levels[:, 1]

    def _level(self, way: Path, i: int) -> tuple[float, float]:
        if i < way.signal.size:
            return float(way.signal[i]), float(way.sigma[i])
        return float(way.next_signal[-1]), float(way.next_sigma[-1])


class Adding(Walking):
    """Base of those that have `add_noise`."""

    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> Any:
        """Return the images with the noise of timesteps, the weights in float64.

        Within a run it is the noise of the present step (for inpainting), before it that of
        `set_begin_index`, whatever the timesteps: this is how diffusers has it.

        Parameters
        ----------
        original_samples, noise : tensor of shape (B, ...)
        timesteps : tensor of shape (B,) or (1,)

        Returns
        -------
        tensor of shape (B, ...)
        """
        image, noise = alike(original_samples, noise)
        signal, sigma = self._levels(timesteps, len(image))
        return add(image, signal, sigma, eps=noise)


class Scaling(Adding):
    """Base of those whose model sees a scaled sample."""

    is_scale_input_called = False

    def scale_model_input(self, sample: Any, timestep: Any = None) -> Any:
        """Return what the model is to see: the sample over its standard deviation.

        Parameters
        ----------
        sample : tensor of shape (B, ...)
        timestep : int or tensor

        Returns
        -------
        tensor of shape (B, ...)
        """
        self.is_scale_input_called = True
        if self._step_index is None:
            self._init_step_index(timestep)
        scale = float(self._table_from(self._begun).scales[self._step_index - self._begun])
        return sample if scale == 1 else sample * scale

    def _require_scaled(self) -> None:
        if not self.is_scale_input_called:
            _logger.warning("call scale_model_input before the model, or it sees the wrong scale")
            self.is_scale_input_called = True
