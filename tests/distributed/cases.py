"""Rows and a model for tests of engines, and which results of two fits have the same bits."""

import numpy as np

from unsup_fast import blocks
from unsup_fast.cluster import KMeans

N, D, K, CHUNK = 3000, 8, 40, 250
RESULTS = (
    "cluster_centers_",
    "labels_",
    "cluster_sizes_",
    "inertia_history_",
    "n_changed_history_",
    "inertia_",
    "n_iter_",
)


def rows():
    rng = np.random.default_rng(5)
    centers = 2 * rng.normal(size=(30, D))
    return (centers[rng.integers(0, 30, N)] + rng.normal(size=(N, D))).astype(np.float32)


def source():
    return blocks.source(rows(), chunk_size=CHUNK)


def model(**options):
    return KMeans(K, **{"init": "k-means||", "random_state": 0, "max_iter": 6, **options})


def same(one, other, names=RESULTS):
    for name in names:
        np.testing.assert_array_equal(
            np.asarray(getattr(one, name)), np.asarray(getattr(other, name)), err_msg=name
        )
