"""`FusedTCD`: sampling by trajectory consistency distillation (Zheng et al. 2024)."""

from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_tcd import TCDScheduler, TCDSchedulerOutput
from torch import Tensor

from unsup_fast.schedulers._distilled import Distilled
from unsup_fast.schedulers._fused import (
    Generators,
    Timestep,
    alike,
    is_plain,
    signature_of,
    step_and_image,
)
from unsup_fast.solvers import tcd
from unsup_fast.solvers.path import vp_path
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table


class FusedTCD(Distilled, TCDScheduler):  # type: ignore[misc]
    """`diffusers.TCDScheduler` whose step is one pass; the options are diffusers'.

    `clip_sample` and `thresholding` have no effect, as in diffusers. Where a gradient is asked
    for, diffusers' own step runs.
    """

    KNOWN = (
        "num_train_timesteps beta_start beta_end beta_schedule trained_betas "
        "original_inference_steps clip_sample clip_sample_range set_alpha_to_one steps_offset "
        "prediction_type thresholding dynamic_thresholding_ratio sample_max_value "
        "timestep_spacing timestep_scaling rescale_betas_zero_snr"
    )
    __module__ = "unsup_fast"
    _compatibles = ["TCDScheduler"]  # noqa: RUF012

    @signature_of(TCDScheduler.__init__)
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._check_options()

    @signature_of(TCDScheduler.set_timesteps)
    def set_timesteps(self, *args: object, **options: object) -> None:
        """Set the timesteps, as diffusers does."""
        super().set_timesteps(*args, **options)
        self._restart()

    def _compute(self, times: list[float], eta: float) -> tuple[Table, Array]:
        if not 0 <= eta <= 1:
            raise ValueError(f"eta={eta} must lie between 0 and 1")
        following = torch.tensor([*times[1:], 0.0])
        # in float32, whose rounding decides between two timesteps in diffusers
        arrivals = torch.floor((1 - eta) * following).numpy()
        path = vp_path(self._alphas(), times, arrivals=np.asarray(arrivals, np.float64))
        table = tcd(path, prediction=self.config.prediction_type)
        return table, table.rows

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        eta: float = 0.3,
        generator: Generators = None,
        return_dict: bool = True,
    ) -> TCDSchedulerOutput | tuple[Tensor, ...]:
        """Return the sample of the next timestep.

        Parameters
        ----------
        model_output, sample : tensor of shape (B, ...)
        timestep : int or tensor
            Best an entry of `timesteps`, which needs no read from the device.
        eta : float
            gamma of the paper: 0 draws no noise, 1 goes through timestep 0 in every step.
        generator : torch.Generator or list of them, optional
            Source of the noise; by default the kernel draws it, from torch's global seed.
        return_dict : bool
            False returns a tuple.

        Returns
        -------
        TCDSchedulerOutput
            ``prev_sample`` and ``pred_noised_sample``.

        Raises
        ------
        ValueError
            If `set_timesteps` was not called, the first timestep of a run is none of `timesteps`,
            or all steps are taken.
        """
        self._require_timesteps()
        row = self._row(timestep, float(eta)) if is_plain(model_output, sample) else None
        if row is None:
            return super().step(model_output, timestep, sample, eta, generator, return_dict)
        x, output = alike(sample, model_output)
        draws = eta > 0 and not self._is_last()
        options: dict[str, Any] = self._drawn(x, generator) if draws else {}
        prev_sample, noised = step_and_image(x, output, row, **options)
        self._step_index += 1
        if not return_dict:
            return prev_sample, noised
        return TCDSchedulerOutput(prev_sample=prev_sample, pred_noised_sample=noised)
