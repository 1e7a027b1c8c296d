"""`FusedFlowMatchEulerDiscrete`: Euler's method along the flow (Lipman et al. 2023)."""

from typing import Any

import torch
from diffusers.schedulers.scheduling_flow_match_euler_discrete import (
    FlowMatchEulerDiscreteScheduler,
    FlowMatchEulerDiscreteSchedulerOutput,
)
from torch import Tensor

from unsup_fast.kernels.denoise import denoise
from unsup_fast.schedulers._fused import (
    Generators,
    Timestep,
    alike,
    is_plain,
    refuse_index,
    signature_of,
)
from unsup_fast.schedulers._sigmas import Stepwise
from unsup_fast.solvers import consistency, euler
from unsup_fast.solvers.path import Path, flow_path
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table


class FusedFlowMatchEulerDiscrete(Stepwise, FlowMatchEulerDiscreteScheduler):  # type: ignore[misc]
    """`diffusers.FlowMatchEulerDiscreteScheduler` whose step is one pass; the options are its own.

    Where a gradient or ``per_token_timesteps`` is asked for, diffusers' own step runs.
    """

    KNOWN = (
        "num_train_timesteps shift use_dynamic_shifting base_shift max_shift base_image_seq_len "
        "max_image_seq_len invert_sigmas shift_terminal use_karras_sigmas use_exponential_sigmas "
        "use_beta_sigmas time_shift_type stochastic_sampling"
    )
    __module__ = "unsup_fast"
    _compatibles = ["FlowMatchEulerDiscreteScheduler"]  # noqa: RUF012

    @signature_of(FlowMatchEulerDiscreteScheduler.__init__)
    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)
        self._check_options()

    @signature_of(FlowMatchEulerDiscreteScheduler.set_timesteps)
    def set_timesteps(self, *args: object, **options: object) -> None:
        """Set timesteps and sigmas, as diffusers does, and compute the table."""
        super().set_timesteps(*args, **options)
        self._prepare()

    def _path(self, sigmas: Array, timesteps: Array) -> Path:
        return flow_path(sigmas, timesteps)

    def _level(self, sigmas: Array) -> tuple[Array, Array]:
        return 1 - sigmas, sigmas

    def _make(self, path: Path, begin: int) -> Table:
        sampler = consistency if self.config.stochastic_sampling else euler
        return sampler(path, prediction="flow_prediction")

    def scale_noise(
        self, sample: Tensor, timestep: Timestep, noise: Tensor | None = None
    ) -> Tensor:
        """Return (1 - sigma) sample + sigma noise, the weights in float64.

        Parameters
        ----------
        sample, noise : tensor of shape (B, ...)
        timestep : tensor of shape (B,) or (1,)
            As for `add_noise` of the other schedulers: within a run, its present step counts.

        Returns
        -------
        tensor of shape (B, ...)

        Raises
        ------
        ValueError
            If `noise` is None, which only the signature of diffusers allows.
        """
        if noise is None:
            raise ValueError("noise is None; pass a tensor of the sample's shape")
        return self._noisy(sample, noise, timestep)

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
        per_token_timesteps: Tensor | None = None,
        return_dict: bool = True,
    ) -> FlowMatchEulerDiscreteSchedulerOutput | tuple[Tensor, ...]:
        """Return the sample of the next sigma.

        Parameters
        ----------
        model_output, sample : tensor of shape (B, ...)
        timestep : float or tensor
            An entry of `timesteps`.
        s_churn, s_tmin, s_tmax, s_noise : float
            Without effect, as in diffusers.
        generator : torch.Generator or list of them, optional
            With `stochastic_sampling`, the source of the noise; by default the kernel draws it,
            from torch's global seed.
        per_token_timesteps : tensor, optional
            A timestep for each token, by diffusers' own step.
        return_dict : bool
            False returns a tuple.

        Returns
        -------
        FlowMatchEulerDiscreteSchedulerOutput
            ``prev_sample`` in the type of the model's output.

        Raises
        ------
        ValueError
            If `timestep` is an integer or none of `timesteps`, or all steps are taken.
        """
        refuse_index(timestep)
        step = None
        if per_token_timesteps is None and is_plain(model_output, sample):
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
                per_token_timesteps,
                return_dict,
            )
        row, table = step
        x, output = alike(sample, model_output)
        options: dict[str, Any] = {}
        if self.config.stochastic_sampling:
            options = self._drawn(x, generator, torch.float32)
        if table.direct:
            options["history"] = (output,)
        prev_sample = denoise(x, output, row, **options).to(model_output.dtype)
        self._step_index += 1
        return (
            FlowMatchEulerDiscreteSchedulerOutput(prev_sample=prev_sample)
            if return_dict
            else (prev_sample,)
        )
