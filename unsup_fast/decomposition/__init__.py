"""Linear decompositions with scikit-learn's interface."""

from unsup_fast.decomposition.incremental import IncrementalPCA
from unsup_fast.decomposition.pca import PCA

__all__ = ["PCA", "IncrementalPCA"]
