"""KID, and precision, recall, density and coverage, against other packages' algorithms.

Run by ``make bench`` or ``pytest benchmarks/bench_scores.py --out results``. The features are
synthetic: 2048 of them, float32, half of them zero, of 60 causes and noise. Rivals are written here
as in the packages: KID as products of whole subsets in float64 NumPy, PRDC as matrices of all
distances by scikit-learn. Ours must equal the rival's on float64 rows: to 1e-9 for KID, and to the
last digit for PRDC. On float32 rows scikit-learn stores distances in float32, which decides
some near ties differently, so its shares may be off by 0.001.

`gflops` counts the products of the definition: all three matrices of pairs in full, for
each subset. Ours uses that two of them are symmetric, and that subsets overlap, so its share of
sgemm (`of_sgemm`, at its best on 3000 x 3000) may exceed 1.
"""

import functools
import time

import numpy as np
import pytest
from sklearn.metrics import pairwise_distances

from unsup_fast.metrics import kernel_inception_distance, prdc

D = 2048
CASES = {  # name: score, rows
    "KID, 2,000 of each": ("kid", 2_000),
    "KID, 10,000 of each": ("kid", 10_000),
    "PRDC, 5,000 of each": ("prdc", 5_000),
    "PRDC, 10,000 of each": ("prdc", 10_000),
}
SUBSETS, SIZE, K = 100, 1000, 3


@functools.lru_cache(maxsize=1)
def data(n):
    def features(seed, scale):
        rng = np.random.default_rng(seed)
        causes = 0.1 * np.random.default_rng(9).normal(size=(60, D))
        noise = 0.2 * rng.normal(size=(n, D))
        rows = scale * np.maximum(rng.normal(size=(n, 60)) @ causes + noise + 0.1, 0)
        return rows.astype(np.float32)

    return features(1, 1.0), features(2, 1.02)


@functools.lru_cache
def sgemm_rate():
    a = np.random.default_rng(0).random((3000, 3000), dtype=np.float32)
    seconds = []
    for _ in range(4):
        start = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - start)
    return 2 * 3000**3 / min(seconds) / 1e9


def kid_by_numpy(X, Y):
    rng, scores = np.random.default_rng(0), []
    for _ in range(SUBSETS):
        x, y = (
            A[np.sort(rng.choice(len(A), SIZE, replace=False))].astype(np.float64) for A in (X, Y)
        )
        xx, yy, xy = ((A @ B.T / D + 1) ** 3 for A, B in ((x, x.copy()), (y, y.copy()), (x, y)))
        inner = sum((K.sum() - np.trace(K)) / (SIZE * (SIZE - 1)) for K in (xx, yy))
        scores.append(inner - 2 * xy.mean())
    return np.mean(scores), np.std(scores)


def prdc_by_sklearn(X, Y):
    def radii(A):
        distances = pairwise_distances(A)
        return np.partition(distances, K, axis=1)[:, K]

    of_x, of_y = radii(X), radii(Y)
    between = pairwise_distances(X, Y)
    inside = between < of_x[:, None]
    return (
        inside.any(axis=0).mean(),
        (between < of_y).any(axis=1).mean(),
        inside.sum(axis=0).mean() / K,
        (between.min(axis=1) < of_x).mean(),
    )


RIVALS = {
    ("kid", "unsup_fast"): kernel_inception_distance,
    ("kid", "NumPy"): kid_by_numpy,
    ("prdc", "unsup_fast"): prdc,
    ("prdc", "scikit-learn"): prdc_by_sklearn,
}
RUNS = [(case, name) for case, (score, _) in CASES.items() for s, name in RIVALS if s == score]


@functools.lru_cache
def truth(case):
    score, n = CASES[case]
    X, Y = (A.astype(np.float64) for A in data(n))
    return kid_by_numpy(X, Y) if score == "kid" else prdc_by_sklearn(X, Y)


@pytest.mark.parametrize(("case", "library"), RUNS)
def test_score(benchmark, request, case, library):
    score, n = CASES[case]
    X, Y = data(n)
    rate, expected = sgemm_rate(), truth(case)
    rounds = request.config.getoption("--rounds") if library == "unsup_fast" else 1
    actual = benchmark.pedantic(RIVALS[score, library], (X, Y), rounds=rounds)
    if library == "scikit-learn":
        np.testing.assert_allclose(actual, expected, atol=1e-3)
    else:
        np.testing.assert_allclose(actual, expected, rtol=1e-9 if score == "kid" else 1e-14)
    stats = benchmark.stats.stats
    pairs = SUBSETS * SIZE**2 if score == "kid" else n**2
    gflops = 3 * pairs * 2 * D / stats.median / 1e9
    request.config.rows.append(
        {
            "bench": "scores",
            "case": case,
            "library": library,
            "stats": stats,
            "gflops": gflops,
            "of_sgemm": gflops / rate,
        }
    )
