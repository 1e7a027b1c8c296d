"""`FusedEulerAncestralDiscrete`: Euler's method with fresh noise in every step."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from diffusers.schedulers.scheduling_euler_ancestral_discrete import (
    EulerAncestralDiscreteScheduler,
    EulerAncestralDiscreteSchedulerOutput,
)
from torch import Tensor

from unsup_fast.schedulers._fused import (
    Generators,
    Timestep,
    alike,
    is_plain,
    refuse_index,
    signature_of,
    step_and_image,
)
from unsup_fast.schedulers._sigmas import InputScaling
from unsup_fast.solvers import euler_ancestral
from unsup_fast.solvers.path import Path, ve_path
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table


class FusedEulerAncestralDiscrete(InputScaling, EulerAncestralDiscreteScheduler):  # type: ignore[misc]
    """`diffusers.EulerAncestralDiscreteScheduler` whose step is one pass; the options are its own.

    Where a gradient is asked for, diffusers' own step runs.
    """

    KNOWN = (
        "num_train_timesteps beta_start beta_end beta_schedule trained_betas prediction_type "
        "timestep_spacing steps_offset rescale_betas_zero_snr"
    )
    __module__ = "unsup_fast"
    _compatibles = EulerAncestralDiscreteScheduler._compatibles

    @signature_of(EulerAncestralDiscreteScheduler.__init__)
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._check_options()

    def _allowed(self) -> dict[str, Sequence[Any]]:
        return {"prediction_type": ("epsilon", "v_prediction")}

    @signature_of(EulerAncestralDiscreteScheduler.set_timesteps)
    def set_timesteps(self, *args: object, **options: object) -> None:
        """Set timesteps and sigmas, as diffusers does, and compute the table."""
        super().set_timesteps(*args, **options)
        self._prepare()

    def _path(self, sigmas: Array, timesteps: Array) -> Path:
        return ve_path(sigmas, timesteps)

    def _level(self, sigmas: Array) -> tuple[Array, Array]:
        return np.ones_like(sigmas), sigmas

    def _make(self, path: Path, begin: int) -> Table:
        return euler_ancestral(path, prediction=self.config.prediction_type)

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        generator: Generators = None,
        return_dict: bool = True,
    ) -> EulerAncestralDiscreteSchedulerOutput | tuple[Tensor, ...]:
        """Return the sample of the next sigma.

        Parameters
        ----------
        model_output, sample : tensor of shape (B, ...)
        timestep : float or tensor
            An entry of `timesteps`.
        generator : torch.Generator or list of them, optional
            Source of the noise; by default the kernel draws it, from torch's global seed.
        return_dict : bool
            False returns a tuple.

        Returns
        -------
        EulerAncestralDiscreteSchedulerOutput
            ``prev_sample`` in the type of the model's output, and ``pred_original_sample``.

        Raises
        ------
        ValueError
            If `timestep` is an integer or none of `timesteps`, or all steps are taken.
        """
        refuse_index(timestep)
        step = self._row(timestep) if is_plain(model_output, sample) else None
        if step is None:
            return super().step(model_output, timestep, sample, generator, return_dict)
        row, _ = step
        self._require_scaled()
        x, output = alike(sample, model_output)
        noise = self._drawn(x, generator, model_output.dtype)
        prev_sample, image = step_and_image(x, output, row, **noise)
        self._step_index += 1
        prev_sample = prev_sample.to(model_output.dtype)
        if not return_dict:
            return prev_sample, image
        return EulerAncestralDiscreteSchedulerOutput(
            prev_sample=prev_sample, pred_original_sample=image
        )
