"""Near-duplicate pairs within clusters, against brute force within clusters.

Run by ``make bench`` or ``pytest benchmarks/bench_pairs.py --out results --sentences
sentences.npy``. The rows are in 200 clusters by cosine distance; ours must return the pairs of
float64 brute force. The rivals compute the whole matrix of similarities of each cluster, as
SemDeDup's code does by torch, and take what is at the threshold or above in its upper triangle: in
float32, so that they may miss or add a pair within 1e-6 of it.

`gflops` counts the products of the rivals, all N_c^2 of a cluster of N_c rows. Ours computes half
of them, and none between rows whose distances to the mean differ too much, so that its share of
sgemm (`of_sgemm`, at its best on 4096 x 4096) may exceed 1.
"""

import functools

import numpy as np
import pytest
from bench_kmeans import sgemm_rate

from unsup_fast.cluster import KMeans, pairs_above

CASES = {  # name: threshold, clusters
    "sentences, 200 clusters, 0.95": (0.95, 200),
    "sentences, 200 clusters, 0.8": (0.8, 200),
    "sentences, 20 clusters, 0.95": (0.95, 20),
}
BAND = 1e-6  # around the threshold, in which float32 may decide otherwise


@functools.lru_cache(maxsize=1)
def data(path, n_clusters):
    X = np.load(path).astype(np.float32)
    X /= np.sqrt((X.astype(np.float64) ** 2).sum(axis=1))[:, None]
    model = KMeans(n_clusters, metric="cosine", random_state=0, max_iter=20).fit(X)
    return X, model.labels_, int((model.cluster_sizes_**2).sum())


@functools.lru_cache
def truth(path, case):
    """Return the pairs of float64 brute force down to just below the threshold, as a dict."""
    threshold, n_clusters = CASES[case]
    X, labels, _ = data(path, n_clusters)
    pairs = {}
    for cluster in range(n_clusters):
        rows = np.flatnonzero(labels == cluster)
        wide = X[rows].astype(np.float64)
        lengths = np.sqrt((wide**2).sum(axis=1))
        similarity = np.triu(wide @ wide.T / lengths / lengths[:, None], 1)
        i, j = np.nonzero(similarity >= threshold - BAND)
        keys = zip(rows[i].tolist(), rows[j].tolist(), strict=True)
        pairs |= dict(zip(keys, similarity[i, j].tolist(), strict=True))
    return pairs


def by_unsup_fast(X, labels, threshold):
    i, j, _ = pairs_above(X, labels, threshold)
    return set(zip(i.tolist(), j.tolist(), strict=True))


def by_torch(X, labels, threshold):
    import torch

    pairs, whole = set(), torch.from_numpy(X)
    for cluster in range(labels.max() + 1):
        rows = torch.from_numpy(np.flatnonzero(labels == cluster))
        own = whole[rows]
        similarity = torch.triu(own @ own.T, diagonal=1)
        i, j = torch.nonzero(similarity >= threshold, as_tuple=True)
        pairs |= set(zip(rows[i].tolist(), rows[j].tolist(), strict=True))
    return pairs


def by_numpy(X, labels, threshold):
    pairs = set()
    for cluster in range(labels.max() + 1):
        rows = np.flatnonzero(labels == cluster)
        own = X[rows]
        i, j = np.nonzero(np.triu(own @ own.T, 1) >= threshold)
        pairs |= set(zip(rows[i].tolist(), rows[j].tolist(), strict=True))
    return pairs


FINDERS = {"unsup_fast": by_unsup_fast, "torch": by_torch, "NumPy": by_numpy}


@pytest.mark.parametrize("library", FINDERS)
@pytest.mark.parametrize("case", CASES)
def test_pairs(benchmark, request, case, library):
    path = request.config.getoption("--sentences")
    if path is None:
        pytest.skip("pass --sentences sentences.npy")
    if library == "torch":
        pytest.importorskip("torch")
    threshold, n_clusters = CASES[case]
    X, labels, n_products = data(path, n_clusters)
    expected, rate = truth(path, case), sgemm_rate("sentences, k=1000")
    pairs = benchmark.pedantic(
        FINDERS[library],
        (X, labels, threshold),
        rounds=request.config.getoption("--rounds"),
        warmup_rounds=1,
    )
    exact = {pair for pair, similarity in expected.items() if similarity >= threshold}
    if library == "unsup_fast":
        assert pairs == exact
    else:
        assert all(abs(expected.get(pair, 0) - threshold) <= BAND for pair in pairs ^ exact)
    stats = benchmark.stats.stats
    gflops = 2 * n_products * X.shape[1] / stats.median / 1e9
    request.config.rows.append(
        {
            "bench": "pairs",
            "case": case,
            "library": library,
            "stats": stats,
            "pairs": len(pairs),
            "gflops": gflops,
            "of_sgemm": gflops / rate,
        }
    )
