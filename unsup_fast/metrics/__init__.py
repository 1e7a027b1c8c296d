"""Scores of a clustering, a compression, or a generator of images.

Scores that scikit-learn has are not here: `adjusted_rand_score`, `normalized_mutual_info_score`,
`silhouette_score` and others of `sklearn.metrics` take the labels of all models as they are.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from unsup_fast.metrics._features import Estimate, FewSamplesWarning
from unsup_fast.metrics.contingency import contingency_matrix, purity_score
from unsup_fast.metrics.frechet import (
    FrechetDistance,
    feature_frechet_distance,
    frechet_distance,
)
from unsup_fast.metrics.inception_score import InceptionScore, inception_score
from unsup_fast.metrics.judge import Judge
from unsup_fast.metrics.kernel_inception_distance import (
    KernelInceptionDistance,
    kernel_inception_distance,
)
from unsup_fast.metrics.prdc import (
    PRDC,
    PRDCScores,
    prdc,
)
from unsup_fast.metrics.reconstruction import reconstruction_error
from unsup_fast.metrics.statistics import Statistics, load_statistics, save_statistics
from unsup_fast.pictures import Images, images

if TYPE_CHECKING:
    from unsup_fast.metrics.inception import Inception
    from unsup_fast.metrics.lite import Lite0, Lite1
    from unsup_fast.metrics.perceptual import PerceptualDistance

__all__ = [
    "PRDC",
    "Estimate",
    "FewSamplesWarning",
    "FrechetDistance",
    "Images",
    "Inception",
    "InceptionScore",
    "Judge",
    "KernelInceptionDistance",
    "Lite0",
    "Lite1",
    "PRDCScores",
    "PerceptualDistance",
    "Statistics",
    "contingency_matrix",
    "feature_frechet_distance",
    "frechet_distance",
    "images",
    "inception_score",
    "kernel_inception_distance",
    "load_statistics",
    "prdc",
    "purity_score",
    "reconstruction_error",
    "save_statistics",
]


NETWORKS = {  # module and, for errors, name of what needs torch
    "Inception": ("inception", "the Inception network"),
    "Lite0": ("lite", "the EfficientNet-lite0 network"),
    "Lite1": ("lite", "the EfficientNet-lite1 network"),
    "PerceptualDistance": ("perceptual", "the perceptual distance"),
}


def __getattr__(name: str) -> Any:
    if name not in NETWORKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, purpose = NETWORKS[name]
    from unsup_fast import _extras

    _extras.require("torch", "torch", purpose)
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
