"""The m nearest centroids of every row, against their rivals: same rows, same centroids.

Run by ``make bench`` or ``pytest benchmarks/bench_nearest.py --out results --mnist mnist.npz``.
All return labels and distances. "assign" is our pass that finds the nearest one alone, with its
distance: what the others cost is to be compared with it. faiss is an exact index of the centroids,
torch sorts blocks of distances, scikit-learn searches by brute force. The m distances of sampled
rows must be those of brute force in float64, to 1e-5 of themselves and of the rows' size.
"""

import numpy as np
import pytest
from bench_kmeans import FITS, data, files, record, sgemm_rate

from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.moments import moments
from unsup_fast.kernels.nearest import nearest

CASES = ["200k x 64, k=256", "100k x 128, k=1024", "MNIST, k=1000"]
TOPS = [1, 4, 16]
BLOCK = 4096  # rows of a block of distances
SAMPLED = 200  # rows whose distances are checked


def shift_of(X):
    return moments(X[:1000]).mean.astype(np.float32)


def of_unsup_fast(X, centers, top):
    result = nearest(X, centers, top, shift=shift_of(X))
    return result.labels, result.distances


def of_assign(X, centers, top):
    result = assign(X, centers, shift=shift_of(X), update=False, return_distances=True)
    return result.labels[:, None], result.distances[:, None]


def of_faiss(X, centers, top):
    import faiss

    index = faiss.IndexFlatL2(X.shape[1])
    index.add(centers)
    squared, labels = index.search(X, top)
    return labels, squared


def of_torch(X, centers, top):
    import torch

    rows, c = torch.from_numpy(X), torch.from_numpy(centers)
    labels, squared = np.empty((len(X), top), np.int64), np.empty((len(X), top), np.float32)
    for start in range(0, len(X), BLOCK):
        part = slice(start, start + BLOCK)
        values, indices = torch.topk(torch.cdist(rows[part], c), top, largest=False)
        labels[part], squared[part] = indices.numpy(), values.square().numpy()
    return labels, squared


def of_sklearn(X, centers, top):
    from sklearn.neighbors import NearestNeighbors

    rival = NearestNeighbors(n_neighbors=top, algorithm="brute").fit(centers)
    distances, labels = rival.kneighbors(X)
    return labels, distances**2


LIBRARIES = {
    "unsup_fast": of_unsup_fast,
    "assign": of_assign,
    "faiss": of_faiss,
    "torch": of_torch,
    "scikit-learn": of_sklearn,
}


def check(X, centers, labels, top):
    """Compare the distances of sampled rows with brute force; the labels of a row must differ."""
    rows = slice(0, None, max(1, len(X) // SAMPLED))
    x, own = X[rows].astype(np.float64), labels[rows]
    squared = np.stack([((x - c) ** 2).sum(axis=1) for c in centers], axis=1)  # [B, K]
    expected = np.sort(squared, axis=1)[:, :top]
    error = np.abs(np.take_along_axis(squared, own, axis=1) - expected)
    assert (error <= 1e-5 * (expected + (x**2).sum(axis=1)[:, None])).all()
    assert (np.diff(np.sort(own, axis=1), axis=1) > 0).all()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("top", TOPS)
@pytest.mark.parametrize("case", CASES)
def test_nearest(benchmark, request, case, top, library):
    if library in ("faiss", "torch"):
        pytest.importorskip(library)
    if library == "assign" and top > 1:
        pytest.skip("assign has the nearest one alone")
    n, d, k, _ = FITS[case]
    X, centers = data(case, *files(request))
    sgemm_rate(case)
    rounds = request.config.getoption("--rounds")
    labels, _ = benchmark.pedantic(
        LIBRARIES[library], (X, centers, top), rounds=rounds, warmup_rounds=1
    )
    check(X, centers, labels, top)
    name = f"{top} nearest of {case}"
    record(request, benchmark, name, library, 2 * n * d * k, None, bench="nearest")
