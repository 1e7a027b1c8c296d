"""Diffusion: schedules, the forward process, its likelihood bound, and samplers.

A `Path` holds the noise levels of each step, a sampler turns it into a `Table` of coefficients, and
`sample` runs any table with any model:

    schedule = alphas_cumprod(cosine_betas(1000))
    path = vp_path(schedule, spaced_timesteps(50))
    table = samplers.dpm_solver(path, prediction="v_prediction")
    images = sample(model, table, initial_noise(table, (16, 3, 32, 32), seed=0))

Schedules, paths, tables and samplers are those of `unsup_fast.solvers`, float64 NumPy arrays;
torch is imported with what computes on tensors.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsup_fast import solvers as samplers
    from unsup_fast.models.diffusion import elbo, objective, process
    from unsup_fast.models.diffusion._graphs import forget_graphs
    from unsup_fast.models.diffusion.config import Config
    from unsup_fast.models.diffusion.distillation.quality import compare
    from unsup_fast.models.diffusion.distillation.run import distill
    from unsup_fast.models.diffusion.likelihood import Likelihood, nll_bits_per_dim
    from unsup_fast.models.diffusion.model import Diffusion, load
    from unsup_fast.models.diffusion.sampling import initial_noise, sample
    from unsup_fast.models.diffusion.training import train
    from unsup_fast.models.networks.dit import DiT
    from unsup_fast.models.networks.unet import UNet
    from unsup_fast.solvers import (
        Path,
        Table,
        alphas_cumprod,
        beta_sigmas,
        cosine_betas,
        exponential_sigmas,
        flow_path,
        flow_sigmas,
        inversion_path,
        karras_sigmas,
        linear_betas,
        scaled_linear_betas,
        schedules,
        shift_sigmas,
        sigmoid_betas,
        spaced_timesteps,
        truncate,
        ve_path,
        vp_path,
        vp_path_from_sigmas,
        zero_terminal_snr,
    )

_HERE = "unsup_fast.models.diffusion"
_MODULES = {
    "elbo": f"{_HERE}.elbo",
    "objective": f"{_HERE}.objective",
    "process": f"{_HERE}.process",
    "samplers": "unsup_fast.solvers",
    "schedules": "unsup_fast.solvers.schedules",
}
_EXPORTS = {
    f"{_HERE}._graphs": ("forget_graphs",),
    f"{_HERE}.config": ("Config",),
    f"{_HERE}.distillation.quality": ("compare",),
    f"{_HERE}.distillation.run": ("distill",),
    f"{_HERE}.likelihood": ("Likelihood", "nll_bits_per_dim"),
    f"{_HERE}.model": ("Diffusion", "load"),
    f"{_HERE}.sampling": ("initial_noise", "sample"),
    f"{_HERE}.training": ("train",),
    "unsup_fast.models.networks.dit": ("DiT",),
    "unsup_fast.models.networks.unet": ("UNet",),
    "unsup_fast.solvers": (
        "Path",
        "Table",
        "alphas_cumprod",
        "beta_sigmas",
        "cosine_betas",
        "exponential_sigmas",
        "flow_path",
        "flow_sigmas",
        "inversion_path",
        "karras_sigmas",
        "linear_betas",
        "scaled_linear_betas",
        "shift_sigmas",
        "sigmoid_betas",
        "spaced_timesteps",
        "truncate",
        "ve_path",
        "vp_path",
        "vp_path_from_sigmas",
        "zero_terminal_snr",
    ),
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
    "compare",
    "cosine_betas",
    "distill",
    "elbo",
    "exponential_sigmas",
    "flow_path",
    "flow_sigmas",
    "forget_graphs",
    "initial_noise",
    "inversion_path",
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
    "train",
    "truncate",
    "ve_path",
    "vp_path",
    "vp_path_from_sigmas",
    "zero_terminal_snr",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(_MODULES[name])
    elif name in _MODULE_OF:
        value = getattr(import_module(_MODULE_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
