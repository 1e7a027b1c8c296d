"""Samplers: pure float64 functions from a path to a table."""

from unsup_fast.models.diffusion.samplers.ddim import ddim
from unsup_fast.models.diffusion.samplers.ddpm import ddpm
from unsup_fast.models.diffusion.samplers.euler import euler, euler_ancestral

__all__ = ["ddim", "ddpm", "euler", "euler_ancestral"]
