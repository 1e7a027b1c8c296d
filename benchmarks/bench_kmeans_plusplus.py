"""Rows that start k-means, against one run of scikit-learn's: same rows, same random state.

Run by ``make bench`` or ``pytest benchmarks/bench_kmeans_plusplus.py --out results --mnist
mnist.npz``. Both draw in one order, but scikit-learn sums float32 in float32, so it chooses other
rows after the first ones; so the potentials, computed in float64, must agree to 5 %, and on a
sample of the rows in float64 the indices must be the same, and those of the reference.
"""

import numpy as np
import pytest
import sklearn.cluster
from bench_kmeans import FITS, data, files, inertia, record, sgemm_rate

from unsup_fast.cluster import kmeans_parallel, kmeans_plusplus
from unsup_fast.kernels.kmeans_plusplus import kmeans_plusplus as kernel

CASES = ["1M x 16, k=64", "200k x 64, k=256", "MNIST, k=1000"]
SEEDERS = {
    "unsup_fast": kmeans_plusplus,
    "unsup_fast k-means||": kmeans_parallel,
    "scikit-learn": sklearn.cluster.kmeans_plusplus,
}
potential = {}  # case: inertia of the first seeder


def check_indices(X):
    """Compare indices chosen of some rows in float64 with scikit-learn and the reference."""
    sample = X[:5000].astype(np.float64)
    chosen = kmeans_plusplus(sample, 50, random_state=0)[1]
    theirs = sklearn.cluster.kmeans_plusplus(sample, 50, random_state=0)[1]
    np.testing.assert_array_equal(chosen, theirs)
    few = np.ascontiguousarray(sample[:500])
    ours, expected = (
        kernel(few, 20, np.random.RandomState(0), backend=backend) for backend in (None, "ref")
    )
    np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("library", SEEDERS)
@pytest.mark.parametrize("case", CASES)
def test_kmeans_plusplus(benchmark, request, case, library):
    n, d, k, _ = FITS[case]
    X, _ = data(case, *files(request))
    sgemm_rate(case)
    own = library != "scikit-learn"
    if library == "unsup_fast":
        check_indices(X)
    centers, _ = benchmark.pedantic(
        SEEDERS[library],
        (X, k),
        {"random_state": 0},
        rounds=request.config.getoption("--rounds") if own else 1,
        warmup_rounds=int(own),
    )
    quality = inertia(X, centers)
    assert quality == pytest.approx(potential.setdefault(case, quality), rel=0.05)
    flop = 2 * n * d * ((k - 1) * (2 + int(np.log(k))) + 1)  # of greedy k-means++, all pairs
    name = f"seeding of {case}"
    record(request, benchmark, name, library, flop, quality, bench="kmeans_plusplus")
