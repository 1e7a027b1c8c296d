"""Data for the tests of estimators."""

import numpy as np
import pytest


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
