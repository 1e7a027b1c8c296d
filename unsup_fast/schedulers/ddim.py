"""`FusedDDIM`: DDIM (Song et al. 2021)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler, DDIMSchedulerOutput
from torch import Tensor

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
from unsup_fast.solvers import ddim
from unsup_fast.solvers.path import vp_path
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table


class FusedDDIM(AlphaSchedule, DDIMScheduler):  # type: ignore[misc]
    """`diffusers.DDIMScheduler` whose step is one pass; the options are diffusers'.

    Where a gradient is asked for, diffusers' own step runs.
    """

    KNOWN = (
        "num_train_timesteps beta_start beta_end beta_schedule trained_betas clip_sample "
        "set_alpha_to_one steps_offset prediction_type thresholding dynamic_thresholding_ratio "
        "clip_sample_range sample_max_value timestep_spacing rescale_betas_zero_snr"
    )
    __module__ = "unsup_fast"
    _compatibles = DDIMScheduler._compatibles
    _table: dict[tuple[float, float, bool], tuple[Tensor, bool] | None] | None = None
    _table_of: tuple[Any, ...] = ()

    @signature_of(DDIMScheduler.__init__)
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._check_options()

    def _allowed(self) -> dict[str, Sequence[Any]]:
        return {"prediction_type": PREDICTIONS}

    @signature_of(DDIMScheduler.set_timesteps)
    def set_timesteps(self, *args: object, **options: object) -> None:
        """Set the timesteps, as diffusers does, and compute the table."""
        super().set_timesteps(*args, **options)
        self._restart()
        for t in self._times()[:1]:
            self._row(t, 0.0, False)

    def _row(self, t: float, eta: float, clipped: bool) -> tuple[Tensor, bool] | None:
        """Return the row of a timestep, and whether it uses the model's own noise.

        It is None if diffusers' own step has to run.
        """
        now = state(self.timesteps, self.alphas_cumprod, self.config)
        if self._table is None or not unchanged(self._table_of, now):
            self._table, self._table_of = {}, now
        key = (t, eta, clipped)
        if key not in self._table:
            times = self._times()
            times = times if t in times else [t]
            table = self._attempt(lambda: self._compute(times, eta, clipped))
            rows = [None] * len(times) if table is None else torch.from_numpy(table.rows)
            for each, row in zip(times, rows, strict=True):
                entry = None if table is None else (row, table.direct)
                self._table[each, eta, clipped] = entry
        return self._table[key]

    def _compute(self, times: Sequence[float], eta: float, clipped: bool) -> tuple[Table, Array]:
        alphas, config = self._alphas(), self.config
        stride = config.num_train_timesteps // self.num_inference_steps
        path = vp_path(
            alphas,
            times,
            arrivals=np.maximum(np.subtract(times, stride), -1.0),
            final=1.0 if config.set_alpha_to_one else float(alphas[0]),
        )
        limited = config.thresholding or config.clip_sample
        table = ddim(
            path,
            eta=eta,
            prediction=config.prediction_type,
            clip=self._clip(),
            clipped_noise=clipped or not limited,
        )
        return table, table.rows

    def step(
        self,
        model_output: Tensor,
        timestep: Timestep,
        sample: Tensor,
        eta: float = 0.0,
        use_clipped_model_output: bool = False,
        generator: Generators = None,
        variance_noise: Tensor | None = None,
        return_dict: bool = True,
    ) -> DDIMSchedulerOutput | tuple[Tensor, ...]:
        """Return the sample of the next timestep.

        Parameters
        ----------
        model_output, sample : tensor of shape (B, ...)
        timestep : int or tensor
            Best an entry of `timesteps`, which needs no read from the device.
        eta : float
            0 draws no noise, 1 that of `FusedDDPM`.
        use_clipped_model_output : bool
            Whether the noise in the sample is taken from the clipped x_0.
        generator : torch.Generator or list of them, optional
            Source of the noise; by default the kernel draws it, from torch's global seed.
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
            If `set_timesteps` was not called, both a generator and noise are passed, or a timestep
            in a half type may be several of `timesteps`.
        """
        if self.num_inference_steps is None:
            raise ValueError("the scheduler has no timesteps yet; call set_timesteps first")
        entry = None
        if is_plain(model_output, sample):
            t = self._exact_value(timestep)
            entry = self._row(t, float(eta), use_clipped_model_output)
        if entry is None:
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
        row, direct = entry
        x, output = alike(sample, model_output)
        options: dict[str, Any] = {}
        if eta > 0:
            if variance_noise is None:
                options = self._drawn(x, generator, model_output.dtype)
            elif generator is None:
                options = {"noise": variance_noise.to(x)}
            else:
                raise ValueError("both generator and variance_noise are passed; pass one of them")
        if direct:
            options["history"] = (output,)
        prev_sample, image = step_and_image(x, output, row, threshold=self._threshold(), **options)
        if not return_dict:
            return prev_sample, image
        return DDIMSchedulerOutput(prev_sample=prev_sample, pred_original_sample=image)
