"""Samplers: pure float64 functions from a path to a table."""

from unsup_fast.models.diffusion.samplers.ddim import ddim
from unsup_fast.models.diffusion.samplers.ddpm import ddpm
from unsup_fast.models.diffusion.samplers.deis import deis
from unsup_fast.models.diffusion.samplers.dpm import dpm_solver
from unsup_fast.models.diffusion.samplers.euler import euler, euler_ancestral
from unsup_fast.models.diffusion.samplers.heun import heun
from unsup_fast.models.diffusion.samplers.lms import lms
from unsup_fast.models.diffusion.samplers.unipc import unipc

__all__ = [
    "ddim",
    "ddpm",
    "deis",
    "dpm_solver",
    "euler",
    "euler_ancestral",
    "heun",
    "lms",
    "unipc",
]
