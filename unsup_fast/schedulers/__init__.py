"""Schedulers for Hugging Face diffusers pipelines, each step in one fused pass.

``pipe.scheduler = unsup_fast.FusedDDIM.from_config(pipe.scheduler.config)`` is all it takes. Each
class is a subclass of diffusers' own of that name: configuration, timesteps and sigmas are
diffusers', and `step` and `add_noise` apply a row of a float64 table
(`unsup_fast.models.diffusion`) in one call of a kernel. diffusers is imported at first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unsup_fast import _extras

if TYPE_CHECKING:
    from unsup_fast.schedulers.ddim import FusedDDIM
    from unsup_fast.schedulers.ddpm import FusedDDPM
    from unsup_fast.schedulers.dpm_solver import FusedDPMSolverMultistep
    from unsup_fast.schedulers.euler import FusedEulerDiscrete
    from unsup_fast.schedulers.euler_ancestral import FusedEulerAncestralDiscrete
    from unsup_fast.schedulers.flow_match import FusedFlowMatchEulerDiscrete
    from unsup_fast.schedulers.lcm import FusedLCM
    from unsup_fast.schedulers.tcd import FusedTCD
    from unsup_fast.schedulers.unipc import FusedUniPCMultistep

__all__ = [
    "FusedDDIM",
    "FusedDDPM",
    "FusedDPMSolverMultistep",
    "FusedEulerAncestralDiscrete",
    "FusedEulerDiscrete",
    "FusedFlowMatchEulerDiscrete",
    "FusedLCM",
    "FusedTCD",
    "FusedUniPCMultistep",
]

_MODULES = {
    "FusedDDIM": "ddim",
    "FusedDDPM": "ddpm",
    "FusedDPMSolverMultistep": "dpm_solver",
    "FusedEulerAncestralDiscrete": "euler_ancestral",
    "FusedEulerDiscrete": "euler",
    "FusedFlowMatchEulerDiscrete": "flow_match",
    "FusedLCM": "lcm",
    "FusedTCD": "tcd",
    "FusedUniPCMultistep": "unipc",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES and name != "SchedulerMixin":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    _extras.check("diffusers", "diffusers", f"unsup_fast.{name}")
    module = f"{__name__}.{_MODULES[name]}" if name in _MODULES else "diffusers"
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
