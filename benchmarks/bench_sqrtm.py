"""The trace of (S1 S2)^(1/2) against its rivals: the same covariances, in float64.

Run by ``make bench`` or ``pytest benchmarks/bench_sqrtm.py --out results``. Rivals are what others
compute the Frechet distance by: scipy.linalg.sqrtm of the product (pytorch-fid, clean-fid), its
eigenvalues (torch-fidelity, and torchmetrics in torch), and with few samples what each of them
does to the full matrices. The truth are the singular values of a product of factors; ours must
agree to 1e-10, rivals to 1e-4 (they lose half of the digits where covariances are singular).

``of_dgemm`` is the time of one product of two D x D matrices over that of the trace.
"""

import functools
import time

import numpy as np
import pytest
import scipy.linalg

from unsup_fast.kernels.sqrtm import trace_sqrtm, trace_sqrtm_factors

CASES = {  # name: samples of each side, dimensions
    "20,000 samples, d=2048": (20_000, 2048),
    "20,000 samples, d=768": (20_000, 768),
    "500 samples, d=2048": (500, 2048),
}


@functools.lru_cache(maxsize=1)
def data(case):
    """Return factors and covariances of two sides; spectra fall by four orders of magnitude."""
    n, d = CASES[case]
    rng = np.random.default_rng(0)
    factors = []
    for _ in range(2):
        falling = np.exp(-9 * np.arange(d) / d)
        axes = np.linalg.qr(rng.normal(size=(d, d)))[0] * np.sqrt(falling)[:, None]
        X = rng.normal(size=(n, d)) @ axes
        X -= X.mean(axis=0)
        X /= np.sqrt(n - 1)
        factors.append(X)
    A, B = factors
    return A, B, A.T @ A, B.T @ B


@functools.lru_cache
def truth(case):
    A, B, *_ = data(case)
    small = [np.linalg.qr(X, mode="r") if len(X) > X.shape[1] else X for X in (A, B)]
    return np.linalg.svd(small[0] @ small[1].T, compute_uv=False).sum()


@functools.lru_cache
def product_time(case):
    S1, S2 = data(case)[2:]
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        S1 @ S2
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def of_unsup_fast(A, B, S1, S2):
    if len(A) < len(S1):
        return trace_sqrtm_factors(A, B)
    return trace_sqrtm(S1, S2)


def of_covariances(A, B, S1, S2):
    return trace_sqrtm(S1, S2)


def of_scipy(A, B, S1, S2):
    return np.trace(scipy.linalg.sqrtm(S1 @ S2)).real


def of_eigenvalues(A, B, S1, S2):
    return np.sqrt(scipy.linalg.eigvals(S1 @ S2) + 0j).real.sum()


def of_torch(A, B, S1, S2):
    import torch

    product = torch.from_numpy(S1) @ torch.from_numpy(S2)
    return torch.linalg.eigvals(product).sqrt().real.sum().item()


FINDERS = {
    "unsup_fast": of_unsup_fast,
    "unsup_fast, of covariances": of_covariances,
    "scipy.linalg.sqrtm": of_scipy,
    "eigvals": of_eigenvalues,
    "torch.linalg.eigvals": of_torch,
}


def on_the_gpu(dtype, tol):
    import torch

    def find(A, B, S1, S2):
        trace = trace_sqrtm(S1, S2, tol=tol)
        torch.cuda.synchronize()
        return trace.item()

    find.dtype = dtype
    return find


def eigenvalues_on_the_gpu(A, B, S1, S2):
    import torch

    trace = torch.linalg.eigvals(S1 @ S2).sqrt().real.sum()
    torch.cuda.synchronize()
    return trace.item()


eigenvalues_on_the_gpu.dtype = "float64"
CUDA = {
    "unsup_fast": on_the_gpu("float64", 1e-6),
    "unsup_fast, tol=1e-10": on_the_gpu("float64", 1e-10),
    "unsup_fast, float32": on_the_gpu("float32", 1e-6),
    "torch.linalg.eigvals": eigenvalues_on_the_gpu,
}


def record(request, benchmark, case, library, wrong):
    stats = benchmark.stats.stats
    request.config.rows.append(
        {
            "bench": "sqrtm",
            "case": case,
            "library": library,
            "stats": stats,
            "of_dgemm": product_time(case) / stats.median,
            "relative_error": wrong,
        }
    )


def on_device(values, dtype):
    import torch

    return [torch.from_numpy(value).to("cuda", getattr(torch, dtype)) for value in values]


@pytest.mark.parametrize("library", [*FINDERS, *(f"{name}, CUDA" for name in CUDA)])
@pytest.mark.parametrize("case", CASES)
def test_trace(benchmark, request, case, library):
    on_cuda = library.endswith(", CUDA")
    if on_cuda != (request.config.getoption("--device") == "cuda"):
        pytest.skip("of the other device")
    if "torch" in library:
        pytest.importorskip("torch")
    name = library.removesuffix(", CUDA")
    find = CUDA[name] if on_cuda else FINDERS[name]
    values = on_device(data(case), find.dtype) if on_cuda else data(case)
    own = library.startswith("unsup_fast")
    rounds = request.config.getoption("--rounds") if own or on_cuda else 1
    trace = benchmark.pedantic(find, values, rounds=rounds, warmup_rounds=int(own or on_cuda))
    wrong = abs(trace / truth(case) - 1)
    bound = {"unsup_fast, float32": 1e-3}.get(name, 1e-6 if on_cuda else 1e-10) if own else 1e-4
    record(request, benchmark, case, name, wrong)
    assert wrong < bound
