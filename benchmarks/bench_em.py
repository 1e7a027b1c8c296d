"""Gaussian mixtures against their rivals: the same rows, the same start, ten iterations.

Run by ``make bench`` or ``pytest benchmarks/bench_em.py --out results``.
Initial weights, means and precisions are passed, so nothing is drawn. Each library must end
at the same mean log-likelihood: to 1e-4 of it in float32, in which the rivals sum, to 1e-9 in
float64. torch is plain EM by matrix products, a component at a time. scikit-learn-intelex has no
GaussianMixture; daal4py, its lower layer, has EM, adds nothing to the covariances, and so may be
off by 1e-6.

`gflops` counts what a mixture needs: D (D + 1) multiply-adds a row and component with full
covariances (half of the products for the densities, half for the moments), 4 D with diagonal ones.
`extra_mb` is the memory that a fit takes beyond that of the rows.
"""

import functools
import math
import time
import warnings

import numpy as np
import pytest
import scipy.linalg.blas
import sklearn.mixture
from sklearn.exceptions import ConvergenceWarning

from unsup_fast.mixture import GaussianMixture

SIZES = {  # name: rows, columns, components, covariances
    "full, 200k x 16, k=32": (200_000, 16, 32, "full"),
    "full, 100k x 64, k=64": (100_000, 64, 64, "full"),
    "full, 1M x 8, k=16": (1_000_000, 8, 16, "full"),
    "diag, 200k x 16, k=32": (200_000, 16, 32, "diag"),
}
CASES = {name: (*size, np.float32) for name, size in SIZES.items()} | {
    f"{name}, float64": (*size, np.float64) for name, size in SIZES.items()
}
ITERATIONS = 10


def centers_of(case):
    _, d, k, _, _ = CASES[case]
    return 2 * np.random.default_rng(1).normal(size=(k, d))


@functools.lru_cache(maxsize=1)
def data(case):
    n, d, k, _, dtype = CASES[case]
    rng, centers = np.random.default_rng(0), centers_of(case)
    X = np.empty((n, d), dtype)
    for i in range(0, n, 10_000):
        X[i : i + 10_000] = centers[rng.integers(0, k, 10_000)] + rng.normal(size=(10_000, d))
    return X


def start(case):
    """Return initial weights [K], means [K, D] and precisions.

    Means are near the centres: from rows as means, 64 x 64 leaves components with less than 64
    rows, and scikit-learn and torch then end with an error in float32.
    """
    _, d, k, kind, dtype = CASES[case]
    precisions = np.tile(np.eye(d), (k, 1, 1)) if kind == "full" else np.ones((k, d))
    means = centers_of(case) + 0.5 * np.random.default_rng(2).normal(size=(k, d))
    return np.full(k, 1 / k, dtype), means.astype(dtype), precisions.astype(dtype)


@functools.lru_cache
def gemm_rate(dtype):
    """Return the GFLOP/s of gemm on 3000 x 3000 matrices."""
    gemm = scipy.linalg.blas.sgemm if dtype == np.float32 else scipy.linalg.blas.dgemm
    a = np.asfortranarray(np.random.default_rng(0).random((3000, 3000)).astype(dtype))
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        gemm(1.0, a, a)
        seconds.append(time.perf_counter() - begin)
    return 2 * 3000**3 / min(seconds) / 1e9


def with_interface(cls):
    def fit(X, kind, weights, means, precisions):
        model = cls(
            len(weights),
            covariance_type=kind,
            tol=0.0,
            max_iter=ITERATIONS,
            weights_init=weights,
            means_init=means,
            precisions_init=precisions,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return model.fit(X).lower_bound_

    return fit


def of_torch(X, kind, weights, means, precisions):
    import torch

    X, weights, means = (torch.from_numpy(array) for array in (X, weights, means))
    precisions = torch.from_numpy(precisions)
    (n, d), k = X.shape, len(weights)
    covariances = torch.linalg.inv(precisions) if kind == "full" else 1 / precisions
    squares = X**2 if kind == "diag" else None
    for _ in range(ITERATIONS):
        if kind == "full":
            logs = X.new_empty(n, k)
            for i in range(k):
                factor = torch.linalg.cholesky(covariances[i])
                z = torch.linalg.solve_triangular(factor, (X - means[i]).T, upper=False)  # [D, N]
                logs[:, i] = -0.5 * (z**2).sum(dim=0) - factor.diagonal().log().sum()
        else:
            inverse = 1 / covariances  # [K, D]
            logs = squares @ inverse.T - 2 * X @ (means * inverse).T
            logs += (means**2 * inverse + covariances.log()).sum(dim=1)
            logs *= -0.5
        logs += weights.log() - d / 2 * math.log(2 * math.pi)
        row = torch.logsumexp(logs, dim=1)  # [N]
        resp = (logs - row[:, None]).exp_()  # [N, K]
        share = resp.sum(dim=0)
        weights, means = share / n, resp.T @ X / share[:, None]
        if kind == "full":
            for i in range(k):
                gaps = X - means[i]
                covariances[i] = (resp[:, i : i + 1] * gaps).T @ gaps / share[i]
            covariances += 1e-6 * torch.eye(d, dtype=X.dtype)
        else:
            covariances = resp.T @ squares / share[:, None] - means**2 + 1e-6
    return float(row.double().mean())


def of_daal4py(X, kind, weights, means, precisions):
    from daal4py import em_gmm

    covariances = list(np.linalg.inv(precisions) if kind == "full" else 1 / precisions[:, None])
    weights, left = weights[None], ITERATIONS
    while left:  # it stops where the likelihood does not rise
        result = em_gmm(
            len(means),
            fptype="float" if X.dtype == np.float32 else "double",
            maxIterations=left,
            accuracyThreshold=0.0,
            covarianceStorage="full" if kind == "full" else "diagonal",
        ).compute(X, weights, means, covariances)
        weights, means, covariances = result.weights, result.means, result.covariances
        left -= int(result.nIterations[0, 0])
    return float(result.goalFunction[0, 0]) / len(X)


FITTERS = {
    "unsup_fast": with_interface(GaussianMixture),
    "unsup_fast, numba": with_interface(GaussianMixture),
    "scikit-learn": with_interface(sklearn.mixture.GaussianMixture),
    "daal4py": of_daal4py,
    "torch": of_torch,
}


@functools.lru_cache
def expected(case):
    """Return the mean log-likelihood before the last iteration, by our float64."""
    _, _, _, kind, _ = CASES[case]
    arrays = (array.astype(np.float64) for array in (data(case), *start(case)))
    X, *parameters = arrays
    return FITTERS["unsup_fast"](X, kind, *parameters)


@pytest.mark.parametrize("library", FITTERS)
@pytest.mark.parametrize("case", CASES)
def test_fit(benchmark, request, raised, case, library):
    if library in ("torch", "daal4py"):
        pytest.importorskip(library)
    n, d, k, kind, dtype = CASES[case]
    X, parameters = data(case), start(case)
    gemm, fit, own = gemm_rate(dtype), FITTERS[library], library == "unsup_fast"
    fit(X[: 100 * k], kind, *parameters)  # threads are started, code is loaded
    extra = raised(lambda: fit(X, kind, *parameters)) if own else float("nan")
    rounds = request.config.getoption("--rounds") if own else 1
    run = fit if own else functools.partial(_measured, raised, fit, memory := [])
    bound = benchmark.pedantic(run, (X, kind, *parameters), rounds=rounds)
    near = 1e-4 if dtype == np.float32 else 1e-6 if library == "daal4py" else 1e-9
    assert bound == pytest.approx(expected(case), rel=near)
    stats = benchmark.stats.stats
    work = (2 * d * (d + 1) if kind == "full" else 8 * d) * n * k * ITERATIONS
    rate = work / stats.median / 1e9
    request.config.rows.append(
        {
            "bench": "em",
            "case": case,
            "library": library,
            "stats": stats,
            "gflops": rate,
            "of_sgemm": rate / gemm,
            "gemm_gflops": gemm,
            "lower_bound": bound,
            "extra_mb": extra if own else memory[0],
        }
    )
    benchmark.extra_info["of_sgemm"] = rate / gemm


def _measured(raised, fit, memory, *arguments):
    """Run a fit and append the memory that it took; slow rivals are run once."""
    bounds = []
    memory.append(raised(lambda: bounds.append(fit(*arguments))))
    return bounds[0]
