"""Data for the tests of estimators, the instruction sets, and what has no portable implementation.

With UNSUP_FAST_BACKEND=numba, or without compiled modules, the tests run by portable
implementations.
"""

import numpy as np
import pytest

from unsup_fast.kernels._dispatch import compiled, is_native

LEVELS = compiled().simd_levels() if is_native() else ["portable"]
NATIVE = {
    "test_kmeans_pruning.py": "there is no portable pass with bounds",
    "test_memory_that_cannot_be_had_is_an_error": "it calls the compiled covariance",
}
"""Parts of tests' names, and why these tests are for the compiled modules alone."""


def pytest_collection_modifyitems(items):
    if is_native():
        return
    for item in items:
        for part, reason in NATIVE.items():
            if part in item.nodeid:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(params=LEVELS)
def simd(request):
    """Run a test at each instruction set of the machine, or once by portable implementations."""
    if not is_native():
        yield request.param
        return
    before = compiled().simd()
    compiled().use_simd(request.param)
    yield request.param
    compiled().use_simd(before)


@pytest.fixture(scope="session")
def blobs():
    """Return 300 x 4 float64 rows around 6 overlapping centres: no two distances tie."""
    rng = np.random.default_rng(7)
    return np.concatenate([rng.normal(size=(50, 4)) + c for c in 3 * rng.normal(size=(6, 4))])


@pytest.fixture(scope="session")
def offset_rows():
    """Return 5000 x 8 float32 rows at +1e4 with spread 0.05."""
    rng = np.random.default_rng(3)
    centers = rng.normal(scale=0.05, size=(12, 8))
    rows = centers[rng.integers(0, 12, 5000)] + rng.normal(scale=0.02, size=(5000, 8))
    return (1e4 + rows).astype(np.float32)
