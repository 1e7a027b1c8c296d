"""An affine map of every row against NumPy and torch: same rows, weights, shift and offset.

Run by ``make bench`` or ``pytest benchmarks/bench_affine.py --out results``. Rivals do what
`transform` of a PCA needs at the least cost: the shift goes into the offset, so X is read once;
"torch, centred" subtracts it first, as a copy, which is as accurate as ours. Rows are 30 deviations
from the origin. Sampled rows must agree with the reference in float64, to 1e-5 of |X - shift|
|weights| for ours and the centred one, of |X| |weights| for the others.
"""

import functools

import numpy as np
import pytest
from bench_kmeans import sgemm_rate

from unsup_fast.kernels.affine import affine

torch = pytest.importorskip("torch")

CASES = {  # name: rows, columns, columns of the result
    "1M x 16 -> 4": (1_000_000, 16, 4),
    "1M x 100 -> 10": (1_000_000, 100, 10),
    "60k x 784 -> 50": (60_000, 784, 50),
    "20k x 1024 -> 512": (20_000, 1024, 512),
}
SAMPLED = 200  # rows that are checked


@functools.lru_cache(maxsize=1)
def data(case):
    """Return X [N, D], weights [K, D], shift [D] and offset [K]."""
    n, d, k = CASES[case]
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.float32) + np.float32(30)
    weights = np.linalg.qr(rng.normal(size=(d, k)))[0].T
    arrays = weights, X[:1000].mean(axis=0), rng.normal(size=k)
    return X, *(np.ascontiguousarray(array, dtype=np.float32) for array in arrays)


def of_unsup_fast(X, weights, shift, offset):
    return affine(X, weights, shift=shift, offset=offset)


def of_numpy(X, weights, shift, offset):
    out = X @ weights.T  # [N, K]
    out += offset - weights @ shift
    return out


def of_torch(X, weights, shift, offset):
    X, weights, shift, offset = (torch.from_numpy(array) for array in (X, weights, shift, offset))
    return torch.addmm(offset - weights @ shift, X, weights.T).numpy()


def centred(X, weights, shift, offset):
    X, weights, shift, offset = (torch.from_numpy(array) for array in (X, weights, shift, offset))
    return torch.addmm(offset, X - shift, weights.T).numpy()


LIBRARIES = {
    "unsup_fast": of_unsup_fast,
    "numpy": of_numpy,
    "torch": of_torch,
    "torch, centred": centred,
}


def check(library, out, X, weights, shift, offset):
    rows = slice(0, None, max(1, len(X) // SAMPLED))
    x, w, s, o = (array.astype(np.float64) for array in (X[rows], weights, shift, offset))
    truth = affine(x, w, shift=s, offset=o, backend="ref")
    exact = library in ("unsup_fast", "torch, centred")
    size = np.abs(x - shift if exact else x) @ np.abs(weights).T  # [M, K]
    assert (np.abs(out[rows] - truth) <= 1e-5 * (size + np.abs(offset))).all()


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_affine(benchmark, request, case, library):
    n, d, k = CASES[case]
    arrays, rate = data(case), sgemm_rate(case)
    rounds = request.config.getoption("--rounds")
    out = benchmark.pedantic(LIBRARIES[library], arrays, rounds=rounds, warmup_rounds=1)
    check(library, out, *arrays)
    stats = benchmark.stats.stats
    gflops = 2 * n * d * k / stats.median / 1e9
    request.config.rows.append(
        {
            "bench": "affine",
            "case": case,
            "library": library,
            "stats": stats,
            "gflops": gflops,
            "of_sgemm": gflops / rate,
            "sgemm_gflops": rate,
        }
    )
    benchmark.extra_info["of_sgemm"] = gflops / rate
