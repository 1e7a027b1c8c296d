"""How good a clustering or a compression is.

What scikit-learn has is not here: `adjusted_rand_score`, `normalized_mutual_info_score`,
`silhouette_score` and others of `sklearn.metrics` take the labels of all models as they are.
"""

from unsup_fast.metrics.contingency import contingency_matrix, purity_score
from unsup_fast.metrics.reconstruction import reconstruction_error

__all__ = ["contingency_matrix", "purity_score", "reconstruction_error"]
