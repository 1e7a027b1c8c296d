import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.kernels.affine import affine

UNIT = {np.float32: 2.0**-24, np.float64: 2.0**-53}


def make(n, d, k, dtype, number=0, spread=1.0, offset=0.0):
    rng = np.random.default_rng(number)
    return (
        (rng.normal(size=(n, d)) * spread + offset).astype(dtype),
        rng.normal(size=(k, d)).astype(dtype),
        (rng.normal(size=d) * spread + offset).astype(dtype),
        rng.normal(size=k).astype(dtype),
    )


def check(actual, X, weights, shift, offset):
    x = X.astype(np.longdouble) - shift
    truth = x @ weights.T.astype(np.longdouble) + offset
    size = np.abs(x) @ np.abs(weights).T + np.abs(offset)
    assert (np.abs(actual - truth) <= (X.shape[1] + 3) * UNIT[X.dtype.type] * size).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "shape",
    [(1, 1, 1), (7, 3, 2), (97, 33, 17), (1000, 16, 48), (33, 513, 49), (9, 1500, 100)],
    ids=str,
)
def test_is_the_formula(shape, dtype):
    X, weights, shift, offset = make(*shape, dtype)
    results = [affine(X, weights, shift=shift, offset=offset, n_threads=t) for t in (1, 2)]
    check(results[0], X, weights, shift, offset)
    np.testing.assert_array_equal(results[0], results[1])
    slow = affine(X, weights, shift=shift, offset=offset, backend="ref")
    np.testing.assert_allclose(
        results[0], slow, rtol=1e-3 if dtype == np.float32 else 1e-9, atol=1e-4
    )


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 70),
    st.integers(1, 70),
    st.integers(1, 70),
    st.sampled_from([np.float32, np.float64]),
    st.integers(0, 2**32 - 1),
)
def test_any_size(n, d, k, dtype, number):
    X, weights, shift, offset = make(n, d, k, dtype, number)
    check(affine(X, weights, shift=shift, offset=offset), X, weights, shift, offset)


def test_far_from_the_origin():
    X, weights, shift, offset = make(500, 20, 5, np.float32, spread=0.05, offset=1e4)
    check(affine(X, weights, shift=shift, offset=offset), X, weights, shift, offset)


def test_a_bad_value_stays_in_its_row():
    X, weights, shift, offset = make(50, 9, 4, np.float32)
    X[13, 2] = np.nan
    out = affine(X, weights, shift=shift, offset=offset)
    assert np.flatnonzero(np.isnan(out).any(axis=1)).tolist() == [13]


def test_wrong_arguments():
    X, weights, shift, offset = make(5, 3, 2, np.float64)
    with pytest.raises(ValueError, match=r"weights must have shape \(K, 3\)"):
        affine(X, weights[:, :2].copy())
    with pytest.raises(ValueError, match="K >= 1"):
        affine(X, weights[:0])
    with pytest.raises(TypeError, match="weights must be float64 like X"):
        affine(X, weights.astype(np.float32))
    with pytest.raises(ValueError, match=r"shift must be a NumPy array of shape \(3,\)"):
        affine(X, weights, shift=offset)
    with pytest.raises(ValueError, match=r"offset must be a NumPy array of shape \(2,\)"):
        affine(X, weights, offset=shift)
