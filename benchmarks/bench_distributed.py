"""k-means over the workers of a Dask cluster against dask-ml's: default starts, 20 iterations.

Both fit the same dask array on the same two workers of one thread. The data lie around 20, so that
a centroid at the origin has no row near it. Ours must end at a lower inertia, with no such
centroid.
"""

import warnings

import numpy as np
import pytest

from unsup_fast.cluster import KMeans

ROWS, COLUMNS, CLUSTERS, ITERATIONS, CHUNK = 20_000, 32, 500, 20, 2_500


def data():
    rng = np.random.default_rng(0)
    centers = 20 + 3 * rng.normal(size=(CLUSTERS, COLUMNS))
    return centers[rng.integers(0, CLUSTERS, ROWS)] + rng.normal(size=(ROWS, COLUMNS))


@pytest.fixture(scope="module")
def collection():
    """Return the rows as a dask array; its cluster has the current client."""
    distributed = pytest.importorskip("distributed")
    array = pytest.importorskip("dask.array")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
        ) as cluster,
        distributed.Client(cluster),
    ):
        yield array.from_array(data(), chunks=(CHUNK, COLUMNS))


def centers_of(library, X):
    """Return the centroids of a fit."""
    if library == "unsup_fast":
        options = {"init": "k-means||", "max_iter": ITERATIONS, "tol": 0, "random_state": 0}
        return KMeans(CLUSTERS, **options).fit(X).cluster_centers_
    cluster = pytest.importorskip("dask_ml.cluster")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = cluster.KMeans(CLUSTERS, max_iter=ITERATIONS, tol=0, random_state=0).fit(X)
    return model.cluster_centers_


def inertia(X, centers):
    """Return the sum of squared distances of rows to the nearest centroids, in float64."""
    squares = (X**2).sum(1)[:, None] - 2 * X @ centers.T + (centers**2).sum(1)  # [N, K]
    return float(squares.min(axis=1).sum())


REACHED: dict[str, float] = {}  # inertia by library


@pytest.mark.parametrize("case", ["20k x 32, k=500"])
@pytest.mark.parametrize("library", ["unsup_fast", "dask-ml"])
def test_fit(case, library, collection, benchmark, pytestconfig):
    rounds = pytestconfig.getoption("rounds") if library == "unsup_fast" else 1  # minutes each
    centers = benchmark.pedantic(
        centers_of, args=(library, collection), rounds=rounds, warmup_rounds=rounds > 1
    )
    at_origin = int((np.linalg.norm(centers, axis=1) < 1).sum())
    REACHED[library] = inertia(data(), centers)
    benchmark.extra_info |= {"inertia": REACHED[library], "at_origin": at_origin}
    if library == "unsup_fast":
        assert at_origin == 0
    elif "unsup_fast" in REACHED:
        assert REACHED["unsup_fast"] < REACHED[library]
