"""Clustering with scikit-learn's interface."""

from unsup_fast.cluster._init import kmeans_plusplus
from unsup_fast.cluster._lloyd import Iteration
from unsup_fast.cluster.kmeans import KMeans, k_means

__all__ = ["Iteration", "KMeans", "k_means", "kmeans_plusplus"]
