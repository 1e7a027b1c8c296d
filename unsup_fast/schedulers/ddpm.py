"""`FusedDDPM`: ancestral sampling (Ho et al. 2020)."""

from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler, DDPMSchedulerOutput

from unsup_fast.kernels.denoise.terms import NEXT_NOISE
from unsup_fast.kernels.noise import noise as add
from unsup_fast.models.diffusion.path import preserving
from unsup_fast.models.diffusion.samplers import ddpm
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
    "num_train_timesteps beta_start beta_end beta_schedule trained_betas variance_type clip_sample "
    "prediction_type thresholding dynamic_thresholding_ratio clip_sample_range sample_max_value "
    "timestep_spacing steps_offset rescale_betas_zero_snr"
)
FIXED = ("fixed_small", "fixed_small_log", "fixed_large")
LEARNED = ("learned", "learned_range")


class FusedDDPM(Tabled, DDPMScheduler):  # type: ignore[misc]
    """`diffusers.DDPMScheduler` whose step is one pass.

    The options are diffusers', but for ``variance_type="fixed_large_log"``, with which diffusers
    makes NaN, and a `beta_schedule` with nothing left of the image at the end together with
    ``prediction_type="epsilon"``, with which it does so too: both are errors. Where a gradient is
    asked for, diffusers' own step runs.
    """

    __module__ = "unsup_fast"
    _compatibles = DDPMScheduler._compatibles
    _table: dict[float, Any] | None = None
    _table_of: tuple[Any, ...] = ()

    @signature_of(DDPMScheduler.__init__)
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        require_known(self, DDPMScheduler, KNOWN)
        require("FusedDDPM", "prediction_type", self.config.prediction_type, PREDICTIONS)
        require("FusedDDPM", "variance_type", self.config.variance_type, FIXED + LEARNED)

    @signature_of(DDPMScheduler.set_timesteps)
    def set_timesteps(self, *args: Any, **options: Any) -> None:
        """Choose the timesteps, as diffusers does, and make the table."""
        super().set_timesteps(*args, **options)
        self._restart()
        self._rows()

    def _rows(self) -> dict[float, Any]:
        """Return timestep -> (row, log of the least and the greatest variance)."""
        alphas, config = self._alphas(), self.config
        now = state(self.timesteps, self.alphas_cumprod, config)
        if self._table is not None and unchanged(self._table_of, now):
            return self._table
        times = self._times()
        path = preserving(alphas, times)
        large = config.variance_type == "fixed_large"
        options = {"prediction": config.prediction_type, "clip": self._clip()}
        least = ddpm(path, **options).rows
        most = ddpm(path, variance="fixed_large", noise_at_end=True, **options).rows
        rows = most if large else least
        rows[np.asarray(times) == 0, NEXT_NOISE] = 0.0
        logs = [2 * np.log(np.maximum(made[:, NEXT_NOISE], 1e-10)) for made in (least, most)]
        self._table = dict(zip(times, zip(torch.from_numpy(rows), *logs, strict=True), strict=True))
        self._table_of = now
        return self._table

    def step(
        self,
        model_output: Any,
        timestep: Any,
        sample: Any,
        generator: Any = None,
        return_dict: bool = True,
    ) -> Any:
        """Return the sample of the next timestep.

        Parameters
        ----------
        model_output : tensor of shape (B, C, ...)
            (B, 2 C, ...) if the variance is learned.
        timestep : int or tensor
            One of `timesteps`; best an entry of that tensor, which costs no look at the device.
        sample : tensor of shape (B, C, ...)
        generator : torch.Generator or list of them, optional
            Whose noise to take; by default it is ours, from torch's global seed.
        return_dict : bool
            False returns a tuple.

        Returns
        -------
        DDPMSchedulerOutput
            ``prev_sample`` and ``pred_original_sample``.

        Raises
        ------
        ValueError
            If `timestep` is none of `timesteps`, or shapes do not fit.
        """
        if needs_gradient(model_output, sample):
            return super().step(model_output, timestep, sample, generator, return_dict)
        t = self._value(timestep)
        table = self._rows()
        if t not in table:
            raise ValueError(
                f"timestep={t:g} is none of the scheduler's {len(table)} timesteps; pass an entry "
                "of scheduler.timesteps"
            )
        row, least, most = table[t]
        learned = None
        if self.config.variance_type in LEARNED:
            model_output, learned = _split(model_output, sample, self.config.variance_type)
        x, output = alike(sample, model_output)
        given: dict[str, Any] = {}
        if t > 0:
            given = self._drawn(x, generator, model_output.dtype)
            if learned is not None:
                z = given.get("noise")
                z = add(torch.zeros_like(x), 0.0, 1.0, **given) if z is None else z
                ranged = self.config.variance_type == "learned_range"
                given = {"noise": _deviation(learned, ranged, least, most).to(x.dtype) * z}
                row = row.clone()
                row[NEXT_NOISE] = 1.0
        made, image = step_and_image(x, output, row, threshold=self._threshold(), **given)
        if not return_dict:
            return made, image
        return DDPMSchedulerOutput(prev_sample=made, pred_original_sample=image)


def _split(output: Any, sample: Any, variance_type: str) -> tuple[Any, Any]:
    """Return a model's output and what it says of the variance, [B, C, ...] each."""
    channels = sample.shape[1]
    if output.shape[1] != 2 * channels:
        raise ValueError(
            f"variance_type={variance_type!r} needs a model with {2 * channels} output channels "
            f"for {channels} of the sample, got {output.shape[1]}; set variance_type='fixed_small'"
        )
    first, second = torch.split(output, channels, dim=1)
    return first.contiguous(), second


def _deviation(learned: Any, ranged: bool, least: float, most: float) -> Any:
    """Return the standard deviation of the noise (Nichol and Dhariwal 2021, eq. 15)."""
    learned = learned if learned.dtype == torch.float64 else learned.float()
    if not ranged:
        return learned.sqrt()
    share = (learned + 1) / 2
    return torch.exp(0.5 * (least + share * (most - least)))
