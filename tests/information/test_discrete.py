"""Measures of discrete distributions against SciPy, the definitions in 120 digits, and by hand."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from unsup_fast.information import (
    bretagnolle_huber_bound,
    cross_entropy,
    entropy,
    js_divergence,
    kl_divergence,
    mutual_information,
    pinsker_bound,
    total_variation,
)

TWO = {
    "cross_entropy": cross_entropy,
    "kl_divergence": kl_divergence,
    "js_divergence": js_divergence,
    "total_variation": total_variation,
}
weights = st.one_of(st.just(0.0), st.floats(1e-300, 1e-12), st.floats(1e-6, 1.0))
sizes = st.shared(st.integers(1, 12), key="outcomes")


def normal(p):
    assume(p.max() > 1e-9)
    return p / p.sum()


vectors = sizes.flatmap(lambda n: arrays(np.float64, n, elements=weights)).map(normal)
tables = st.tuples(st.integers(1, 5), st.integers(1, 5)).flatmap(
    lambda shape: arrays(np.float64, shape, elements=weights).map(normal)
)


@pytest.mark.parametrize("base", [None, 2, 10])
@pytest.mark.parametrize("shape", [(1,), (2,), (17,), (3, 5), (2, 1, 33), (0, 4)], ids=str)
def test_agrees_with_scipy(draw, shape, base, dtype):
    p, q = draw(*shape, zeros=0.3).astype(dtype), draw(*shape).astype(dtype)
    rtol = 50 * np.finfo(dtype).eps
    wide = p.astype(np.float64), q.astype(np.float64)
    expected = scipy.stats.entropy(wide[0], axis=-1, base=base)
    divergence = scipy.stats.entropy(*wide, axis=-1, base=base)
    for actual, true in [
        (entropy(p, base=base), expected),
        (kl_divergence(p, q, base=base), divergence),
        (cross_entropy(p, q, base=base), expected + divergence),
    ]:
        assert actual.dtype == dtype
        assert np.shape(actual) == shape[:-1]
        np.testing.assert_allclose(actual, true, rtol=rtol, atol=rtol)


def test_known_values():
    assert entropy(np.full(8, 1 / 8), base=2) == 3
    assert entropy([0.5, 0.25, 0.25, 0], base=2) == 1.5
    assert cross_entropy([0.5, 0.5], [0.25, 0.75], base=2) == pytest.approx(1.2075187496394219)
    assert total_variation([0.7, 0.2, 0.1], [0.1, 0.2, 0.7]) == pytest.approx(0.6)
    assert mutual_information(np.eye(4) / 4, base=2) == 2
    assert pinsker_bound(0.5) == 0.5
    assert pinsker_bound(1, base=2) == pytest.approx(np.sqrt(np.log(2) / 2))
    assert bretagnolle_huber_bound(np.log(4)) == pytest.approx(np.sqrt(0.75), rel=1e-15)
    assert bretagnolle_huber_bound(2, base=2) == pytest.approx(np.sqrt(0.75), rel=1e-15)
    assert js_divergence([1, 0], [0, 1], base=2) == 1
    assert js_divergence([0.75, 0.25], [0.25, 0.75]) == pytest.approx(np.log(2 * 3**0.75 / 4))


def test_total_variation_is_the_most_different_event(draw):
    p, q = draw(9), draw(9)
    events = (np.arange(2**9)[:, None] >> np.arange(9)) & 1  # all of them, [512, 9]
    assert total_variation(p, q) == pytest.approx(np.abs(events @ (p - q)).max(), rel=1e-14)


def test_zeros():
    p, q = np.array([[0.5, 0.5, 0], [1, 0, 0]]), np.array([[0.5, 0.5, 0], [0, 0.5, 0.5]])
    np.testing.assert_array_equal(kl_divergence(p, q), [0, np.inf])
    np.testing.assert_array_equal(cross_entropy(p, q, base=2), [1, np.inf])
    np.testing.assert_array_equal(total_variation(p, q), [0, 1])
    np.testing.assert_array_equal(entropy(p, base=2), [1, 0])
    np.testing.assert_array_equal(js_divergence(p, q), [0, np.log(2)])
    np.testing.assert_array_equal(pinsker_bound([0, np.inf]), [0, np.inf])
    np.testing.assert_array_equal(bretagnolle_huber_bound([0, np.inf]), [0, 1])
    assert kl_divergence([0, 1], [0.5, 0.5]) == np.log(2)
    actual = mutual_information([[0.5, 0, 0], [0, 0, 0], [0, 0, 0.5]], base=2)
    assert actual == pytest.approx(1, rel=1e-15)
    assert not np.signbit(entropy([0.0, 1.0]))


@pytest.mark.parametrize("noise", [1e-15, 1e-12, 1e-9, 1e-7, 1e-5, 1e-3, 0.1, 0.24, 0.26, 3, 300])
def test_nothing_cancels(rng, draw, exact, noise, dtype):
    for size in (2, 5, 33):
        p = draw(size, zeros=0.2).astype(dtype)
        q = p * np.exp(noise * rng.uniform(-1, 1, size))
        q = (q / q.sum()).astype(dtype)
        if (q[p > 0] == 0).any():
            continue
        true, normal, lack = exact.kl(p, q)
        actual = float(kl_divergence(p, q))
        assert abs(actual - true) <= 16 * np.finfo(dtype).eps * true
        # The sums of p and q miss 1 by rounding; the divergence feels that only squared.
        assert abs(actual - normal) <= lack**2 + 1e-6 * true


@pytest.mark.parametrize("noise", [1e-15, 1e-9, 1e-5, 0.1, 0.9, 1.1, 30])
def test_nothing_cancels_in_the_jensen_shannon_divergence(rng, draw, exact, noise, dtype):
    p = draw(20, zeros=0.2).astype(dtype)
    q = (p * np.exp(noise * rng.uniform(-1, 1, 20))).astype(dtype)
    tolerance = 16 * np.finfo(dtype).eps
    true = exact.js(p, q)
    assert abs(js_divergence(p, q, validate=False) - true) <= tolerance * true
    with np.errstate(divide="ignore"):
        log_p = np.log(p)
        log_q = log_p + (noise * rng.uniform(-1, 1, 20)).astype(dtype)
    true = exact.js(log_p, log_q, log=True)
    assert abs(js_divergence(log_p, log_q, log=True, validate=False) - true) <= tolerance * true


@pytest.mark.parametrize("noise", [1e-15, 1e-9, 1e-5, 0.1, 0.3, 30])
def test_nothing_cancels_in_logarithms(rng, draw, exact, noise, dtype):
    log_p = np.log(draw(20)).astype(dtype)
    log_q = (log_p + noise * rng.uniform(-1, 1, 20)).astype(dtype)
    kl = kl_divergence(log_p, log_q, log=True, validate=False)
    true = exact.log_kl(log_p, log_q)
    assert abs(float(kl) - true) <= 16 * np.finfo(dtype).eps * true
    p = np.exp(log_p.astype(np.float64))
    distance = total_variation(log_p, log_q, log=True, validate=False)
    true = np.abs(np.expm1(log_q.astype(np.float64) - log_p) * p).sum() / 2
    np.testing.assert_allclose(distance, true, rtol=16 * np.finfo(dtype).eps)
    np.testing.assert_allclose(
        cross_entropy(log_p, log_q, log=True, validate=False), -p @ log_q, rtol=1e-6
    )
    np.testing.assert_allclose(entropy(log_p, log=True, validate=False), -p @ log_p, rtol=1e-6)


@pytest.mark.parametrize("noise", [0, 1e-12, 1e-6, 1e-3, 0.5])
def test_mutual_information_in_120_digits(rng, draw, exact, noise, dtype):
    joint = np.outer(draw(5, zeros=0.2), draw(4)) * (1 + noise * rng.uniform(-1, 1, (5, 4)))
    joint = (joint / joint.sum()).astype(dtype)
    true = exact.mutual_information(joint)
    error = 16 * np.finfo(dtype).eps * true + 8 * np.finfo(np.float64).eps * true**0.5
    assert abs(float(mutual_information(joint)) - true) <= error + 1e-31


def test_tiny_probabilities():
    tiny = np.finfo(np.float64).smallest_subnormal
    assert kl_divergence([1, 0], [tiny, 1]) == pytest.approx(-np.log(tiny), rel=1e-15)
    assert kl_divergence([tiny, 1], [1, tiny]) == pytest.approx(-np.log(tiny), rel=1e-15)
    small = np.float32([1, 1e-42])
    assert kl_divergence(small, small[::-1]) == pytest.approx(-np.log(float(small[1])), rel=1e-6)
    joint = np.array([[1e-200, 0.5], [0.5, 1e-200]])
    assert mutual_information(joint, base=2) == 1
    assert kl_divergence([np.log(0.5)] * 2, [0, -900], log=True) == pytest.approx(450 - np.log(2))
    assert kl_divergence([-900, 0], [-np.inf, 0], log=True) == np.inf
    assert cross_entropy([-900, 0], [-np.inf, 0], log=True) == np.inf
    assert kl_divergence([-np.inf, 0], [-np.inf, 0], log=True) == 0
    assert total_variation([-np.inf, 0], [-np.inf, 0], log=True) == 0
    assert js_divergence([tiny, 1], [0, 1]) == 0  # it is below the least number
    assert js_divergence([-900, 0], [0, -900], log=True) == pytest.approx(np.log(2), rel=1e-15)


def test_long_axes_are_summed_in_float64(rng):
    p = rng.exponential(size=3_000_000).astype(np.float32)
    p /= p.sum(dtype=np.float64).astype(np.float32)
    q = np.full_like(p, 1 / len(p))
    wide = p.astype(np.float64)
    assert entropy(p) == pytest.approx(-(wide @ np.log(wide)), rel=1e-6)
    true = wide @ np.log(wide * len(p)) - wide.sum() + 1
    assert kl_divergence(p, q) == pytest.approx(true, rel=1e-6)
    assert total_variation(p, q) == pytest.approx(np.abs(wide - 1 / len(p)).sum() / 2, rel=1e-6)


def test_logarithms_are_the_same(draw):
    p, q, joint = draw(3, 6, zeros=0.3), draw(3, 6), draw(2, 12, zeros=0.3).reshape(2, 3, 4)
    with np.errstate(divide="ignore"):
        log_p, log_q, log_joint = np.log(p), np.log(q), np.log(joint)
    np.testing.assert_allclose(entropy(log_p, log=True), entropy(p), rtol=1e-13)
    for measure in TWO.values():
        np.testing.assert_allclose(measure(log_p, log_q, log=True), measure(p, q), rtol=1e-13)
        np.testing.assert_allclose(
            measure(log_q, log_p, log=True), measure(q, p), rtol=1e-13, atol=1e-15
        )
    actual = mutual_information(log_joint, log=True)
    np.testing.assert_allclose(actual, mutual_information(joint), rtol=1e-13)


def test_batches_broadcast(draw):
    p, q, joint = draw(4, 1, 6), draw(3, 6), draw(5, 6).reshape(5, 2, 3)
    for measure in TWO.values():
        actual = measure(p, q)
        assert actual.shape == (4, 3)
        assert actual[2, 1] == measure(p[2, 0], q[1])
    assert mutual_information(joint).shape == (5,)
    assert mutual_information(joint)[3] == mutual_information(joint[3])


def test_types(draw):
    one_hot = [[1, 0], [0, 1]]
    assert entropy(one_hot).dtype == np.float64
    assert entropy(np.array(one_hot, dtype=bool)).dtype == np.float64
    assert cross_entropy(one_hot, np.float32([0.5, 0.5])).dtype == np.float32
    assert cross_entropy(np.array(one_hot), np.float32([0.5, 0.5])).dtype == np.float32
    assert kl_divergence(np.float32([0.5, 0.5]), np.array([0.25, 0.75])).dtype == np.float64
    assert entropy(draw(9).astype(np.float16)).dtype == np.float32
    assert entropy(draw(9).astype(np.longdouble)).dtype == np.float64
    swapped = draw(9).astype(">f4")
    assert entropy(swapped) == entropy(swapped.astype(np.float32))
    strided = draw(7, 9).T[::2]
    assert entropy(strided / strided.sum(axis=1, keepdims=True)).shape == (5,)


def test_arguments_are_not_changed(draw):
    p, q = draw(3, 4), draw(3, 4)
    before = p.copy(), q.copy()
    p.flags.writeable = q.flags.writeable = False
    for measure in TWO.values():
        measure(p, q)
    entropy(p)
    np.testing.assert_array_equal((p, q), before)


@settings(deadline=None)
@given(vectors, vectors, st.floats(0, 1))
def test_inequalities(p, q, share):
    mixed = share * p + (1 - share) * q
    blend = share * kl_divergence(p, q) if share else 0
    slack = 1e-12
    assert 0 <= entropy(p) <= np.log(len(p)) + slack
    assert kl_divergence(p, q) >= 0
    assert kl_divergence(p, p) == 0
    assert cross_entropy(p, q) >= entropy(p) - slack
    assert 0 <= total_variation(p, q) <= 1 + slack
    assert total_variation(p, q) == total_variation(q, p)
    assert total_variation(p, q) <= pinsker_bound(kl_divergence(p, q)) + slack
    assert total_variation(p, q) <= bretagnolle_huber_bound(kl_divergence(p, q)) + slack
    assert js_divergence(p, q) == pytest.approx(js_divergence(q, p), rel=1e-14)
    assert total_variation(p, q) ** 2 / 2 - slack <= js_divergence(p, q)
    assert js_divergence(p, q) <= np.log(2) * total_variation(p, q) + slack
    joint = np.stack([p, q]) / 2
    assert js_divergence(p, q) == pytest.approx(mutual_information(joint), rel=1e-9, abs=1e-15)
    # Jensen: the logarithm, and with it the entropy, is concave; the divergence is convex.
    values = np.arange(1, len(p) + 1) ** 3.0
    assert np.log(p @ values) >= p @ np.log(values) - slack
    assert entropy(mixed) >= share * entropy(p) + (1 - share) * entropy(q) - slack
    assert kl_divergence(mixed, q) <= blend + slack


@settings(deadline=None)
@given(vectors, vectors)
def test_divergence_is_cross_entropy_less_entropy(p, q):
    np.testing.assert_allclose(
        cross_entropy(p, q), entropy(p) + kl_divergence(p, q), rtol=1e-12, atol=1e-12
    )


@settings(deadline=None)
@given(tables)
def test_mutual_information_is_entropy_less_conditional_entropy(joint):
    p_x, p_y = joint.sum(axis=1), joint.sum(axis=0)
    rows = joint[p_x > 0] / p_x[p_x > 0, None]
    conditional = p_x[p_x > 0] @ np.atleast_1d(entropy(rows))  # H(Y | X)
    actual = mutual_information(joint)
    assert actual >= 0
    np.testing.assert_allclose(actual, entropy(p_y) - conditional, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(actual, mutual_information(joint.T), rtol=1e-9, atol=1e-15)
    product = np.outer(p_x, p_y).ravel()
    if product[joint.ravel() > 0].all():  # products of tiny numbers vanish
        divergence = kl_divergence(joint.ravel(), product)
        np.testing.assert_allclose(actual, divergence, rtol=1e-9, atol=1e-12)
    assert actual <= min(entropy(p_x), entropy(p_y)) + 1e-12


@settings(deadline=None)
@given(vectors)
def test_independent_variables_share_no_information(p):
    assert 0 <= mutual_information(np.outer(p, p[::-1])) < 1e-15
