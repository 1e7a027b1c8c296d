"""How good a clustering or a compression is, and how near generated samples are to data.

What scikit-learn has is not here: `adjusted_rand_score`, `normalized_mutual_info_score`,
`silhouette_score` and others of `sklearn.metrics` take the labels of all models as they are.
"""

from unsup_fast.metrics.contingency import contingency_matrix, purity_score
from unsup_fast.metrics.frechet import (
    FrechetDistance,
    feature_frechet_distance,
    frechet_distance,
)
from unsup_fast.metrics.reconstruction import reconstruction_error
from unsup_fast.metrics.statistics import Statistics, load_statistics, save_statistics

__all__ = [
    "FrechetDistance",
    "Statistics",
    "contingency_matrix",
    "feature_frechet_distance",
    "frechet_distance",
    "load_statistics",
    "purity_score",
    "reconstruction_error",
    "save_statistics",
]
