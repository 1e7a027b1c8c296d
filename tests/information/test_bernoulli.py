"""Coins, against distributions over two outcomes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.information import (
    binary_cross_entropy,
    cross_entropy,
    kl_bernoulli,
    kl_divergence,
    pinsker_bound,
)

coins = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1))


def both(p):
    return np.stack([p, 1 - p], axis=-1)


@pytest.mark.parametrize("base", [None, 2])
def test_two_outcomes(rng, base, dtype):
    p, q = rng.random((4, 1)).astype(dtype), rng.random(7).astype(dtype)
    for coin, discrete in [(kl_bernoulli, kl_divergence), (binary_cross_entropy, cross_entropy)]:
        actual = coin(p, q, base=base)
        assert actual.dtype == dtype
        assert actual.shape == (4, 7)
        expected = discrete(both(p.astype(np.float64)), both(q.astype(np.float64)), base=base)
        np.testing.assert_allclose(actual, expected, rtol=60 * np.finfo(dtype).eps)


def test_ends():
    p, q = np.array([0, 0, 0, 1, 1, 1, 0.5, 0.5]), np.array([0, 0.5, 1, 0, 0.5, 1, 0, 1])
    log2, inf = np.log(2), np.inf
    np.testing.assert_array_equal(kl_bernoulli(p, q), [0, log2, inf, inf, log2, 0, inf, inf])
    expected = [0, log2, inf, inf, log2, 0, inf, inf]
    np.testing.assert_array_equal(binary_cross_entropy(p, q), expected)


def test_scalars():
    assert isinstance(kl_bernoulli(0.3, 0.6), float)
    assert kl_bernoulli(1, 0.5, base=2) == 1
    assert binary_cross_entropy(True, 0.25, base=2) == 2


@pytest.mark.parametrize("ratio_gap", [1e-15, 1e-12, 1e-9, 1e-6, 1e-3, 0.1])
@pytest.mark.parametrize("p", [1e-20, 1e-9, 0.01, 0.3, 0.5, 0.8, 0.999])
def test_nothing_cancels(exact, p, ratio_gap, dtype):
    p, q = dtype(p), dtype(p) * dtype(1 - ratio_gap)
    true = exact.kl_bernoulli(p, q)
    assert abs(float(kl_bernoulli(p, q)) - true) <= 16 * np.finfo(dtype).eps * true


@settings(deadline=None)
@given(coins, coins)
def test_inequalities(p, q):
    divergence = kl_bernoulli(p, q)
    assert divergence >= 0
    assert kl_bernoulli(p, p) == 0
    # Their total variation; a divergence below the smallest number is lost.
    assert abs(p - q) <= pinsker_bound(divergence) * (1 + 1e-12) + 1e-150
    entropy = binary_cross_entropy(p, p)
    np.testing.assert_allclose(binary_cross_entropy(p, q), entropy + divergence, atol=1e-12)
