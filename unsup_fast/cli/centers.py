"""Rows and the centroids of their clusters."""

from collections.abc import Callable
from contextlib import closing

import numpy as np
import scipy.sparse as sp

from unsup_fast._rows import scaling
from unsup_fast._rows.directions import unit_rows
from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.cluster import KMeans


def distances(labels: Array, model: KMeans) -> Callable[[Array], Array]:
    """Return a function from the next rows to the distances to their centroids.

    Parameters
    ----------
    labels : ndarray of int, shape (N,)
        Cluster of each row.
    model : KMeans
    """
    cosine = model.metric == "cosine"
    centers = scaling.applied(model, model.cluster_centers_)
    done = 0

    def distances(rows: Array) -> Array:
        nonlocal done
        own = centers[labels[done : done + len(rows)]]
        done += len(rows)
        rows = scaling.applied(model, rows)
        differences = (unit_rows(rows) if cosine else rows) - own  # [M, D]
        squares = np.einsum("ij,ij->i", differences, differences, dtype=np.float64)
        lengths: Array = (squares / 2 if cosine else np.sqrt(squares)).astype(rows.dtype)
        return lengths

    return distances


def of_labels(source: Source, labels: Array, metric: str) -> KMeans:
    """Return a model whose centroids are the means of labelled rows, in one pass.

    Parameters
    ----------
    source : Source of shape (N, D)
    labels : ndarray of int, shape (N,)
        From 0 to K - 1, each at least once; -1 for rows outside of all clusters.
    metric : {"cosine", "euclidean"}
        With "cosine" rows are taken at unit length; their means are shorter.
    """
    n_clusters = int(labels.max(initial=-1)) + 1
    sums = np.zeros((n_clusters, source.n_columns))
    with closing(source.blocks()) as blocks:
        for first, block in blocks:
            rows = unit_rows(block, first) if metric == "cosine" else block
            own = labels[first : first + len(rows)]
            used = np.flatnonzero(own >= 0)
            parts = (np.ones(len(used)), (own[used], used))
            chosen = sp.csr_array(parts, shape=(n_clusters, len(rows)))
            sums += chosen @ rows.astype(np.float64, copy=False)
    sizes = np.bincount(labels[labels >= 0], minlength=n_clusters)
    model = KMeans(max(1, n_clusters), metric=metric)
    model.cluster_centers_ = (sums / sizes[:, None]).astype(source.dtype)
    return model
