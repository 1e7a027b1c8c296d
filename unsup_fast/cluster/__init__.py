"""Clustering with scikit-learn's interface."""

from unsup_fast.cluster._function import k_means
from unsup_fast.cluster._init import kmeans_parallel, kmeans_plusplus
from unsup_fast.cluster._lloyd import Iteration, stagnates
from unsup_fast.cluster._minibatch import Step
from unsup_fast.cluster.kmeans import KMeans
from unsup_fast.cluster.minibatch import MiniBatchKMeans

__all__ = [
    "Iteration",
    "KMeans",
    "MiniBatchKMeans",
    "Step",
    "k_means",
    "kmeans_parallel",
    "kmeans_plusplus",
    "stagnates",
]
