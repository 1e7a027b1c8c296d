"""The nearest centroid of every row, against its rivals: same rows, same centroids.

Run by ``make bench`` or ``pytest benchmarks/bench_assign.py --out results --mnist mnist.npz``.
Ours is one dense iteration of k-means: labels, inertia and the sums that move the centroids. faiss
(an exact index of the centroids) and a matrix product by blocks return labels and inertia alone,
scikit-learn labels alone. Labels of sampled rows must be as near as those of the reference in
float64, to 1e-5 of their squared distance and the rows' size; inertia, where it is returned, must
be that of brute force to 1e-5.
"""

import numpy as np
import pytest
from bench_kmeans import FITS, data, files, inertia, record, sgemm_rate
from sklearn.metrics import pairwise_distances_argmin

from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.moments import moments

CASES = [
    "1M x 2, k=10",
    "1M x 16, k=64",
    "200k x 64, k=256",
    "100k x 128, k=1024",
    "MNIST, k=100",
    "MNIST, k=1000",
]
BLOCK = 4096  # rows of a matrix product
SAMPLED = 200  # rows whose labels are checked


def of_unsup_fast(X, centers):
    shift = moments(X[:1000]).mean.astype(np.float32)
    result = assign(X, centers, shift=shift)
    return result.labels, result.inertia


def of_faiss(X, centers):
    import faiss

    index = faiss.IndexFlatL2(X.shape[1])
    index.add(centers)
    squared, labels = index.search(X, 1)
    return labels[:, 0], squared.sum(dtype=np.float64)


def of_sgemm(X, centers):
    """Score blocks of rows by |c|^2 - 2 x . c."""
    squares = np.einsum("kd,kd->k", centers, centers)  # [K]
    labels, total = np.empty(len(X), np.int32), 0.0
    for start in range(0, len(X), BLOCK):
        x = X[start : start + BLOCK]
        scores = x @ centers.T  # [B, K]
        scores *= -2
        scores += squares
        nearest = scores.argmin(axis=1)
        labels[start : start + BLOCK] = nearest
        total += scores[np.arange(len(x)), nearest].sum(dtype=np.float64)
        total += np.einsum("bd,bd->b", x, x).sum(dtype=np.float64)
    return labels, total


def of_sklearn(X, centers):
    return pairwise_distances_argmin(X, centers), None


LIBRARIES = {
    "unsup_fast": of_unsup_fast,
    "faiss": of_faiss,
    "sgemm": of_sgemm,
    "scikit-learn": of_sklearn,
}


def check_labels(X, centers, labels):
    """Compare the labels of sampled rows with the reference."""
    rows = slice(0, None, max(1, len(X) // SAMPLED))
    sample, own = np.ascontiguousarray(X[rows]), labels[rows]
    nearest = assign(sample, centers, backend="ref", return_distances=True).distances
    squared = ((sample.astype(np.float64) - centers[own]) ** 2).sum(axis=1)
    size = (sample.astype(np.float64) ** 2).sum(axis=1)
    assert (squared <= nearest + 1e-5 * (nearest + size)).all()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_assign(benchmark, request, case, library):
    if library == "faiss":
        pytest.importorskip("faiss")
    n, d, k, _ = FITS[case]
    X, centers = data(case, *files(request))
    sgemm_rate(case)
    rounds = request.config.getoption("--rounds")
    labels, quality = benchmark.pedantic(
        LIBRARIES[library], (X, centers), rounds=rounds, warmup_rounds=1
    )
    check_labels(X, centers, labels)
    assert quality is None or quality == pytest.approx(inertia(X, centers), rel=1e-5)
    name = f"one iteration of {case}"
    record(request, benchmark, name, library, 2 * n * d * k, quality, bench="assign")
