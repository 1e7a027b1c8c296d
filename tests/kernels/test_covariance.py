import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.kernels import _native
from unsup_fast.kernels.covariance import Covariance, RangeError, covariance, gram, merge, natural

SHAPES = [(1, 1), (2, 3), (97, 17), (300, 16), (257, 33), (1025, 97), (12289, 7), (20, 300)]
UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}


def truth(X):
    """Mean and scatter in two passes, in long double where that is more than double."""
    x = X.astype(np.longdouble)
    mean = x.mean(axis=0)
    return mean, (x - mean).T @ (x - mean)


def check(result, X):
    mean, scatter = truth(X)
    x = np.abs(X.astype(np.longdouble) - mean)
    u = UNIT[X.dtype.type]
    spread = x.max(axis=0)
    assert (np.abs(result.mean - mean) <= 600 * u * spread + 4e-16 * np.abs(mean)).all()
    assert (np.abs(result.scatter - scatter) <= 2100 * u * len(X) * spread[:, None] * spread).all()
    np.testing.assert_array_equal(result.scatter, result.scatter.T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_is_that_of_two_passes(shape, dtype, offset):
    X = (np.random.default_rng(0).normal(size=shape) * 0.05 + offset).astype(dtype)
    results = [covariance(X, n_threads=t) for t in (1, 2)]
    check(results[0], X)
    assert results[0].n_rows == len(X)
    assert results[0].first_nonfinite is None
    for one, other in zip(results[0], results[1], strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(97, 17), (300, 8)], ids=str)
def test_is_the_reference(shape, dtype):
    X = np.random.default_rng(1).normal(size=shape).astype(dtype)
    fast, slow = covariance(X), covariance(X, backend="ref")
    rtol = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(fast.scatter, slow.scatter, rtol=rtol, atol=100 * rtol)
    np.testing.assert_allclose(fast.mean, slow.mean, rtol=rtol, atol=rtol)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 700),
    st.integers(1, 60),
    st.integers(1, 3),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2**32 - 1),
)
def test_any_size(n_rows, n_columns, n_threads, dtype, number):
    rng = np.random.default_rng(number)
    X = (rng.normal(size=(n_rows, n_columns)) * rng.choice([1, 100, 1e-3], n_columns)).astype(dtype)
    check(covariance(X, n_threads=n_threads), X)


@pytest.mark.parametrize("magnitude", [1e18, 1e-20, 1e-30, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neither_overflows_nor_vanishes(magnitude, dtype):
    X = np.random.default_rng(2).normal(size=(500, 9)).astype(dtype)
    plain = covariance(X).scatter
    scaled = covariance(X * dtype(2.0 ** np.round(np.log2(magnitude)))).scatter
    np.testing.assert_array_equal(scaled / scaled[0, 0], plain / plain[0, 0])


def test_columns_of_very_different_size():
    X = np.random.default_rng(3).normal(size=(500, 4)).astype(np.float32)
    units = np.float32([1e-18, 1, 1e18, 1e5])
    scatter = covariance(X * units).scatter / np.outer(units.astype(float), units.astype(float))
    np.testing.assert_allclose(scatter, covariance(X).scatter, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("value", [1e-25, 1e25])
def test_a_sample_that_misleads(value):
    """All rows that the scale is chosen from are zero, and the others are not."""
    X = np.zeros((5000, 3), np.float32)
    X[1::2] = np.random.default_rng(4).normal(size=(2500, 3)) * value
    check(covariance(X), X)


def test_constant_columns_have_no_scatter():
    X = np.random.default_rng(5).normal(size=(3000, 5)).astype(np.float32)
    X[:, 2] = 1e7 + 1
    result = covariance(X)
    assert not result.scatter[2].any()
    assert result.mean[2] == X[0, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("index", [(0, 0), (41, 3), (9999, 6)])
def test_finds_the_first_value_that_is_not_finite(value, index):
    X = np.zeros((10000, 7), dtype=np.float32)
    X[index] = value
    X[9999, 6] = value
    result = covariance(X)
    assert result.first_nonfinite == index
    assert np.isnan(result.mean).all()
    assert np.isnan(result.scatter).all()


@pytest.mark.parametrize("n_rows", [2, 3, 33])
def test_last_rows_are_read_to_their_end_and_no_farther(n_rows):
    """What stands behind the rows is not read into them."""
    around = np.full(n_rows * 5 + 64, np.nan, np.float32)
    X = around[: n_rows * 5].reshape(n_rows, 5)
    X[:] = np.random.default_rng(6).normal(size=X.shape)
    check(covariance(X), X)


@pytest.mark.parametrize("cuts", [[1], [100, 101], [250, 400]])
def test_merged_parts_are_the_whole(cuts):
    X = np.random.default_rng(7).normal(size=(600, 11)) + np.linspace(0, 50, 600)[:, None]
    whole, total = covariance(X), Covariance(0, np.empty(0), np.empty((0, 0)), None)
    for part in np.split(X, cuts):
        total = merge(total, covariance(part))
    assert total.n_rows == 600
    np.testing.assert_allclose(total.mean, whole.mean, rtol=1e-13)
    np.testing.assert_allclose(total.scatter, whole.scatter, rtol=1e-12)
    np.testing.assert_array_equal(total.scatter, total.scatter.T)


@pytest.mark.parametrize("exponent", [-1060, -900, -500, 470, 900, 1000])
def test_a_unit_keeps_squares_in_range(exponent):
    X = np.random.default_rng(9).normal(size=(60, 5)) + 3
    plain, scaled = covariance(X), covariance(X * 2.0**exponent)
    assert plain.unit == 1
    assert np.frexp(scaled.unit)[0] == 0.5
    ratio = scaled.unit / 2.0**exponent
    rtol = 1e-3 if exponent < -1000 else 1e-12  # near the end of the range values have few digits
    np.testing.assert_allclose(scaled.scatter * ratio * ratio, plain.scatter, rtol=rtol, atol=rtol)
    parts = [covariance(part * 2.0**exponent) for part in np.split(X, [1, 20])]
    total = merge(merge(parts[0], parts[1]), parts[2])
    ratio = total.unit / 2.0**exponent
    np.testing.assert_allclose(total.scatter * ratio * ratio, plain.scatter, rtol=rtol, atol=rtol)


def test_units_of_merged_parts():
    X = np.random.default_rng(9).normal(size=(30, 4))
    small, large = covariance(X * 2.0**-900), covariance(X)
    for one, two in ((small, large), (large, small)):
        total = merge(one, two)
        assert total.unit == 1
        difference = large.mean[:, None] * large.mean
        np.testing.assert_allclose(total.scatter, large.scatter + 15 * difference, atol=1e-12)
    assert natural(small).unit == 1
    with pytest.raises(RangeError, match="farther from each other"):
        merge(covariance(np.full((1, 4), 1.7e308)), covariance(np.full((1, 4), -1.7e308)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_gram(dtype, offset):
    X = (np.random.default_rng(8).normal(size=(30, 700)) * 0.05 + offset).astype(dtype)
    x = X.astype(np.longdouble)
    x -= x.mean(axis=0)
    mean = X.mean(axis=0, dtype=np.float64)
    actual = gram(X, mean, n_threads=1)
    atol = 1e-5 if dtype == np.float32 else 1e-11
    np.testing.assert_allclose(actual, (x @ x.T).astype(float), rtol=0, atol=atol)
    np.testing.assert_array_equal(actual, gram(X, mean, n_threads=2))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="no rows"):
        covariance(np.empty((0, 3)))
    with pytest.raises(ValueError, match="no columns"):
        covariance(np.empty((3, 0)))
    with pytest.raises(TypeError, match="float32 or float64"):
        covariance(np.ones((3, 3), dtype=int))
    with pytest.raises(ValueError, match="C-contiguous"):
        covariance(np.ones((3, 4)).T)
    with pytest.raises(ValueError, match="not available for 'covariance'"):
        covariance(np.ones((3, 4)), backend="triton")
    with pytest.raises(ValueError, match="farther from each other than float64 can hold"):
        covariance(np.array([[1.7e308], [-1.7e308]]))
    with pytest.raises(ValueError, match="overflows float64"):
        natural(covariance(np.array([[1e200], [-1e200], [0.0]])))
    x, d, s = np.ones((3, 4)), np.ones(4), np.ones((4, 4))
    with pytest.raises(ValueError, match="wrong length"):
        _native.covariance(X=x, shift=d, scale=d, sums=d, products=s[:3].copy(), n_threads=1)
