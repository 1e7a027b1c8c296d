"""`FusedLCM`: sampling of latent consistency models (Luo et al. 2023)."""

from typing import Any

import numpy as np
from diffusers.schedulers.scheduling_lcm import LCMScheduler, LCMSchedulerOutput
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
from unsup_fast.solvers import lcm
from unsup_fast.solvers.path import vp_path
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table


class FusedLCM(Distilled, LCMScheduler):  # type: ignore[misc]
    """`diffusers.LCMScheduler` whose step is one pass; the options are diffusers'.

    Where a gradient is asked for, diffusers' own step runs.
    """

    KNOWN = (
        "num_train_timesteps beta_start beta_end beta_schedule trained_betas "
        "original_inference_steps clip_sample clip_sample_range set_alpha_to_one steps_offset "
        "prediction_type thresholding dynamic_thresholding_ratio sample_max_value "
        "timestep_spacing timestep_scaling rescale_betas_zero_snr"
    )
    __module__ = "unsup_fast"
    _compatibles = ["LCMScheduler"]  # noqa: RUF012

    @signature_of(LCMScheduler.__init__)
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._check_options()

    @signature_of(LCMScheduler.set_timesteps)
    def set_timesteps(self, *args: object, **options: object) -> None:
        """Set the timesteps, as diffusers does."""
        super().set_timesteps(*args, **options)
        self._restart()

    def _compute(self, times: list[float], eta: float) -> tuple[Table, Array]:
        assert self.num_inference_steps is not None
        following = np.append(times[1:], times[-1])
        # Only the step of this number arrives at the image; with strength < 1 and timesteps of
        # one's own diffusers never takes it, and ends with noise at its last timestep.
        following[self.num_inference_steps - 1 :] = -1
        table = lcm(
            vp_path(self._alphas(), times, arrivals=following),
            timestep_scaling=self.config.timestep_scaling,
            prediction=self.config.prediction_type,
            clip=self._clip(),
        )
        return table, table.rows

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        generator: Generators = None,
        return_dict: bool = True,
    ) -> LCMSchedulerOutput | tuple[Tensor, ...]:
        """Return the sample of the next timestep.

        Parameters
        ----------
        model_output, sample : tensor of shape (B, ...)
        timestep : int or tensor
            Best an entry of `timesteps`, which needs no read from the device.
        generator : torch.Generator or list of them, optional
            Source of the noise; by default the kernel draws it, from torch's global seed.
        return_dict : bool
            False returns a tuple.

        Returns
        -------
        LCMSchedulerOutput
            ``prev_sample`` and ``denoised``.

        Raises
        ------
        ValueError
            If `set_timesteps` was not called, the first timestep of a run is none of `timesteps`,
            or all steps are taken.
        """
        self._require_timesteps()
        row = self._row(timestep) if is_plain(model_output, sample) else None
        if row is None:
            return super().step(model_output, timestep, sample, generator, return_dict)
        x, output = alike(sample, model_output)
        options: dict[str, Any] = {} if self._is_last() else self._drawn(x, generator)
        prev_sample, denoised = step_and_image(
            x, output, row, threshold=self._threshold(), **options
        )
        self._step_index += 1
        if not return_dict:
            return prev_sample, denoised
        return LCMSchedulerOutput(prev_sample=prev_sample, denoised=denoised)
