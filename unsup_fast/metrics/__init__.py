"""How good a clustering, a compression, or a generator of images is.

What scikit-learn has is not here: `adjusted_rand_score`, `normalized_mutual_info_score`,
`silhouette_score` and others of `sklearn.metrics` take the labels of all models as they are.
"""

from unsup_fast.metrics._features import Estimate, FewSamplesWarning
from unsup_fast.metrics.contingency import contingency_matrix, purity_score
from unsup_fast.metrics.inception_score import InceptionScore, inception_score
from unsup_fast.metrics.kernel_distance import KernelDistance, kernel_distance
from unsup_fast.metrics.prdc import (
    PRDC,
    PrecisionRecallDensityCoverage,
    precision_recall_density_coverage,
)
from unsup_fast.metrics.reconstruction import reconstruction_error

__all__ = [
    "PRDC",
    "Estimate",
    "FewSamplesWarning",
    "InceptionScore",
    "KernelDistance",
    "PrecisionRecallDensityCoverage",
    "contingency_matrix",
    "inception_score",
    "kernel_distance",
    "precision_recall_density_coverage",
    "purity_score",
    "reconstruction_error",
]
