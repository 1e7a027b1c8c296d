"""Mean and scatter of rows against NumPy, torch and BLAS on the same rows.

Run by ``make bench`` or ``pytest benchmarks/bench_covariance.py --out results``. Rivals are
`numpy.cov` (centred in the type of the rows), `torch.cov`, and the bare product: SciPy's ssyrk or
dsyrk, which computes half of the products too, without the mean. Scatters must agree with brute
force in float64 to 1e-5 of the largest entry in float32 and 1e-12 in float64; that of the bare
product about zero with the uncentred one.

`gflops` counts N D (D + 1) operations; `of_gemm` is the share of gemm's rate at its best on
3000 x 3000 matrices.
"""

import functools
import time

import numpy as np
import pytest
import scipy.linalg.blas

from unsup_fast.kernels.covariance import covariance

CASES = {  # name: rows, columns, type
    "1M x 16": (1_000_000, 16, np.float32),
    "1M x 100": (1_000_000, 100, np.float32),
    "60k x 784": (60_000, 784, np.float32),
    "1M x 100, float64": (1_000_000, 100, np.float64),
    "60k x 784, float64": (60_000, 784, np.float64),
}


@functools.lru_cache(maxsize=1)
def data(case):
    n, d, dtype = CASES[case]
    return np.random.default_rng(0).standard_normal((n, d), dtype) + dtype(0.5)


@functools.lru_cache(maxsize=1)
def truth(case):
    """Return the mean [D] and the products about the mean [D, D], by brute force in float64."""
    X = data(case)
    mean, products = X.mean(axis=0, dtype=np.float64), 0.0
    for i in range(0, len(X), 10_000):
        block = X[i : i + 10_000] - mean
        products = products + block.T @ block
    return mean, products


@functools.lru_cache
def gemm_rate(dtype):
    gemm = scipy.linalg.blas.sgemm if dtype == np.float32 else scipy.linalg.blas.dgemm
    a = np.asfortranarray(np.random.default_rng(0).random((3000, 3000)).astype(dtype))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        gemm(1.0, a, a)
        seconds.append(time.perf_counter() - start)
    return 2 * 3000**3 / min(seconds) / 1e9


def of_unsup_fast(X):
    return covariance(X).scatter


def of_numpy(X):
    return np.cov(X, rowvar=False, dtype=X.dtype) * (len(X) - 1)


def of_torch(X):
    import torch

    return torch.cov(torch.from_numpy(X).T).numpy() * (len(X) - 1)


def of_syrk(X):
    syrk = scipy.linalg.blas.ssyrk if X.dtype == np.float32 else scipy.linalg.blas.dsyrk
    return syrk(1.0, X.T, lower=1)


LIBRARIES = {
    "unsup_fast": of_unsup_fast,
    "numpy.cov": of_numpy,
    "torch.cov": of_torch,
    "syrk": of_syrk,
}


def check(library, case, scatter):
    X = data(case)
    mean, products = truth(case)
    if library == "syrk":
        products = products + len(X) * mean[:, None] * mean
        products, scatter = np.tril(products), np.tril(scatter)
    rtol = 1e-12 if X.dtype == np.float64 else 1e-5 if library == "unsup_fast" else 1e-3
    np.testing.assert_allclose(scatter, products, rtol=0, atol=rtol * np.abs(products).max())


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_covariance(benchmark, request, case, library):
    if library == "torch.cov":
        pytest.importorskip("torch")
    X = data(case)
    rounds = request.config.getoption("--rounds")
    scatter = benchmark.pedantic(LIBRARIES[library], (X,), rounds=rounds, warmup_rounds=1)
    check(library, case, scatter)
    n, d, dtype = CASES[case]
    stats = benchmark.stats.stats
    rate = n * d * (d + 1) / stats.median / 1e9
    request.config.rows.append(
        {
            "bench": "covariance",
            "case": case,
            "library": library,
            "stats": stats,
            "gflops": rate,
            "of_gemm": rate / gemm_rate(dtype),
        }
    )
    benchmark.extra_info["gflops"] = rate
