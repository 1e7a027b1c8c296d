"""`FusedDDIM`: DDIM (Song et al. 2021)."""

from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler, DDIMSchedulerOutput

from unsup_fast.models.diffusion.path import preserving
from unsup_fast.models.diffusion.samplers import ddim
from unsup_fast.schedulers._alphas import Tabled
from unsup_fast.schedulers._fused import (
    PREDICTIONS,
    alike,
    needs_gradient,
    require,
    require_known,
    signature_of,
    state,
    step_and_image,
    unchanged,
)

KNOWN = (
    "num_train_timesteps beta_start beta_end beta_schedule trained_betas clip_sample "
    "set_alpha_to_one steps_offset prediction_type thresholding dynamic_thresholding_ratio "
    "clip_sample_range sample_max_value timestep_spacing rescale_betas_zero_snr"
)


class FusedDDIM(Tabled, DDIMScheduler):  # type: ignore[misc]
    """`diffusers.DDIMScheduler` whose step is one pass; the options are diffusers'.

    Where a gradient is asked for, diffusers' own step runs.
    """

    __module__ = "unsup_fast"
    _compatibles = DDIMScheduler._compatibles
    _table: dict[tuple[float, float, bool], tuple[Any, bool]] | None = None
    _table_of: tuple[Any, ...] = ()

    @signature_of(DDIMScheduler.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        require_known(self, DDIMScheduler, KNOWN)
        require("FusedDDIM", "prediction_type", self.config.prediction_type, PREDICTIONS)

    @signature_of(DDIMScheduler.set_timesteps)
    def set_timesteps(self, *args: Any, **options: Any) -> None:
        """Choose the timesteps, as diffusers does, and make the table."""
        super().set_timesteps(*args, **options)
        self._restart()
        self._row(self._times()[0], 0.0, False)

    def _row(self, t: float, eta: float, clipped: bool) -> tuple[Any, bool]:
        """Return the row of a timestep, and whether it uses the model's own noise."""
        alphas, config = self._alphas(), self.config
        now = state(self.timesteps, self.alphas_cumprod, config)
        if self._table is None or not unchanged(self._table_of, now):
            self._table, self._table_of = {}, now
        key = (t, eta, clipped)
        if key not in self._table:
            times = self._times()
            times = times if t in times else [t]
            stride = config.num_train_timesteps // self.num_inference_steps
            path = preserving(
                alphas,
                times,
                arrivals=np.maximum(np.subtract(times, stride), -1.0),
                final=1.0 if config.set_alpha_to_one else float(alphas[0]),
            )
            limited = config.thresholding or config.clip_sample
            made = ddim(
                path,
                eta=eta,
                prediction=config.prediction_type,
                clip=self._clip(),
                clipped_noise=clipped or not limited,
            )
            for each, row in zip(times, torch.from_numpy(made.rows), strict=True):
                self._table[each, eta, clipped] = row, made.direct
        return self._table[key]

    def step(
        self,
        model_output: Any,
        timestep: Any,
        sample: Any,
        eta: float = 0.0,
        use_clipped_model_output: bool = False,
        generator: Any = None,
        variance_noise: Any = None,
        return_dict: bool = True,
    ) -> Any:
        """Return the sample of the next timestep.

        Parameters
        ----------
        model_output, sample : tensor of shape (B, ...)
        timestep : int or tensor
            Best an entry of `timesteps`, which costs no look at the device.
        eta : float
            0 draws no noise, 1 that of `FusedDDPM`.
        use_clipped_model_output : bool
            Whether the noise in the sample is taken from the clipped x_0.
        generator : torch.Generator or list of them, optional
            Whose noise to take; by default it is ours, from torch's global seed.
        variance_noise : tensor of shape (B, ...), optional
            The noise itself.
        return_dict : bool
            False returns a tuple.

        Returns
        -------
        DDIMSchedulerOutput
            ``prev_sample`` and ``pred_original_sample``.

        Raises
        ------
        ValueError
            If `set_timesteps` was not called, `eta` is not within 0 and 1, or shapes do not fit.
        """
        if self.num_inference_steps is None:
            raise ValueError("the scheduler has no timesteps yet; call set_timesteps first")
        if needs_gradient(model_output, sample):
            return super().step(
                model_output,
                timestep,
                sample,
                eta,
                use_clipped_model_output,
                generator,
                variance_noise,
                return_dict,
            )
        row, direct = self._row(self._value(timestep), float(eta), use_clipped_model_output)
        x, output = alike(sample, model_output)
        given: dict[str, Any] = {}
        if eta > 0:
            if variance_noise is None:
                given = self._drawn(x, generator, model_output.dtype)
            elif generator is None:
                given = {"noise": variance_noise.to(x)}
            else:
                raise ValueError("both generator and variance_noise are given; pass one of them")
        if direct:
            given["history"] = (output,)
        made, image = step_and_image(x, output, row, threshold=self._threshold(), **given)
        if not return_dict:
            return made, image
        return DDIMSchedulerOutput(prev_sample=made, pred_original_sample=image)
