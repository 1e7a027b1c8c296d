"""float16 to float32 against NumPy and torch, which write into an existing array too.

Run by ``make bench`` or ``pytest benchmarks/bench_half_to_float.py --out results``. "normal" are
numbers as embeddings have them, "all" are all 65,536 bit patterns again and again, of which 3 % are
subnormal. Every result must be the reference's, bit for bit; of NaN, rivals need only return NaN.

`of_copy` is the bytes read and written a second as a share of what a copy of a float32 array of
this size reads and writes.
"""

import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from rates import copy_rate  # noqa: E402

from unsup_fast.kernels.half_to_float import half_to_float  # noqa: E402

CASES = {  # name: how many numbers, which
    "10M, normal": (10_000_000, "normal"),
    "10M, all": (10_000_000, "all"),
    "100k, normal": (100_000, "normal"),
}


@functools.lru_cache(maxsize=1)
def data(case):
    """Return float16 numbers, and what they are as float32."""
    count, which = CASES[case]
    if which == "normal":
        X = np.random.default_rng(0).normal(size=count).astype(np.float16)
    else:
        X = np.resize(np.arange(1 << 16).astype(np.uint16), count).view(np.float16)
    truth = np.empty(count, np.float32)
    half_to_float(X, truth, backend="ref")
    return X, truth


def of_numpy(X, out):
    np.copyto(out, X)


def of_torch(X, out):
    torch.from_numpy(out).copy_(torch.from_numpy(X))


LIBRARIES = {"unsup_fast": half_to_float, "numpy": of_numpy, "torch": of_torch}


def check(library, out, truth):
    if library == "unsup_fast":
        np.testing.assert_array_equal(out.view(np.uint32), truth.view(np.uint32))
    else:
        np.testing.assert_array_equal(out, truth)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_half_to_float(benchmark, request, case, library):
    X, truth = data(case)
    out = np.full(len(X), -1, np.float32)
    rounds = request.config.getoption("--rounds")
    iterations = 1 if len(X) > 1_000_000 else 100
    run = LIBRARIES[library]
    benchmark.pedantic(run, (X, out), rounds=rounds, iterations=iterations, warmup_rounds=1)
    check(library, out, truth)
    stats = benchmark.stats.stats
    rate = (X.nbytes + out.nbytes) / stats.median
    request.config.rows.append(
        {
            "bench": "half_to_float",
            "case": case,
            "library": library,
            "stats": stats,
            "ns": stats.median / len(X) * 1e9,
            "gb_per_s": rate / 1e9,
            "of_copy": rate / copy_rate(len(X), torch.float32),
        }
    )
    benchmark.extra_info["ns"] = stats.median / len(X) * 1e9
