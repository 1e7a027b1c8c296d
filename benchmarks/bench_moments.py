"""Mean, variance, minimum and maximum of columns against NumPy and torch on the same rows.

Run by ``make bench`` or ``pytest benchmarks/bench_moments.py --out results``. NumPy sums in
float64, torch in the type of the rows (`torch.var_mean`, `torch.aminmax`). Minima and maxima must
be exact; means and variances must agree with float64 to 1e-10, torch's in float32 to 1e-3.

`of_copy` is the bytes of the rows a second as a share of the bytes that a copy of them reads and
writes.
"""

import functools
import time

import numpy as np
import pytest

from unsup_fast.kernels.moments import moments

CASES = {  # name: rows, columns, type
    "1M x 2": (1_000_000, 2, np.float32),
    "1M x 100": (1_000_000, 100, np.float32),
    "60k x 784": (60_000, 784, np.float32),
    "1M x 100, float64": (1_000_000, 100, np.float64),
}


@functools.lru_cache(maxsize=1)
def data(case):
    n, d, dtype = CASES[case]
    return np.random.default_rng(0).standard_normal((n, d), dtype) + dtype(0.5)


@functools.lru_cache(maxsize=1)
def copy_rate(case):
    """Return the bytes per second that a copy of the rows reads and writes."""
    X = data(case)
    out, seconds = np.zeros_like(X), []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(out, X)
        seconds.append(time.perf_counter() - start)
    return 2 * X.nbytes / min(seconds)


def of_unsup_fast(X):
    result = moments(X)
    return result.mean, result.variance, result.minimum, result.maximum


def of_numpy(X):
    return (
        X.mean(axis=0, dtype=np.float64),
        X.var(axis=0, dtype=np.float64),
        X.min(axis=0),
        X.max(axis=0),
    )


def of_torch(X):
    import torch

    rows = torch.from_numpy(X)
    variance, mean = torch.var_mean(rows, dim=0, correction=0)
    least, most = torch.aminmax(rows, dim=0)
    return mean.numpy(), variance.numpy(), least.numpy(), most.numpy()


LIBRARIES = {"unsup_fast": of_unsup_fast, "numpy": of_numpy, "torch": of_torch}


def check(library, X, result):
    mean, variance, minimum, maximum = result
    tol = 1e-3 if library == "torch" and X.dtype == np.float32 else 1e-10
    np.testing.assert_allclose(mean, X.mean(axis=0, dtype=np.float64), rtol=0, atol=tol)
    np.testing.assert_allclose(variance, X.var(axis=0, dtype=np.float64), rtol=0, atol=tol)
    np.testing.assert_array_equal(minimum, X.min(axis=0))
    np.testing.assert_array_equal(maximum, X.max(axis=0))


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_moments(benchmark, request, case, library):
    if library == "torch":
        pytest.importorskip("torch")
    X = data(case)
    rounds = request.config.getoption("--rounds")
    result = benchmark.pedantic(LIBRARIES[library], (X,), rounds=rounds, warmup_rounds=1)
    check(library, X, result)
    stats = benchmark.stats.stats
    rate = X.nbytes / stats.median
    request.config.rows.append(
        {
            "bench": "moments",
            "case": case,
            "library": library,
            "stats": stats,
            "gb_per_s": rate / 1e9,
            "of_copy": rate / copy_rate(case),
        }
    )
    benchmark.extra_info["gb_per_s"] = rate / 1e9
