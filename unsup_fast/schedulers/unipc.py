"""`FusedUniPCMultistep`: UniPC (Zhao et al. 2023), corrector and predictor in one pass."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from diffusers.schedulers.scheduling_utils import SchedulerOutput
from torch import Tensor

from unsup_fast.kernels.denoise import denoise
from unsup_fast.schedulers._fused import (
    Timestep,
    alike,
    is_plain,
    signature_of,
)
from unsup_fast.schedulers._multistep import Multistep
from unsup_fast.solvers import unipc
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.table import Table


class FusedUniPCMultistep(Multistep, UniPCMultistepScheduler):  # type: ignore[misc]
    """`diffusers.UniPCMultistepScheduler` whose step is one pass; the options are diffusers'.

    Where a gradient is asked for, with `solver_p`, and with a `solver_order` above 3, diffusers'
    own step runs.
    """

    KNOWN = (
        "num_train_timesteps beta_start beta_end beta_schedule trained_betas solver_order "
        "prediction_type thresholding dynamic_thresholding_ratio sample_max_value predict_x0 "
        "solver_type lower_order_final disable_corrector solver_p use_karras_sigmas "
        "use_exponential_sigmas use_beta_sigmas use_flow_sigmas flow_shift timestep_spacing "
        "steps_offset final_sigmas_type rescale_betas_zero_snr use_dynamic_shifting "
        "time_shift_type sigma_min sigma_max shift_terminal"
    )
    __module__ = "unsup_fast"
    _compatibles = UniPCMultistepScheduler._compatibles

    @signature_of(UniPCMultistepScheduler.__init__)
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._check_options()

    def _allowed(self) -> dict[str, Sequence[Any]]:
        known = self._predictions()
        if not self.config.predict_x0:
            known = tuple(name for name in known if name != "flow_prediction")
        return {"solver_order": (1, 2, 3), "solver_p": (None,), "prediction_type": known}

    @signature_of(UniPCMultistepScheduler.set_timesteps)
    def set_timesteps(self, *args: object, **options: object) -> None:
        """Set timesteps and sigmas, as diffusers does, and compute the table."""
        super().set_timesteps(*args, **options)
        self._prepare()

    def _make(self, path: Path, begin: int) -> Table:
        config = self.config
        return unipc(
            path,
            order=config.solver_order,
            kind=config.solver_type,
            predict_image=config.predict_x0,
            prediction=self.config.prediction_type,
            lower_order_final=config.lower_order_final,
            uncorrected=tuple(i - begin for i in self.disable_corrector),
        )

    def step(
        self, model_output: Tensor, timestep: Timestep, sample: Tensor, return_dict: bool = True
    ) -> SchedulerOutput | tuple[Tensor, ...]:
        """Return the sample of the next timestep.

        Parameters
        ----------
        model_output, sample : tensor of shape (B, ...)
        timestep : int or tensor
            An entry of `timesteps`.
        return_dict : bool
            False returns a tuple.

        Returns
        -------
        SchedulerOutput
            ``prev_sample``.

        Raises
        ------
        ValueError
            If `set_timesteps` was not called, or all steps are taken.
        """
        if self.num_inference_steps is None:
            raise ValueError("the scheduler has no timesteps yet; call set_timesteps first")
        step = self._row(timestep) if is_plain(model_output, sample) else None
        if step is None:
            return super().step(model_output, timestep, sample, return_dict)
        row, table = step
        x, output = alike(sample, model_output)
        stored, corrected = torch.empty_like(x), torch.empty_like(x)
        prev_sample = denoise(
            x,
            output,
            row,
            history=self._history(table, row),
            anchor=self.last_sample,
            threshold=self._threshold() if self.config.predict_x0 else None,
            keep=stored,
            anchor_out=corrected,
        ).to(sample.dtype)
        self._append(stored)
        self._look_back(timestep, corrected)
        self._step_index += 1
        return SchedulerOutput(prev_sample=prev_sample) if return_dict else (prev_sample,)

    def _look_back(self, timestep: Timestep, corrected: Tensor) -> None:
        """Leave what diffusers' own step would need next."""
        left = len(self._times()) - self._step_index
        most = self.config.solver_order
        most = min(most, left) if self.config.lower_order_final else most
        self.this_order = min(most, self._step_index - self._begun + 1)
        self.timestep_list[:-1] = self.timestep_list[1:]
        self.timestep_list[-1] = timestep
        self.last_sample = corrected
