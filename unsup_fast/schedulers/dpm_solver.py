"""`FusedDPMSolverMultistep`: DPM-Solver++ (Lu et al. 2022), with noise or without."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_utils import SchedulerOutput
from torch import Tensor

from unsup_fast.kernels.denoise import denoise
from unsup_fast.schedulers._fused import (
    Generators,
    Timestep,
    alike,
    is_plain,
    signature_of,
)
from unsup_fast.schedulers._multistep import Multistep
from unsup_fast.schedulers._sigmas import later
from unsup_fast.solvers import dpm_solver
from unsup_fast.solvers.path import Path
from unsup_fast.solvers.table import Table

SHORT = 15  # steps below which diffusers lowers the order of the last two
LEARNED = ("learned", "learned_range")


class FusedDPMSolverMultistep(Multistep, DPMSolverMultistepScheduler):  # type: ignore[misc]
    """`diffusers.DPMSolverMultistepScheduler` whose step is one pass; the options are diffusers'.

    Where a gradient is asked for, and for the algorithms that diffusers has deprecated, "dpmsolver"
    and "sde-dpmsolver", diffusers' own step runs.
    """

    KNOWN = (
        "num_train_timesteps beta_start beta_end beta_schedule trained_betas solver_order "
        "prediction_type thresholding dynamic_thresholding_ratio sample_max_value algorithm_type "
        "solver_type lower_order_final euler_at_final use_karras_sigmas use_exponential_sigmas "
        "use_beta_sigmas use_lu_lambdas use_flow_sigmas flow_shift final_sigmas_type "
        "lambda_min_clipped variance_type timestep_spacing steps_offset rescale_betas_zero_snr "
        "use_dynamic_shifting time_shift_type"
    )
    __module__ = "unsup_fast"
    _compatibles = DPMSolverMultistepScheduler._compatibles

    @signature_of(DPMSolverMultistepScheduler.__init__)
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._check_options()

    def _allowed(self) -> dict[str, Sequence[Any]]:
        return {
            "algorithm_type": ("dpmsolver++", "sde-dpmsolver++"),
            "solver_order": (1, 2, 3),
            "prediction_type": self._predictions(),
        }

    @signature_of(DPMSolverMultistepScheduler.set_timesteps)
    def set_timesteps(self, *args: object, **options: object) -> None:
        """Set timesteps and sigmas, as diffusers does, and compute the table."""
        super().set_timesteps(*args, **options)
        self._prepare()

    def _make(self, path: Path, begin: int) -> Table:
        config = self.config
        options = {
            "stochastic": config.algorithm_type == "sde-dpmsolver++",
            "kind": config.solver_type,
            "prediction": self.config.prediction_type,
        }
        short = config.lower_order_final and len(self._times()) < SHORT
        table = dpm_solver(path, order=config.solver_order, lower_order_final=short, **options)
        if config.euler_at_final:
            table.rows[-1] = dpm_solver(later(path, -1), order=1, **options).rows[0]
        return table

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        generator: Generators = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple[Tensor, ...]:
        """Return the sample of the next timestep.

        Parameters
        ----------
        model_output, sample : tensor of shape (B, ...)
        timestep : int or tensor
            An entry of `timesteps`.
        generator : torch.Generator or list of them, optional
            With "sde-dpmsolver++", the source of the noise; by default the kernel draws it, from
            torch's global seed.
        variance_noise : tensor of shape (B, ...), optional
            The noise itself.
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
        output = model_output
        if self.config.variance_type in LEARNED and self.config.prediction_type == "epsilon":
            output = output[:, : sample.shape[1]]
        step = self._row(timestep) if is_plain(output, sample) else None
        if step is None:
            return super().step(
                model_output, timestep, sample, generator, variance_noise, return_dict
            )
        row, table = step
        x, output = alike(sample, output)
        noise: dict[str, Any] = {}
        if self.config.algorithm_type == "sde-dpmsolver++":
            if variance_noise is None:
                noise = self._drawn(x, generator, torch.float32)
            else:
                noise = {"noise": variance_noise.to(x)}
        stored = torch.empty_like(x)
        prev_sample = denoise(
            x,
            output,
            row,
            history=self._history(table, row),
            threshold=self._threshold(),
            keep=stored,
            **noise,
        )
        self._append(stored)
        self._step_index += 1
        return SchedulerOutput(prev_sample=prev_sample) if return_dict else (prev_sample,)
