"""Clustering with scikit-learn's interface."""

from unsup_fast.cluster._function import k_means
from unsup_fast.cluster._indexes import to_faiss, to_lance
from unsup_fast.cluster._init import kmeans_parallel, kmeans_plusplus
from unsup_fast.cluster._lloyd import Iteration, stagnates
from unsup_fast.cluster._minibatch import Step
from unsup_fast.cluster._pairs import iter_pairs, pairs_above
from unsup_fast.cluster._strips import Pairs
from unsup_fast.cluster.kmeans import KMeans
from unsup_fast.cluster.minibatch import MiniBatchKMeans

__all__ = [
    "Iteration",
    "KMeans",
    "MiniBatchKMeans",
    "Pairs",
    "Step",
    "iter_pairs",
    "k_means",
    "kmeans_parallel",
    "kmeans_plusplus",
    "pairs_above",
    "stagnates",
    "to_faiss",
    "to_lance",
]
