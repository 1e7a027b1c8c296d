"""k-means on a GPU against its rivals: same rows, same initial centroids, same iterations.

Run by ``make bench ARGS="--device cuda"`` on a machine with a CUDA GPU, with the extra bench-gpu.
Each library is timed on a whole fit of float32 rows on the device, from the same centroids;
`assign` alone on one iteration of a fit. Ours must label sampled rows as float64 does, up to the
promised bound, and end at an inertia at most 1e-3 above the best; errors of rivals are recorded.
"""

import functools

import numpy as np
import pytest

from unsup_fast.cluster import KMeans

torch = pytest.importorskip("torch")
pytest.importorskip("triton")
if not torch.cuda.is_available():
    pytest.skip("no CUDA GPU", allow_module_level=True)

FITS = {  # name: rows, columns, clusters, iterations
    "1M x 64, k=64": (1_000_000, 64, 64, 20),
    "131k x 128, k=1024": (131_072, 128, 1024, 20),
    "10M x 256, k=20000": (10_000_000, 256, 20_000, 5),
}
SAMPLE = 4096  # rows whose labels are checked in float64
best = {}  # case: the lowest inertia so far


@functools.lru_cache(maxsize=1)
def data(case):
    n, d, k, _ = FITS[case]
    generator = torch.Generator("cuda").manual_seed(0)
    options = {"generator": generator, "device": "cuda"}
    centers = torch.randn((k, d), **options) * 0.5
    X = torch.randn((n, d), **options)
    for rows in X.split(1 << 20):
        rows += centers[torch.randint(k, (len(rows),), **options)]
    return X, X[torch.randperm(n, **options)[:k]].clone()


@functools.lru_cache
def matmul_rate():
    """Return the TFLOP/s of torch's bfloat16 matrix product of side 8192, the best of ten."""
    a = torch.randn((8192, 8192), device="cuda", dtype=torch.bfloat16)
    seconds = []
    for _ in range(10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        a @ a
        end.record()
        end.synchronize()
        seconds.append(start.elapsed_time(end) / 1e3)
    return 2 * 8192**3 / min(seconds) / 1e12


def squared(x, centers):
    """Return squared distances [B, K] in float64, about the first centroid."""
    x, c = x.double() - centers[0].double(), centers.double() - centers[0].double()
    return (x**2).sum(1)[:, None] - 2 * x @ c.T + (c**2).sum(1)


def inertia(X, centers):
    size = max(1, (1 << 28) // len(centers))
    return sum(float(squared(x, centers).amin(1).clamp(min=0).sum()) for x in X.split(size))


def wrong_labels(X, centers, labels):
    """Return the share of sampled rows whose label is wrong by more than float32's error."""
    rows = torch.linspace(0, len(X) - 1, SAMPLE, device=X.device).long()
    distances = squared(X[rows], centers)
    excess = distances.gather(1, labels[rows].long()[:, None])[:, 0] - distances.amin(1)
    x, c = X[rows].double().norm(dim=1), centers.double().norm(dim=1).amax()
    bound = 4 * (X.shape[1] + 4) * np.finfo(np.float32).eps / 2 * (x * c + c**2)
    return float((excess > bound).double().mean())


def fit_unsup_fast(X, centers, iterations):
    model = KMeans(len(centers), init=centers, n_init=1, max_iter=iterations, tol=0).fit(X)
    return model.labels_, model.cluster_centers_


def fit_flash_kmeans(X, centers, iterations):
    from flash_kmeans import batch_kmeans_Euclid

    labels, centroids, _ = batch_kmeans_Euclid(
        X[None], len(centers), max_iters=iterations, tol=-1.0, init_centroids=centers[None].clone()
    )
    return labels[0], centroids[0]


def fit_flashlib(X, centers, iterations):
    from flashlib import flash_kmeans

    labels, centroids, _ = flash_kmeans(
        X, len(centers), max_iters=iterations, tol=-1.0, init_centroids=centers.clone()
    )
    return labels, centroids


FITTERS = {
    "unsup_fast": fit_unsup_fast,
    "flash_kmeans": fit_flash_kmeans,
    "flashlib": fit_flashlib,
}


def finished(fit, *arguments):
    result = fit(*arguments)
    torch.cuda.synchronize()
    return result


def record(request, benchmark, case, library, flop, **quality):
    stats = benchmark.stats.stats
    rate = flop / stats.median / 1e12
    row = {"case": case, "library": library, "stats": stats, "tflops": rate}
    row |= {"of_matmul": rate / matmul_rate(), "matmul_tflops": matmul_rate()}
    request.config.rows.append(row | {"inertia": "", "wrong_labels": ""} | quality)


@pytest.mark.parametrize("library", FITTERS)
@pytest.mark.parametrize("case", FITS)
def test_fit(benchmark, request, case, library):
    pytest.importorskip(library)
    n, d, k, iterations = FITS[case]
    X, centers = data(case)
    labels, fitted = benchmark.pedantic(
        finished,
        (FITTERS[library], X, centers, iterations),
        rounds=request.config.getoption("--rounds"),
        warmup_rounds=1,
    )
    quality, wrong = inertia(X, fitted), wrong_labels(X, fitted, labels)
    best[case] = min(quality, best.get(case, quality))
    if library == "unsup_fast":
        assert wrong == 0
    assert quality <= best[case] * (1.001 if library == "unsup_fast" else 1.05)
    flop = 2 * n * d * k * iterations
    record(request, benchmark, case, library, flop, inertia=quality, wrong_labels=wrong)


@pytest.mark.parametrize("case", FITS)
def test_iteration(benchmark, request, case):
    from unsup_fast.kernels.assign import assign
    from unsup_fast.kernels.assign.triton_ import AssignCache

    n, d, k, _ = FITS[case]
    X, centers = data(case)
    shift = X[: 1 << 20].mean(dim=0)
    cache = AssignCache(X, centers, None, shift, True)
    labels = torch.full((n,), -1, dtype=torch.int32, device="cuda")
    run = functools.partial(assign, X, centers, shift=shift, labels=labels, cache=cache)
    result = benchmark.pedantic(
        finished, (run,), rounds=3 * request.config.getoption("--rounds"), warmup_rounds=1
    )
    assert wrong_labels(X, centers, result.labels) == 0
    name = f"one iteration of {case}"
    record(request, benchmark, name, "unsup_fast", 2 * n * d * k, inertia=float(result.inertia))
