"""All eigenvalues of a symmetric matrix and its leading eigenvectors, against LAPACK's drivers.

Run by ``make bench`` or ``pytest benchmarks/bench_eigh.py --out results``. Rivals compute all
eigenpairs, as who wants all eigenvalues must: scipy.linalg.eigh (dsyevr), numpy.linalg.eigh
(dsyevd) and torch.linalg.eigh. The eigenvalues of the matrices are known; each must return them
to 1e-10 of the largest, with eigenvectors v for which |A v - value v| is as small.

``of_dgemm`` is the time of one product of two N x N matrices over that of the call.
"""

import functools
import time

import numpy as np
import pytest
import scipy.linalg

from unsup_fast.kernels.eigh import eigh

CASES = {  # name: rows and columns, eigenvectors
    "n=100, 10 vectors": (100, 10),
    "n=784, 50 vectors": (784, 50),
    "n=2048, 10 vectors": (2048, 10),
    "n=784, all vectors": (784, 784),
}


@functools.lru_cache(maxsize=1)
def data(case):
    """Return a matrix [N, N] and its eigenvalues [N], descending."""
    n, _ = CASES[case]
    values = np.exp(-9 * np.arange(n) / n)
    axes = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0]
    A = (axes * values) @ axes.T
    return (A + A.T) / 2, values


@functools.lru_cache
def product_time(case):
    A, _ = data(case)
    times = max(1, 1000 // len(A))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(times):
            A @ A
        seconds.append((time.perf_counter() - start) / times)
    return min(seconds)


def of_unsup_fast(A, k):
    eigen = eigh(A)
    return eigen.values, eigen.leading(k)


def of_ascending(values, vectors, k):
    """Return descending values, and the eigenvectors of the first k as rows."""
    return values[::-1], vectors[:, ::-1][:, :k].T


def of_scipy(A, k):
    return of_ascending(*scipy.linalg.eigh(A), k)


def of_numpy(A, k):
    return of_ascending(*np.linalg.eigh(A), k)


def of_torch(A, k):
    import torch

    values, vectors = torch.linalg.eigh(torch.from_numpy(A))
    return of_ascending(values.numpy(), vectors.numpy(), k)


LIBRARIES = {
    "unsup_fast": of_unsup_fast,
    "scipy.linalg.eigh": of_scipy,
    "numpy.linalg.eigh": of_numpy,
    "torch.linalg.eigh": of_torch,
}


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_eigh(benchmark, request, case, library):
    if "torch" in library:
        pytest.importorskip("torch")
    n, k = CASES[case]
    A, truth = data(case)
    rounds = request.config.getoption("--rounds")
    values, vectors = benchmark.pedantic(
        LIBRARIES[library], (A, k), rounds=rounds, iterations=10 if n == 100 else 1, warmup_rounds=1
    )
    wrong = np.abs(values - truth).max()
    residual = np.linalg.norm(vectors @ A - values[:k, None] * vectors, axis=1).max()
    assert vectors.shape == (k, n)
    assert max(wrong, residual) < 1e-10
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(k), atol=1e-10)
    request.config.rows.append(
        {
            "bench": "eigh",
            "case": case,
            "library": library,
            "stats": benchmark.stats.stats,
            "of_dgemm": product_time(case) / benchmark.stats.stats.median,
            "error": wrong,
            "residual": residual,
        }
    )
