"""`Config`: the configuration of a diffusion model, and the names of its parts."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from unsup_fast import solvers
from unsup_fast.kernels.sampler_terms import CLIP
from unsup_fast.models.base import CUSTOM, check_classes, check_one_of, check_shape, whole
from unsup_fast.models.diffusion import objective as objectives
from unsup_fast.models.networks.dit import DiT
from unsup_fast.models.networks.unet import UNet
from unsup_fast.solvers import schedules
from unsup_fast.solvers.path import Path, flow_path, vp_path, vp_path_from_sigmas
from unsup_fast.solvers.schedules import Array
from unsup_fast.solvers.table import Table

NETWORKS: dict[str, type[UNet] | type[DiT]] = {"unet": UNet, "dit": DiT}
MOST_TIMESTEPS = 1_000_000
SIGMA_MAX = 80.0  # sigma / signal where Heun's method starts (Karras et al. 2022)
SCHEDULES: dict[str, Callable[..., Array]] = {
    "cosine": schedules.cosine_betas,
    "linear": schedules.linear_betas,
    "scaled_linear": schedules.scaled_linear_betas,
    "sigmoid": schedules.sigmoid_betas,
}
SAMPLERS: dict[str, Callable[..., Table]] = {
    "consistency": solvers.consistency,
    "ddim": solvers.ddim,
    "ddpm": solvers.ddpm,
    "deis": solvers.deis,
    "dpm++2m": solvers.dpm_solver,
    "dpm++2m_sde": partial(solvers.dpm_solver, stochastic=True),
    "euler": solvers.euler,
    "euler_a": solvers.euler_ancestral,
    "heun": solvers.heun,
    "lcm": solvers.lcm,
    "lms": solvers.lms,
    "tcd": solvers.tcd,
    "unipc": solvers.unipc,
}


@dataclass(frozen=True)
class Config:
    """Configuration of a model: all that it takes to build it again.

    Attributes
    ----------
    shape : tuple of int
        Shape of a sample: (C, H, W) for pictures.
    classes : tuple of str
        Names of the classes to condition on; none by default.
    network : {"unet", "dit", "custom"}
        "custom" is your own network, callable as network(x [B, ...], time [B], label [B]).
    size : {"tiny", "small", "base", "large"}
        Size of the network.
    patch : int
        Side of a patch in pixels; each patch is one position of the network.
    dropout : float
        Dropout rate in training.
    objective : {"sample", "epsilon", "v_prediction", "min_snr", "flow_prediction"}
        Training objective; see `objective`.
    schedule : {"cosine", "linear", "scaled_linear", "sigmoid"}
        Noise schedule; the objective "flow_prediction" has its own.
    n_timesteps : int
        Number of noise levels in training.
    clip : float or None
        Samples lie between -clip and clip, as pictures do; None for data without bounds.
    clip_estimates : bool
        Whether samplers clip the estimate of the image at each step, or that of the last alone.
        Students are distilled without clipping.
    sampler : str
        The sampler that `Diffusion.sample` takes by default, one of `SAMPLERS`.
    steps : int
        Its number of steps by default; at most `n_timesteps`.
    guidance : (float, float) or None
        The least and the greatest guidance weight that the network takes as an input, as that of a
        distilled model may; None for a network without this input.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    network: str = "unet"
    size: str = "small"
    patch: int = 2
    dropout: float = 0.0
    objective: str = "v_prediction"
    schedule: str = "cosine"
    n_timesteps: int = 1000
    clip: float | None = 1.0
    clip_estimates: bool = True
    sampler: str = "dpm++2m"
    steps: int = 20
    guidance: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Raise a ValueError for values that cannot be built or saved."""
        object.__setattr__(self, "shape", tuple(whole("shape", side) for side in self.shape))
        object.__setattr__(self, "classes", tuple(self.classes))
        for name in ("patch", "n_timesteps", "steps"):
            object.__setattr__(self, name, whole(name, getattr(self, name)))
        check_classes(self.classes)
        check_shape(self.shape)
        if not isinstance(self.size, str):
            raise ValueError(f"size={self.size!r} must be a name")
        check_one_of("network", self.network, (*NETWORKS, CUSTOM))
        check_one_of("objective", self.objective, objectives.OBJECTIVES)
        check_one_of("schedule", self.schedule, tuple(SCHEDULES))
        check_one_of("sampler", self.sampler, tuple(SAMPLERS))
        if self.network != CUSTOM and len(self.shape) != 3:
            raise ValueError(f"shape={self.shape} must be (C, H, W) for network={self.network!r}")
        if self.n_timesteps > MOST_TIMESTEPS:
            raise ValueError(f"n_timesteps={self.n_timesteps} must be at most {MOST_TIMESTEPS}")
        if self.n_timesteps < 2:
            raise ValueError(f"n_timesteps={self.n_timesteps} must be at least 2; 1000 is usual")
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1")
        if self.guidance is not None:
            object.__setattr__(self, "guidance", guidance_range(self.guidance))
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout} must be at least 0 and below 1")
        if self.clip is not None and not 0 < self.clip < math.inf:
            raise ValueError(f"clip={self.clip} must be above 0, or None for data without bounds")

    @property
    def alphas_cumprod(self) -> Array:
        """abar_t of the schedule, float64 [n_timesteps]."""
        return schedules.alphas_cumprod(SCHEDULES[self.schedule](self.n_timesteps))

    def training_objective(self) -> objectives.TrainingObjective:
        """Return the objective that the network is trained for, at each noise level."""
        return objectives.build(self.objective, self.alphas_cumprod)

    def path(self, steps: int, sampler: str = "dpm++2m") -> Path:
        """Return the path from noise to samples in a sampler's number of steps."""
        schedule = self.alphas_cumprod
        levels = self.training_objective()
        if sampler == "heun":
            # Heun's trapezoids are over sigma / signal, which may be 10^4 at the highest level: a
            # step from there would be far off.
            ratios = levels.sigma / levels.signal
            low, high = ratios.min(), min(ratios.max(), SIGMA_MAX)
            sigmas = schedules.karras_sigmas(steps, sigma_min=min(low, high), sigma_max=high)
            if self.objective == "flow_prediction":
                return flow_path(np.append(sigmas / (1 + sigmas), 0.0))
            times = schedules.timesteps_at(schedule, sigmas)
            return vp_path_from_sigmas(np.append(sigmas, 0.0), times)
        if self.objective == "flow_prediction":
            # Start at the highest level of training: at sigma 1 the sample has no signal.
            sigmas = (1 - 0.5 / self.n_timesteps) * np.linspace(1.0, 0.0, steps + 1)
            if sampler == "tcd":
                between = solvers.tcd_arrivals(sigmas[:-1], end=0.0, rounded=False)
                return flow_path(sigmas, arrivals=between)
            return flow_path(sigmas)
        times = schedules.spaced_timesteps(steps, self.n_timesteps, spacing="trailing")
        return vp_path(
            schedule, times, arrivals=solvers.tcd_arrivals(times) if sampler == "tcd" else None
        )

    def table(self, sampler: str = "dpm++2m", steps: int = 20) -> Table:
        """Return the table of a sampler for this model.

        Raises
        ------
        ValueError
            If the sampler is unknown, or there are more steps than levels.
        """
        check_one_of("sampler", sampler, tuple(SAMPLERS))
        if not 1 <= steps <= self.n_timesteps:
            raise ValueError(f"steps={steps} must be between 1 and {self.n_timesteps}")
        table = SAMPLERS[sampler](
            self.path(steps, sampler),
            prediction=self.training_objective().prediction,
            clip=self.clip if self.clip_estimates else None,
        )
        if self.clip is not None:
            table.rows[-1, CLIP] = self.clip
        return table


def network_of(config: Config, seed: int) -> UNet | DiT:
    """Return a new network with weights drawn from a seed, channels-last for speed.

    Raises
    ------
    ValueError
        If it does not fit the samples, or the network is "custom".
    """
    if config.network == CUSTOM:
        raise ValueError('network="custom" is one of your own; pass the network itself')
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[config.network](
            config.shape[0],
            config.size,
            config.patch,
            n_classes=len(config.classes),
            dropout=config.dropout,
            guided=config.guidance is not None,
        )
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    multiple = network.multiple
    if any(side % multiple for side in config.shape[1:]):
        raise ValueError(
            f"pictures of {config.shape[1]} x {config.shape[2]} pixels do not fit network="
            f"{config.network!r} of size {config.size!r} with patch={config.patch}; pass sides "
            f"that are multiples of {multiple}, or a smaller patch"
        )
    return network


def guidance_range(value: Any) -> tuple[float, float]:
    """Return the least and the greatest guidance weight as numbers.

    Raises
    ------
    ValueError
        If they are not two finite numbers in order.
    """
    try:
        low, high = (float(weight) for weight in value)
    except (TypeError, ValueError):
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise ValueError(f"guidance={value!r} must be two finite weights in order, as (1, 4)")
    return low, high
