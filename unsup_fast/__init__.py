"""Fast, exact, trustworthy unsupervised learning on one machine.

Importing this package imports nothing heavy: subpackages are loaded at first use (PEP 562).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unsup_fast import (
        blocks,
        cluster,
        decomposition,
        information,
        metrics,
        mixture,
        models,
        pictures,
        scenes,
        schedulers,
    )
    from unsup_fast._load import load
    from unsup_fast.cluster import KMeans, MiniBatchKMeans
    from unsup_fast.decomposition import PCA, IncrementalPCA
    from unsup_fast.mixture import GaussianMixture

    __version__: str

__all__ = [
    "PCA",
    "GaussianMixture",
    "IncrementalPCA",
    "KMeans",
    "MiniBatchKMeans",
    "__version__",
    "blocks",
    "cluster",
    "decomposition",
    "information",
    "load",
    "metrics",
    "mixture",
    "models",
    "pictures",
    "scenes",
    "schedulers",
]

# A pipeline's model_index.json names a scheduler by this package and its class. They are not in
# __all__, for they need diffusers.
_SCHEDULERS = (
    "FusedDDIM",
    "FusedDDPM",
    "FusedDPMSolverMultistep",
    "FusedEulerAncestralDiscrete",
    "FusedEulerDiscrete",
    "FusedFlowMatchEulerDiscrete",
    "FusedLCM",
    "FusedTCD",
    "FusedUniPCMultistep",
)


# Subpackage or module of each public name that is not itself a subpackage.
_HOMES = {
    "GaussianMixture": "mixture",
    "IncrementalPCA": "decomposition",
    "KMeans": "cluster",
    "MiniBatchKMeans": "cluster",
    "PCA": "decomposition",
    "load": "_load",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("unsup-fast")
    elif name in _HOMES:
        value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in __all__:
        value = import_module(f"{__name__}.{name}")
    elif name in _SCHEDULERS or name == "SchedulerMixin":  # diffusers looks for their base here
        value = getattr(import_module(f"{__name__}.schedulers"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_SCHEDULERS})
