"""Base of the multistep schedulers, which use the outputs of earlier steps."""

import numpy as np
from torch import Tensor

from unsup_fast.kernels.sampler_terms import (
    ANCHOR_HISTORY,
    N_HISTORY,
    NEXT_HISTORY,
)
from unsup_fast.schedulers._fused import PREDICTIONS, Timestep
from unsup_fast.schedulers._sigmas import NoiseAdding
from unsup_fast.solvers.path import Path, flow_path, normalize, vp_path_from_sigmas
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table


class Multistep(NoiseAdding):
    """Base of the multistep schedulers, whose path is variance preserving or a flow.

    The history is in diffusers' own attributes, so that a step of diffusers can follow one of ours.
    """

    model_outputs: list[Tensor]
    lower_order_nums: int

    def _path(self, sigmas: Array, timesteps: Array) -> Path:
        return (flow_path if self.config.use_flow_sigmas else vp_path_from_sigmas)(
            sigmas, timesteps
        )

    def _predictions(self) -> tuple[str, ...]:
        """Return the prediction types that a table expresses.

        On the path of a flow diffusers takes v as if signal and noise had unit variance, and on the
        other path the flow as if its sigma were that of a flow.
        """
        if self.config.use_flow_sigmas:
            return ("epsilon", "sample", "flow_prediction")
        return PREDICTIONS

    def _level(self, sigmas: Array) -> tuple[Array, Array]:
        return (1 - sigmas, sigmas) if self.config.use_flow_sigmas else normalize(sigmas)

    def _missing(self, timestep: Timestep) -> int:
        """Return the last step, as diffusers does, and warn."""
        last = len(self._times()) - 1
        self._warn(
            f"timestep={float(timestep):g} is none of the scheduler's {last + 1} timesteps, and "
            "the last step is taken for it, as in diffusers; pass an entry of scheduler.timesteps"
        )
        return last

    def _first_row(self, step_index: int) -> int:
        return step_index

    def _row(self, timestep: Timestep) -> tuple[Tensor, Table] | None:
        """Return the row of the present step, or None if diffusers' own step has to run.

        The latter holds if the history has another length than in a run from the table's first
        step, because `_step_index` was set from outside since.
        """
        step = super()._row(timestep)
        n_outputs = min(self._step_index - self._begun, self.config.solver_order)
        return step if self.lower_order_nums == n_outputs else None

    def _history(self, table: Table, row: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of earlier steps that a row uses, the most recent first."""
        if table.history == 0:
            return ()
        values = np.abs(row.numpy())
        used = values[NEXT_HISTORY : NEXT_HISTORY + N_HISTORY]
        used = used + values[ANCHOR_HISTORY : ANCHOR_HISTORY + N_HISTORY]
        n = int(np.flatnonzero(used)[-1]) + 1 if used.any() else 0
        return tuple(self.model_outputs[::-1][:n])

    def _append(self, model_output: Tensor) -> None:
        self.model_outputs[:-1] = self.model_outputs[1:]
        self.model_outputs[-1] = model_output
        self.lower_order_nums = min(self.lower_order_nums + 1, self.config.solver_order)
