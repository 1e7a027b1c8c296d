"""`FusedEulerDiscrete`: Euler's method (Karras et al. 2022)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from diffusers.schedulers.scheduling_euler_discrete import (
    EulerDiscreteScheduler,
    EulerDiscreteSchedulerOutput,
)
from torch import Tensor

from unsup_fast.schedulers._fused import (
    PREDICTIONS,
    Generators,
    Timestep,
    alike,
    is_plain,
    refuse_index,
    signature_of,
    step_and_image,
)
from unsup_fast.schedulers._sigmas import InputScaling
from unsup_fast.solvers import euler
from unsup_fast.solvers.path import Path, ve_path
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table


class FusedEulerDiscrete(InputScaling, EulerDiscreteScheduler):  # type: ignore[misc]
    """`diffusers.EulerDiscreteScheduler` whose step is one pass; the options are diffusers'.

    Where a gradient or ``s_churn`` is asked for, diffusers' own step runs.
    """

    KNOWN = (
        "num_train_timesteps beta_start beta_end beta_schedule trained_betas prediction_type "
        "interpolation_type use_karras_sigmas use_exponential_sigmas use_beta_sigmas sigma_min "
        "sigma_max timestep_spacing timestep_type steps_offset rescale_betas_zero_snr "
        "final_sigmas_type"
    )
    __module__ = "unsup_fast"
    _compatibles = EulerDiscreteScheduler._compatibles

    @signature_of(EulerDiscreteScheduler.__init__)
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._check_options()

    def _allowed(self) -> dict[str, Sequence[Any]]:
        return {"prediction_type": (*PREDICTIONS, "original_sample")}

    @signature_of(EulerDiscreteScheduler.set_timesteps)
    def set_timesteps(self, *args: object, **options: object) -> None:
        """Set timesteps and sigmas, as diffusers does, and compute the table."""
        super().set_timesteps(*args, **options)
        self._prepare()

    def _path(self, sigmas: Array, timesteps: Array) -> Path:
        return ve_path(sigmas, timesteps)

    def _level(self, sigmas: Array) -> tuple[Array, Array]:
        return np.ones_like(sigmas), sigmas

    def _make(self, path: Path, begin: int) -> Table:
        prediction = self.config.prediction_type
        return euler(path, prediction="sample" if "sample" in prediction else prediction)

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        s_churn: float = 0.0,
        s_tmin: float = 0.0,
        s_tmax: float = float("inf"),
        s_noise: float = 1.0,
        generator: Generators = None,
        return_dict: bool = True,
    ) -> EulerDiscreteSchedulerOutput | tuple[Tensor, ...]:
        """Return the sample of the next sigma.

        Parameters
        ----------
        model_output, sample : tensor of shape (B, ...)
        timestep : float or tensor
            An entry of `timesteps`.
        s_churn, s_tmin, s_tmax, s_noise : float
            Noise to add before the step (Karras et al. 2022, algorithm 2), by diffusers' own step.
        generator : torch.Generator or list of them, optional
            Of that noise.
        return_dict : bool
            False returns a tuple.

        Returns
        -------
        EulerDiscreteSchedulerOutput
            ``prev_sample`` in the type of the model's output, and ``pred_original_sample``.

        Raises
        ------
        ValueError
            If `timestep` is an integer or none of `timesteps`, or all steps are taken.
        """
        refuse_index(timestep)
        step = None
        if s_churn == 0 and is_plain(model_output, sample):
            step = self._row(timestep)
        if step is None:
            return super().step(
                model_output,
                timestep,
                sample,
                s_churn,
                s_tmin,
                s_tmax,
                s_noise,
                generator,
                return_dict,
            )
        row, table = step
        self._require_scaled()
        x, output = alike(sample, model_output)
        history = (output,) if table.direct else ()
        prev_sample, image = step_and_image(x, output, row, history=history)
        self._step_index += 1
        prev_sample = prev_sample.to(model_output.dtype)
        if not return_dict:
            return prev_sample, image
        return EulerDiscreteSchedulerOutput(prev_sample=prev_sample, pred_original_sample=image)
