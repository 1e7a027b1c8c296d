"""Bases of the schedulers with sigmas: the index of the step, its row, and its noise level."""

from typing import Any

import numpy as np
import torch
from diffusers.utils import logging
from torch import Tensor

from unsup_fast.kernels.noise import noise as add
from unsup_fast.schedulers._fused import Fused, Timestep, is_half, same_shape, state, unchanged
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table

_logger = logging.get_logger(__name__)


def later(path: Path, begin: int) -> Path:
    """Return the rest of a path, from a step on."""
    levels: dict[str, Any] = path._asdict()
    cut: dict[str, Any] = {
        name: x[begin:] for name, x in levels.items() if isinstance(x, np.ndarray)
    }
    return path._replace(**cut)


class Stepwise(Fused):
    """Base of the schedulers that count their steps.

    A subclass defines the path of its sigmas (`_path`, `_level`) and the table of that path
    (`_make`).
    """

    _table: Table | None = None
    _rows: Tensor | None = None
    _begun = 0
    _table_of: tuple[Any, ...] = ()
    _noise_levels: tuple[Array, Array] | None = None
    _noise_levels_of: tuple[Any, ...] = ()
    _positions: dict[float, int] | None = None
    _positions_of: list[float] | None = None

    sigmas: Tensor
    _step_index: Any
    _begin_index: int | None

    def _path(self, sigmas: Array, timesteps: Array) -> Path:
        raise NotImplementedError

    def _level(self, sigmas: Array) -> tuple[Array, Array]:
        """Return the weights of image and noise at sigmas."""
        raise NotImplementedError

    def _make(self, path: Path, begin: int) -> Table:
        raise NotImplementedError

    def _prepare(self) -> None:
        self._restart()
        self._table_from(0)

    def _table_from(self, begin: int) -> Table | None:
        """Return the table of a run that begins at a step; None if diffusers' own step has to run.

        It is computed anew if the last table is of another run.
        """
        now = state(self.sigmas, self.timesteps, self.config)
        if self._begun != begin or not unchanged(self._table_of, now):
            self._begun, self._table_of = begin, now
            self._table = self._attempt(self._compute)
            self._rows = None if self._table is None else torch.from_numpy(self._table.rows)
        return self._table

    def _compute(self) -> tuple[Table, Array]:
        sigmas = self.sigmas.double().cpu().numpy()
        times = np.asarray(self._times()[: sigmas.size - 1], np.float64)
        path = self._path(sigmas[: times.size + 1], times)
        table = self._make(later(path, self._begun), self._begun)
        return table, table.rows

    def _first_row(self, step_index: int) -> int:
        """Return the step whose row is the first in the table of a run that begins at a step."""
        return 0

    def _init_step_index(self, timestep: Timestep | None) -> None:
        """Set the first step of a run, as diffusers does, but without reading the device."""
        begin = self._begin_index
        if begin is None:
            if timestep is None:
                raise ValueError("timestep is None; pass an entry of scheduler.timesteps")
            begin = self._find(timestep)
        self._step_index = begin
        self._table_from(self._first_row(self._step_index))

    def _find(self, timestep: Timestep) -> int:
        """Return the step at a timestep; the second of several, as diffusers has it."""
        times = self._times()
        if self._positions is None or self._positions_of is not times:
            positions: dict[float, list[int]] = {}
            for i, t in enumerate(times):
                positions.setdefault(t, []).append(i)
            self._positions = {t: steps[:2][-1] for t, steps in positions.items()}
            self._positions_of = times
        if not is_half(timestep):
            step = self._positions.get(self._value(timestep))
            if step is not None:
                return step
        if isinstance(timestep, torch.Tensor):
            timestep = timestep.to(self.timesteps.device)
        steps = (self.timesteps == timestep).nonzero().flatten().tolist()  # as torch promotes types
        return int(steps[:2][-1]) if steps else self._missing(timestep)

    def _missing(self, timestep: Timestep) -> int:
        """Return the step for a timestep that the scheduler does not have, or raise."""
        rounded = f", rounded to {timestep.dtype}," if is_half(timestep) else ""
        raise ValueError(
            f"timestep={float(timestep):g}{rounded} is none of the scheduler's "
            f"{len(self._times())} timesteps; pass an entry of scheduler.timesteps"
        )

    def _row(self, timestep: Timestep) -> tuple[Tensor, Table] | None:
        """Return the row of the present step, or None if diffusers' own step has to run."""
        if self._step_index is None:
            self._init_step_index(timestep)
        table = self._table_from(self._begun)
        row = self._step_index - self._begun
        if table is None or self._rows is None or row < 0:
            return None
        if row >= len(self._rows):
            times, hint = self._times(), "set_timesteps for another run"
            if len(times) > 1 and times[0] == times[1] and self._begin_index is None:
                hint = (
                    "set_begin_index(0) before the first step, for the first two timesteps are "
                    "equal and diffusers begins at the second"
                )
            raise ValueError(f"all {len(times)} steps are taken; call {hint}")
        return self._rows[row], table

    def _levels(self, timesteps: Timestep) -> tuple[float | Tensor, float | Tensor]:
        """Return the weights of image and noise at timesteps: two numbers, or float64 [B] each."""
        now = state(self.sigmas, self.config)
        if self._noise_levels is None or not unchanged(self._noise_levels_of, now):
            with np.errstate(all="ignore"):
                self._noise_levels = self._level(self.sigmas.double().cpu().numpy())
            self._noise_levels_of = now
        if self._begin_index is None:
            steps = self._find_all(timesteps)
        else:
            steps = [self._begin_index if self._step_index is None else self._step_index]
        signal, sigma = (levels[steps] for levels in self._noise_levels)
        if len(set(steps)) == 1:
            return float(signal[0]), float(sigma[0])
        return torch.from_numpy(signal), torch.from_numpy(sigma)

    def _find_all(self, timesteps: Timestep) -> list[int]:
        """Return the steps at timesteps."""
        if not isinstance(timesteps, torch.Tensor):
            timesteps = torch.as_tensor(timesteps)
        if timesteps.numel() == 1:
            return [self._find(timesteps)]
        timesteps = timesteps.flatten()
        return [self._find(t) for t in (timesteps if is_half(timesteps) else timesteps.tolist())]

    def _noisy(self, image: Tensor, noise: Tensor, timesteps: Timestep) -> Tensor:
        """Return images with the noise of timesteps."""
        n = np.size(timesteps) if not isinstance(timesteps, torch.Tensor) else timesteps.numel()
        image, noise = same_shape(image, noise, n)
        signal, sigma = self._levels(timesteps)
        return add(image, signal, sigma, eps=noise)


class NoiseAdding(Stepwise):
    """Base of the schedulers with `add_noise`."""

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return the images with the noise of timesteps, the weights in float64.

        As in diffusers, it is the noise of the present step within a run (for inpainting), and that
        of `set_begin_index` before it, whatever the timesteps.

        Parameters
        ----------
        original_samples, noise : tensor of shape (B, ...)
        timesteps : tensor of shape (B,) or (1,)

        Returns
        -------
        tensor of shape (B, ...)
        """
        return self._noisy(original_samples, noise, timesteps)


class InputScaling(NoiseAdding):
    """Base of the schedulers whose model takes a scaled sample."""

    is_scale_input_called = False

    def scale_model_input(self, sample: Tensor, timestep: Timestep | None = None) -> Tensor:
        """Return the input of the model: the sample over its standard deviation.

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
        table = self._table_from(self._begun)
        if table is None or not 0 <= self._step_index < len(table.scales):
            theirs: Tensor = super().scale_model_input(sample, timestep)  # type: ignore[misc]
            return theirs
        scale = float(table.scales[self._step_index])
        return sample if scale == 1 else sample * scale

    def _require_scaled(self) -> None:
        if not self.is_scale_input_called:
            _logger.warning("call scale_model_input before the model, or it sees the wrong scale")
            self.is_scale_input_called = True
