"""Sums of clusters, against other ways to add rows up by label: same rows, same labels.

Run by ``make bench`` or ``pytest benchmarks/bench_totals.py --out results``. Ours is a pass that
computes labels too and moves rows between exact sums of whole numbers: "all" of them enter a
cluster, or "2 %" leave one for another. "float64" is such a pass of `assign` with its float64
sums. Rivals are handed the labels: a sparse matrix of ones times the rows (SciPy), torch's
index_add, and numpy.add.at. Sums must agree with those in float64 to 1e-6, and ours of sampled rows
with the reference exactly.

`of_copy` is the bytes of the rows a second, as a share of what a copy of them reads and writes.
"""

import functools
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

torch = pytest.importorskip("torch")

from rates import copy_rate  # noqa: E402

from unsup_fast.kernels import totals  # noqa: E402
from unsup_fast.kernels.assign import assign  # noqa: E402
from unsup_fast.kernels.origin import origin  # noqa: E402
from unsup_fast.kernels.prune import assign_update  # noqa: E402
from unsup_fast.kernels.totals import ref  # noqa: E402

SIZES = {"1M x 16, k=10": (1_000_000, 16, 10), "100k x 256, k=10": (100_000, 256, 10)}
CASES = {f"{size}, {share}": (size, share) for size in SIZES for share in ("all", "2 %")}
SAMPLED = 2000  # rows that the reference adds up


@functools.lru_cache(maxsize=1)
def data(case):
    """Return rows, centroids, shift, and the labels and totals before the pass."""
    size, share = CASES[case]
    n, d, k = SIZES[size]
    rng = np.random.default_rng(0)
    centers = rng.normal(size=(k, d)).astype(np.float32)
    X = centers[rng.integers(0, k, n)] + rng.standard_normal((n, d), dtype=np.float32)
    shift = origin(X)
    labels = np.full(n, -1, np.int32)
    running = empty(X, shift, k)
    if share == "2 %":
        assign_update(X, centers, labels, shift, totals=running)
        # The labels of these rows were others before.
        moved = rng.choice(n, n // 50, replace=False)
        left = labels[moved]
        labels[moved] = (left + 1) % k
        for sign, owners in ((-1, left), (1, labels[moved])):
            sums, counts = ref.totals(X[moved], shift, owners, running.quanta, k)
            running.sums += sign * sums.astype(np.int64)
            running.counts += sign * counts
    return X, centers, shift, labels, running


def empty(X, shift, n_clusters):
    largest = np.abs(X - shift).max(axis=0).astype(np.float64)
    quanta = totals.quanta(largest, len(X), X[:100] - shift)
    return totals.empty(quanta, n_clusters)


def copied(running):
    return replace(running, sums=running.sums.copy(), counts=running.counts.copy())


def of_float64(X, centers, shift, nearest):
    return assign(X, centers, shift=shift).sums


def of_scipy(X, centers, shift, nearest):
    ones = np.ones(len(X), np.float32)
    members = sp.csr_matrix((ones, nearest, np.arange(len(X) + 1)), (len(X), len(centers)))
    return members.T @ (X - shift)


def of_torch(X, centers, shift, nearest):
    sums = torch.zeros(centers.shape, dtype=torch.float64)
    rows = torch.from_numpy(X - shift).double()
    return sums.index_add_(0, torch.from_numpy(nearest), rows).numpy()


def of_numpy(X, centers, shift, nearest):
    sums = np.zeros(centers.shape)
    np.add.at(sums, nearest, X - shift)
    return sums


RIVALS = {
    "float64": of_float64,
    "scipy.sparse": of_scipy,
    "torch": of_torch,
    "numpy": of_numpy,
}


def check(library, sums, X, centers, shift, nearest):
    x = X.astype(np.float64) - shift
    truth = np.stack([x[nearest == cluster].sum(axis=0) for cluster in range(len(centers))])
    # scipy.sparse adds up in float32.
    near = 1e-3 if library == "scipy.sparse" else 1e-6
    np.testing.assert_allclose(sums, truth, rtol=near, atol=near * np.abs(truth).max())


def check_exact(X, centers, shift):
    """Compare the sums of some rows with Python's integers."""
    few = np.ascontiguousarray(X[:SAMPLED])
    running, labels = empty(few, shift, len(centers)), np.full(len(few), -1, np.int32)
    assign_update(few, centers, labels, shift, totals=running)
    sums, counts = ref.totals(few, shift, labels, running.quanta, len(centers))
    np.testing.assert_array_equal(running.sums, sums)
    np.testing.assert_array_equal(running.counts, counts)


@pytest.mark.parametrize("library", ["unsup_fast", *RIVALS])
@pytest.mark.parametrize("case", CASES)
def test_totals(benchmark, request, case, library):
    X, centers, shift, labels, before = data(case)
    nearest = assign(X, centers, shift=shift).labels
    rounds = request.config.getoption("--rounds")
    if library == "unsup_fast":
        check_exact(X, centers, shift)

        def run(labels, running):
            assign_update(X, centers, labels, shift, totals=running)
            return running.values(X.shape[1])

        sums = benchmark.pedantic(
            run,
            setup=lambda: ((labels.copy(), copied(before)), {}),
            rounds=rounds,
            warmup_rounds=1,
        )
    else:
        arguments = X, centers, shift, nearest
        sums = benchmark.pedantic(RIVALS[library], arguments, rounds=rounds, warmup_rounds=1)
    check(library, sums, X, centers, shift, nearest)
    stats = benchmark.stats.stats
    rate = X.nbytes / stats.median
    request.config.rows.append(
        {
            "bench": "totals",
            "case": case,
            "library": library,
            "stats": stats,
            "gb_per_s": rate / 1e9,
            "of_copy": rate / copy_rate(X.shape, torch.float32),
        }
    )
