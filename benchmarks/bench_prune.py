"""A pass of k-means with bounds against the dense pass: same rows, same centroids, same labels.

Run by ``make bench`` or ``pytest benchmarks/bench_prune.py --out results --mnist mnist.npz
--sentences sentences.npy``. "first" is the pass of centroids that no bounds are known for,
"after 10" that of centroids which ten iterations have moved before. "dense" is `assign` without
sums, "sgemm" a matrix product by blocks. Pruned labels must be the dense ones, bit for bit, and
those of sampled rows as near as the reference's.

Bounds are by bytes where the processor multiplies them (``unsup-fast info``), else by columns.
"""

import copy
import functools

import numpy as np
import pytest
from bench_assign import check_labels, of_sgemm
from bench_kmeans import FITS, data, files, record, sgemm_rate

from unsup_fast.kernels import threads
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.origin import origin
from unsup_fast.kernels.prune import assign_update, basis, bounds, choose_basis

PASSES = {"first": 0, "after 10": 10}
CASES = {
    f"{when}, {rows}": (rows, passes)
    for rows in ("MNIST, k=100", "MNIST, k=1000", "sentences, k=1000")
    for when, passes in PASSES.items()
}
LIBRARIES = ("unsup_fast", "dense", "sgemm")


@functools.lru_cache(maxsize=1)
def state(case, mnist, sentences):
    """Return rows, centroids, shift, the labels before, and bounds that know of these."""
    rows, passes = CASES[case]
    X, centers = data(rows, mnist, sentences)
    shift = origin(X)
    chosen = choose_basis(X, centers, shift, lambda: basis(X, shift))
    if chosen is None:
        pytest.skip("the dense pass is chosen here")
    bounded = bounds(X, centers, chosen, threads.effective())
    labels = np.full(len(X), -1, np.int32)
    for _ in range(passes):
        assign_update(X, centers, labels, shift, bounds=bounded)
        result = assign(X, centers, shift=shift, labels=labels, labels_current=True)
        filled = result.weights > 0
        centers = centers.astype(np.float64)
        centers[filled] = shift + result.sums[filled] / result.weights[filled, None]
        centers = centers.astype(np.float32)
    return X, centers, shift, labels, bounded


def runner(library, X, centers, shift, labels, bounded):
    """Return a pass, and what makes its arguments: labels and bounds as they are before it."""
    if library == "sgemm":
        return lambda: of_sgemm(X, centers)[0], None
    if library == "dense":

        def dense():
            options = {"update": False, "return_inertia": False}
            return assign(X, centers, shift=shift, labels=labels.copy(), **options).labels

        return dense, None

    def pruned(labels, bounded):
        assign_update(X, centers, labels, shift, bounds=bounded)
        return labels

    return pruned, lambda: ((labels.copy(), copy.deepcopy(bounded)), {})


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("case", CASES)
def test_prune(benchmark, request, case, library):
    rows, _ = CASES[case]
    n, d, k, _ = FITS[rows]
    known = state(case, *files(request))
    X, centers, shift, *_ = known
    sgemm_rate(case)
    run, setup = runner(library, *known)
    rounds = request.config.getoption("--rounds")
    labels = benchmark.pedantic(run, setup=setup, rounds=rounds, warmup_rounds=1)
    check_labels(X, centers, labels)
    if library == "unsup_fast":
        np.testing.assert_array_equal(labels, assign(X, centers, shift=shift).labels)
    record(request, benchmark, case, library, 2 * n * d * k, float("nan"), bench="prune")
