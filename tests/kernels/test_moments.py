import numpy as np
import pytest

from unsup_fast.kernels.moments import merge, moments


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 3), (97, 17), (5000, 2), (12289, 33), (300, 784), (70000, 1)], ids=str
)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_matches_two_passes_in_double(shape, dtype, offset):
    X = (np.random.default_rng(0).normal(size=shape) + offset).astype(dtype)
    fast = [moments(X, n_threads=t) for t in (1, 2)]
    slow = moments(X, backend="ref")
    assert fast[0].first_nonfinite is None
    np.testing.assert_allclose(fast[0].mean, slow.mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fast[0].variance, slow.variance, rtol=1e-9, atol=1e-15)
    for result in fast:
        np.testing.assert_array_equal(result.minimum, X.min(axis=0))
        np.testing.assert_array_equal(result.maximum, X.max(axis=0))
    deviation = np.abs(X - slow.mean).max(axis=0)
    np.testing.assert_allclose(fast[0].max_abs_deviation, deviation, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(fast[0].mean, fast[1].mean)
    np.testing.assert_array_equal(fast[0].variance, fast[1].variance)


def test_constant_columns_have_no_variance():
    X = np.full((5000, 3), 1e7, dtype=np.float32)
    assert moments(X).variance.tolist() == [0, 0, 0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [(0, 0), (41, 3), (9999, 6)])
def test_finds_the_first_value_that_is_not_finite(value, index):
    X = np.zeros((10000, 7), dtype=np.float32)
    X[index] = value
    X[9999, 6] = value
    result = moments(X)
    assert result.first_nonfinite == index
    assert np.isnan(result.mean).all()
    assert np.isnan(result.variance).all()
    assert np.isnan(result.minimum).all()
    assert np.isnan(result.maximum).all()


def test_large_doubles_are_finite():
    X = np.full((10, 2), 1e200)
    X[0] = -1e200
    assert moments(X).first_nonfinite is None


def test_wrong_arguments():
    with pytest.raises(ValueError, match="no rows"):
        moments(np.empty((0, 3)))
    with pytest.raises(ValueError, match="no columns"):
        moments(np.empty((3, 0)))
    with pytest.raises(TypeError, match="float32 or float64"):
        moments(np.ones((3, 3), dtype=int))


def test_columns_whose_squares_overflow():
    X = np.c_[np.full(5000, 1e300), np.linspace(1e200, 1e200 + 1e190, 5000)]
    result = moments(X)
    np.testing.assert_array_equal(result.variance[0], 0)
    assert result.variance[1] == np.inf
    assert result.first_nonfinite is None
    np.testing.assert_allclose(moments(X[:, :1] + [[0, 1]]).mean[0], 1e300)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_merged_bounds_do_not_depend_on_how_rows_are_cut(dtype):
    rng = np.random.default_rng(3)
    offset = np.array([0, 1e4, -7, 0, 3, 1e-8, 5])
    X = (rng.standard_cauchy((4000, 7)) + offset).astype(dtype)
    X[:, 3] = 2.5
    X[:, 4] = np.round(X[:, 4]).clip(-64, 64)  # whole numbers
    origin = np.median(X[::40], axis=0).astype(dtype)
    truth = np.abs(X.astype(np.float64) - origin).max(axis=0)
    for cuts in ([], [1], [501, 1100], [3, 4, 5, 3999], list(range(100, 4000, 100))):
        parts = [(len(part), moments(part)) for part in np.array_split(X, cuts)]
        merged = merge(parts)
        np.testing.assert_array_equal(merged.minimum, X.min(axis=0))
        np.testing.assert_array_equal(merged.maximum, X.max(axis=0))
        np.testing.assert_array_equal(merged.max_abs_about(origin), truth)
        np.testing.assert_allclose(merged.mean, X.mean(axis=0, dtype=np.float64), rtol=1e-9)
        np.testing.assert_allclose(merged.variance, X.var(axis=0, dtype=np.float64), rtol=1e-9)
        deviation = np.abs(X.astype(np.float64) - merged.mean).max(axis=0)
        assert (merged.max_abs_deviation >= deviation).all()
        assert merged.max_abs_deviation[3] == 0
        assert merged.variance[3] == 0
    assert merge(parts[:1]) is parts[0][1]
