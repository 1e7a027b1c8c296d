"""Noise schedules, paths and samplers of diffusion and flow matching: float64 NumPy, no torch.

A `Path` holds the noise levels of each step, and a sampler turns it into a `Table` of coefficients:

    schedule = alphas_cumprod(cosine_betas(1000))
    path = vp_path(schedule, spaced_timesteps(50))
    table = dpm_solver(path, prediction="v_prediction")

`unsup_fast.models.diffusion.sample` runs a table with a model.
"""

from unsup_fast.solvers.consistency import consistency
from unsup_fast.solvers.ddim import ddim
from unsup_fast.solvers.ddpm import ddpm
from unsup_fast.solvers.deis import deis
from unsup_fast.solvers.dpm import dpm_solver
from unsup_fast.solvers.euler import euler, euler_ancestral
from unsup_fast.solvers.heun import heun
from unsup_fast.solvers.lcm import lcm, lcm_timesteps
from unsup_fast.solvers.lms import lms
from unsup_fast.solvers.path import (
    Path,
    flow_path,
    inversion_path,
    truncate,
    ve_path,
    vp_path,
    vp_path_from_sigmas,
)
from unsup_fast.solvers.schedules import (
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
from unsup_fast.solvers.table import Table
from unsup_fast.solvers.tcd import tcd, tcd_arrivals
from unsup_fast.solvers.unipc import unipc

__all__ = [
    "Path",
    "Table",
    "alphas_cumprod",
    "beta_sigmas",
    "consistency",
    "cosine_betas",
    "ddim",
    "ddpm",
    "deis",
    "dpm_solver",
    "euler",
    "euler_ancestral",
    "exponential_sigmas",
    "flow_path",
    "flow_sigmas",
    "heun",
    "inversion_path",
    "karras_sigmas",
    "lcm",
    "lcm_timesteps",
    "linear_betas",
    "lms",
    "scaled_linear_betas",
    "shift_sigmas",
    "sigmoid_betas",
    "spaced_timesteps",
    "tcd",
    "tcd_arrivals",
    "truncate",
    "unipc",
    "ve_path",
    "vp_path",
    "vp_path_from_sigmas",
    "zero_terminal_snr",
]
