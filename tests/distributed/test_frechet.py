"""Statistics of features over processes, against those of the same blocks in one."""

import numpy as np
import pytest

from unsup_fast import blocks
from unsup_fast.metrics import FrechetDistance

from .engines import InProcess, losses

N, D, CHUNK = 2_400, 6, 35  # 69 blocks


def features(shift=0.0, dtype=np.float32):
    rng = np.random.default_rng(2)
    return (rng.normal(size=(N, D)) @ rng.normal(size=(D, D)) + 50 + shift).astype(dtype)


def distance(engine=None, *, dtype=np.float32, chunk_size=CHUNK):
    fid = FrechetDistance()
    for real in (True, False):
        rows = features(float(not real), dtype)
        fid.update(blocks.source(rows, chunk_size=chunk_size), real=real, engine=engine)
    return fid


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_statistics_of_any_fleet_have_the_same_bits(dtype):
    one = distance(dtype=dtype)
    for engine in (InProcess(1, 1), InProcess(2, 5), InProcess(3, 64)):
        other = distance(engine, dtype=dtype)
        for real in (True, False):
            for ours, theirs in zip(
                one.statistics(real=real), other.statistics(real=real), strict=True
            ):
                np.testing.assert_array_equal(ours, theirs)
        assert other.compute() == one.compute()


def test_statistics_are_those_of_float64():
    X = features().astype(np.float64)
    mu, sigma = distance(InProcess(2, 5)).statistics(real=True)
    np.testing.assert_allclose(mu, X.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(sigma, np.cov(X.T), rtol=1e-10, atol=1e-10)
    array = FrechetDistance()
    array.update(features(), real=True)
    array.update(features(1.0), real=False)
    np.testing.assert_allclose(distance().compute(), array.compute(), rtol=1e-9)


def test_sources_and_arrays_add_up():
    fid = FrechetDistance()
    fid.update(features()[:1500], real=True)
    fid.update(blocks.source(features()[1500:]), real=True, engine=InProcess(2, 2))
    np.testing.assert_allclose(fid.statistics(real=True).sigma, np.cov(features().T), rtol=1e-6)


def test_a_lost_holder():
    with pytest.warns(RuntimeWarning) as caught:
        fid = distance(InProcess(2, 5, lose="scatter"))
    assert losses(caught) == 1
    assert fid.compute() == distance().compute()


def test_what_an_engine_refuses():
    with pytest.raises(TypeError, match="an engine reads features of a source"):
        FrechetDistance().update(features(), real=True, engine=InProcess(1, 1))
    source = blocks.source(features())
    with pytest.raises(TypeError, match="without extractor"):
        FrechetDistance(lambda X: X).update(source, real=True, engine=InProcess(1, 1))
