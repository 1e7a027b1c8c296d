"""`FusedDDPM`: ancestral sampling (Ho et al. 2020)."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler, DDPMSchedulerOutput
from torch import Tensor

from unsup_fast.kernels.noise import noise as add
from unsup_fast.kernels.sampler_terms import NEXT_NOISE
from unsup_fast.schedulers._alphas import AlphaSchedule
from unsup_fast.schedulers._fused import (
    PREDICTIONS,
    Generators,
    Timestep,
    alike,
    is_plain,
    signature_of,
    state,
    step_and_image,
    unchanged,
)
from unsup_fast.solvers import ddpm
from unsup_fast.solvers.path import vp_path
from unsup_fast.solvers.schedules import Array

FIXED = ("fixed_small", "fixed_small_log", "fixed_large")
LEARNED = ("learned", "learned_range")

Entry: TypeAlias = tuple[Tensor, float, float]  # row, logs of the least and the greatest variance


class FusedDDPM(AlphaSchedule, DDPMScheduler):  # type: ignore[misc]
    """`diffusers.DDPMScheduler` whose step is one pass; the options are diffusers'.

    Where a gradient is asked for, diffusers' own step runs.
    """

    KNOWN = (
        "num_train_timesteps beta_start beta_end beta_schedule trained_betas variance_type "
        "clip_sample prediction_type thresholding dynamic_thresholding_ratio clip_sample_range "
        "sample_max_value timestep_spacing steps_offset rescale_betas_zero_snr"
    )
    __module__ = "unsup_fast"
    _compatibles = DDPMScheduler._compatibles
    _table: dict[float, Entry] | None = None
    _table_of: tuple[Any, ...] = ()

    @signature_of(DDPMScheduler.__init__)
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._check_options()

    def _allowed(self) -> dict[str, Sequence[Any]]:
        return {"prediction_type": PREDICTIONS, "variance_type": FIXED + LEARNED}

    @signature_of(DDPMScheduler.set_timesteps)
    def set_timesteps(self, *args: object, **options: object) -> None:
        """Set the timesteps, as diffusers does, and compute the table."""
        super().set_timesteps(*args, **options)
        self._restart()
        self._rows()

    def _rows(self) -> dict[float, Entry] | None:
        """Return timestep -> (row, log of the least and the greatest variance).

        It is None if diffusers' own step has to run.
        """
        now = state(self.timesteps, self.alphas_cumprod, self.config)
        if not unchanged(self._table_of, now):
            self._table_of = now
            self._table = self._attempt(self._compute)
        return self._table

    def _compute(self) -> tuple[dict[float, Entry], Array]:
        times, config = self._times(), self.config
        chosen = self.custom_timesteps or self.num_inference_steps
        path = vp_path(self._alphas(), times, arrivals=None if chosen else np.subtract(times, 1.0))
        options = {"prediction": config.prediction_type, "clip": self._clip()}
        least = ddpm(path, **options).rows
        most = ddpm(path, variance="fixed_large", noise_at_end=True, **options).rows
        rows = most if config.variance_type == "fixed_large" else least
        rows[np.asarray(times) == 0, NEXT_NOISE] = 0.0
        logs = [2 * np.log(np.maximum(each[:, NEXT_NOISE], 1e-10)) for each in (least, most)]
        entries = zip(torch.from_numpy(rows), *logs, strict=True)
        # of equal timesteps the first counts
        return dict(reversed(list(zip(times, entries, strict=True)))), rows

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        generator: Generators = None,
        return_dict: bool = True,
    ) -> DDPMSchedulerOutput | tuple[Tensor, ...]:
        """Return the sample of the next timestep.

        Parameters
        ----------
        model_output : tensor of shape (B, C, ...)
            (B, 2 C, ...) if the variance is learned.
        timestep : int or tensor
            One of `timesteps`; best an entry of that tensor, which needs no read from the device.
        sample : tensor of shape (B, C, ...)
        generator : torch.Generator or list of them, optional
            Source of the noise; by default the kernel draws it, from torch's global seed.
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
        table = None
        output, learned = model_output, None
        if self.config.variance_type in LEARNED and output.shape[1] == 2 * sample.shape[1]:
            output, learned = torch.split(output, sample.shape[1], dim=1)
        if is_plain(output, sample):
            t = self._exact_value(timestep)
            table = self._rows()
        if table is None:
            return super().step(model_output, timestep, sample, generator, return_dict)
        if t not in table:
            raise ValueError(
                f"timestep={t:g} is none of the scheduler's {len(table)} timesteps; pass an entry "
                "of scheduler.timesteps"
            )
        row, least, most = table[t]
        x, output = alike(sample, output)
        drawn: dict[str, Any] = {}
        if t > 0:
            drawn = self._drawn(x, generator, model_output.dtype)
            if self.config.variance_type in LEARNED:
                learned = _require_variance(learned, sample, self.config.variance_type)
                z = drawn.get("noise")
                z = add(torch.zeros_like(x), 0.0, 1.0, **drawn) if z is None else z
                ranged = self.config.variance_type == "learned_range"
                drawn = {"noise": _deviation(learned, ranged, least, most).to(x.dtype) * z}
                row = row.clone()
                row[NEXT_NOISE] = 1.0
        prev_sample, image = step_and_image(x, output, row, threshold=self._threshold(), **drawn)
        if not return_dict:
            return prev_sample, image
        return DDPMSchedulerOutput(prev_sample=prev_sample, pred_original_sample=image)


def _require_variance(learned: Tensor | None, sample: Tensor, variance_type: str) -> Tensor:
    """Return what the model says of the variance [B, C, ...], or raise if it says nothing."""
    if learned is None:
        n = sample.shape[1]
        raise ValueError(
            f"variance_type={variance_type!r} needs a model with {2 * n} output channels for {n} "
            f"of the sample, got {n}; set variance_type='fixed_small'"
        )
    return learned


def _deviation(learned: Tensor, ranged: bool, least: float, most: float) -> Tensor:
    """Return the standard deviation of the noise (Nichol and Dhariwal 2021, eq. 15)."""
    learned = learned if learned.dtype == torch.float64 else learned.float()
    if not ranged:
        return learned.sqrt()
    share = (learned + 1) / 2
    return torch.exp(0.5 * (least + share * (most - least)))
