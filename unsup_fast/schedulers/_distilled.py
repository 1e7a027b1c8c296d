"""Base of the schedulers of distilled models: steps are counted, and their levels are abar_t's."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unsup_fast.schedulers._alphas import AlphaSchedule
from unsup_fast.schedulers._fused import PREDICTIONS, Timestep, state, unchanged
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table


class Distilled(AlphaSchedule):
    """Base of the schedulers over the timesteps of a distillation.

    A subclass defines the table of a run (`_compute`).
    """

    _table: dict[tuple[int, float, float], Tensor | None] | None = None
    _table_of: tuple[Any, ...] = ()

    num_inference_steps: int | None
    _step_index: Any
    _begin_index: int | None

    def _allowed(self) -> dict[str, Sequence[Any]]:
        return {"prediction_type": PREDICTIONS}

    def _compute(self, times: list[float], eta: float) -> tuple[Table, Array]:
        raise NotImplementedError

    def _init_step_index(self, timestep: Timestep) -> None:
        """Set the first step of a run, as diffusers does, but without reading the device."""
        self._step_index = self._begin_index
        if self._begin_index is None:
            t, times = self._exact_value(timestep), self._times()
            steps = [step for step, each in enumerate(times) if each == t]
            if not steps:
                raise ValueError(
                    f"timestep={t:g} is none of the scheduler's {len(times)} timesteps; pass an "
                    "entry of scheduler.timesteps"
                )
            self._step_index = steps[:2][-1]  # the second of several, as diffusers has it

    def _row(self, timestep: Timestep, eta: float = 0.0) -> Tensor | None:
        """Return the row of the present step, or None if diffusers' own step has to run."""
        if self._step_index is None:
            self._init_step_index(timestep)
        step: int = self._step_index
        now = state(self.timesteps, self.alphas_cumprod, self.config, self.num_inference_steps)
        if self._table is None or not unchanged(self._table_of, now):
            self._table, self._table_of = {}, now
        times = self._times()
        if step >= len(times):
            raise ValueError(
                f"all {len(times)} steps are taken; call set_timesteps for another run"
            )
        t = self._exact_value(timestep)
        key = (step, t, eta)
        if key not in self._table:
            mine = [*times[:step], t, *times[step + 1 :]]
            table = self._attempt(lambda: self._compute(mine, eta))
            rows: list[Tensor | None] = [None] * len(mine)
            if table is not None:
                rows = list(torch.from_numpy(table.rows))
            if mine == times:
                keys = [(each, time, eta) for each, time in enumerate(times)]
                self._table.update(zip(keys, rows, strict=True))
            else:
                self._table[key] = rows[step]
        return self._table[key]

    def _is_last(self) -> bool:
        """Return whether diffusers draws no noise in the present step."""
        assert self.num_inference_steps is not None
        return bool(self._step_index == self.num_inference_steps - 1)

    def _require_timesteps(self) -> None:
        if self.num_inference_steps is None:
            raise ValueError("the scheduler has no timesteps yet; call set_timesteps first")
