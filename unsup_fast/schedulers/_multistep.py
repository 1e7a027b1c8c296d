"""Schedulers that remember what earlier steps kept."""

from typing import Any

import numpy as np

from unsup_fast.kernels.denoise.terms import (
    ANCHOR_HISTORY,
    N_HISTORY,
    NEXT_HISTORY,
)
from unsup_fast.models.diffusion.path import Path, flow, normalized
from unsup_fast.models.diffusion.schedules import Array
from unsup_fast.models.diffusion.table import Table
from unsup_fast.schedulers._sigmas import Adding


class Remembering(Adding):
    """Base of the multistep schedulers, whose path preserves the variance or is a flow.

    The memory is diffusers' own attributes, so that a step of diffusers can follow one of ours.
    """

    model_outputs: list[Any]
    lower_order_nums: int

    def _path(self, sigmas: Array, timesteps: Array) -> Path:
        return (flow if self.config.use_flow_sigmas else normalized)(sigmas, timesteps)

    def _prediction(self) -> str:
        """Return the prediction type by the name the samplers have for it."""
        name = str(self.config.prediction_type)
        return "flow" if name == "flow_prediction" else name

    def _find(self, t: float) -> int:
        """Return the step at a timestep; the last if there is none, as diffusers has it."""
        return super()._find(t) if t in self._times() else len(self._times()) - 1

    def _history(self, table: Table, row: Any) -> tuple[Any, ...]:
        """Return what earlier steps kept, as far as a row uses it, the most recent first."""
        if table.history == 0:
            return ()
        values = np.abs(row.numpy())
        used = values[NEXT_HISTORY : NEXT_HISTORY + N_HISTORY]
        used = used + values[ANCHOR_HISTORY : ANCHOR_HISTORY + N_HISTORY]
        n = int(np.flatnonzero(used)[-1]) + 1 if used.any() else 0
        return tuple(self.model_outputs[::-1][:n])

    def _remember(self, kept: Any) -> None:
        self.model_outputs[:-1] = self.model_outputs[1:]
        self.model_outputs[-1] = kept
        self.lower_order_nums = min(self.lower_order_nums + 1, self.config.solver_order)
