"""Diffusion: schedules, the forward process, its likelihood bound, and samplers.

A `Path` holds the noise levels of each step, a sampler turns it into a `Table` of coefficients, and
`sample` runs any table with any model:

    schedule = alphas_cumprod(cosine_betas(1000))
    path = vp_path(schedule, spaced_timesteps(50))
    table = samplers.dpm_solver(path, prediction="v_prediction")
    images = sample(model, table, initial_noise(table, (16, 3, 32, 32), seed=0))

Schedules, paths and tables are float64 NumPy arrays; torch is imported with `sample`, `process`,
`elbo` and `samplers`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsup_fast.models.diffusion import elbo, objective, process, samplers, schedules
    from unsup_fast.models.diffusion._graphs import forget_graphs
    from unsup_fast.models.diffusion.config import Config
    from unsup_fast.models.diffusion.dit import DiT
    from unsup_fast.models.diffusion.fitting import train
    from unsup_fast.models.diffusion.likelihood import Likelihood, nll_bits_per_dim
    from unsup_fast.models.diffusion.model import Diffusion, load
    from unsup_fast.models.diffusion.path import (
        Path,
        flow_path,
        inverse,
        start,
        ve_path,
        vp_path,
        vp_path_from_sigmas,
    )
    from unsup_fast.models.diffusion.sampling import initial_noise, sample
    from unsup_fast.models.diffusion.schedules import (
        alphas_cumprod,
        beta_sigmas,
        cosine_betas,
        exponential_sigmas,
        flow_sigmas,
        karras_sigmas,
        linear_betas,
        scaled_linear_betas,
        shift_sigmas,
        sigmoid_betas,
        spaced_timesteps,
        zero_terminal_snr,
    )
    from unsup_fast.models.diffusion.table import Table
    from unsup_fast.models.diffusion.unet import UNet

_MODULES = ("elbo", "objective", "process", "samplers", "schedules")
_EXPORTS = {
    "_graphs": ("forget_graphs",),
    "config": ("Config",),
    "dit": ("DiT",),
    "fitting": ("train",),
    "likelihood": ("Likelihood", "nll_bits_per_dim"),
    "model": ("Diffusion", "load"),
    "path": ("Path", "flow_path", "inverse", "start", "ve_path", "vp_path", "vp_path_from_sigmas"),
    "sampling": ("initial_noise", "sample"),
    "schedules": (
        "alphas_cumprod",
        "beta_sigmas",
        "cosine_betas",
        "exponential_sigmas",
        "flow_sigmas",
        "karras_sigmas",
        "linear_betas",
        "scaled_linear_betas",
        "shift_sigmas",
        "sigmoid_betas",
        "spaced_timesteps",
        "zero_terminal_snr",
    ),
    "table": ("Table",),
    "unet": ("UNet",),
}
_MODULE_OF = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "Config",
    "DiT",
    "Diffusion",
    "Likelihood",
    "Path",
    "Table",
    "UNet",
    "alphas_cumprod",
    "beta_sigmas",
    "cosine_betas",
    "elbo",
    "exponential_sigmas",
    "flow_path",
    "flow_sigmas",
    "forget_graphs",
    "initial_noise",
    "inverse",
    "karras_sigmas",
    "linear_betas",
    "load",
    "nll_bits_per_dim",
    "objective",
    "process",
    "sample",
    "samplers",
    "scaled_linear_betas",
    "schedules",
    "shift_sigmas",
    "sigmoid_betas",
    "spaced_timesteps",
    "start",
    "train",
    "ve_path",
    "vp_path",
    "vp_path_from_sigmas",
    "zero_terminal_snr",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(f"{__name__}.{name}")
    elif name in _MODULE_OF:
        value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
