"""Divergences of Gaussians, against integrals, plain inverses and the notes' special case."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad, quad
from scipy.stats import multivariate_normal, norm

from unsup_fast.information import kl_gaussian, kl_gaussian_diag


def covariances(rng, *shape):
    root = rng.normal(size=(*shape, shape[-1]))
    return root @ np.swapaxes(root, -1, -2) + 0.1 * np.eye(shape[-1])


def by_inverse(mean_p, cov_p, mean_q, cov_q):
    inverse, difference = np.linalg.inv(cov_q), mean_p - mean_q
    both = inverse @ cov_p
    square = difference @ inverse @ difference
    return (np.trace(both) - len(difference) - np.linalg.slogdet(both)[1] + square) / 2


@pytest.mark.parametrize(("mean", "std"), [(0, 1), (0.7, 1.3), (-2, 0.2), (1, 5)])
def test_integral(mean, std):
    def integrand(x):
        p = norm(mean, std)
        return p.pdf(x) * (p.logpdf(x) - norm.logpdf(x))

    true, _ = quad(integrand, mean - 12 * std, mean + 12 * std)
    assert kl_gaussian_diag([mean], [std**2]) == pytest.approx(true, abs=1e-8)
    assert kl_gaussian([mean], [[std**2]]) == pytest.approx(true, abs=1e-8)


def test_integral_in_the_plane():
    p = multivariate_normal([0.3, -0.2], [[1.0, 0.4], [0.4, 0.5]])
    q = multivariate_normal([0.0, 0.1], [[0.8, -0.3], [-0.3, 1.2]])

    def integrand(y, x):
        return p.pdf([x, y]) * (p.logpdf([x, y]) - q.logpdf([x, y]))

    true, _ = dblquad(integrand, -6, 6, -5, 5, epsabs=1e-5)
    assert kl_gaussian(p.mean, p.cov, q.mean, q.cov) == pytest.approx(true, abs=1e-4)


@pytest.mark.parametrize("size", [1, 2, 7, 40])
@pytest.mark.parametrize("base", [None, 2])
def test_formula(rng, size, base, dtype):
    mean_p, mean_q = rng.normal(size=(2, size)).astype(dtype)
    cov_p, cov_q = covariances(rng, 2, size).astype(dtype)
    actual = kl_gaussian(mean_p, cov_p, mean_q, cov_q, base=base)
    assert actual.dtype == dtype
    true = by_inverse(*(x.astype(np.float64) for x in (mean_p, cov_p, mean_q, cov_q)))
    if base is not None:
        true /= np.log(base)
    assert actual == pytest.approx(true, rel=1e-10 if dtype == np.float64 else 1e-6)


def test_equal_covariances_leave_the_distance_of_the_means(rng):
    mean_p, mean_q = rng.normal(size=(2, 5))
    cov = covariances(rng, 5)
    difference = mean_p - mean_q
    true = difference @ np.linalg.solve(cov, difference) / 2
    assert kl_gaussian(mean_p, cov, mean_q, cov) == pytest.approx(true, rel=1e-12)
    var = np.diag(cov)
    true = (difference**2 / var).sum() / 2
    assert kl_gaussian_diag(mean_p, var, mean_q, var) == pytest.approx(true, rel=1e-14)


@pytest.mark.parametrize("with_q", [(False, False), (True, False), (False, True), (True, True)])
def test_diagonal_is_the_full_one_with_zeros(rng, with_q, dtype):
    mean_p, mean_q = rng.normal(size=(2, 3, 4)).astype(dtype)
    var_p, var_q = rng.exponential(size=(2, 3, 4)).astype(dtype)
    mean_q = mean_q if with_q[0] else None
    var_q = var_q if with_q[1] else None

    def full(var):
        return None if var is None else var[..., None] * np.eye(4, dtype=dtype)

    def log(var):
        return None if var is None else np.log(var)

    actual = kl_gaussian_diag(mean_p, var_p, mean_q, var_q)
    assert actual.dtype == dtype
    rtol = 20 * np.finfo(dtype).eps
    np.testing.assert_allclose(
        actual, kl_gaussian(mean_p, full(var_p), mean_q, full(var_q)), rtol=rtol
    )
    logs = kl_gaussian_diag(mean_p, log(var_p), mean_q, log(var_q), log=True)
    np.testing.assert_allclose(actual, logs, rtol=rtol)


def test_the_prior_term_of_a_vae(rng):
    mean, log_var = rng.normal(size=(2, 6, 3))
    true = (np.exp(log_var) + mean**2 - 1 - log_var).sum(axis=1) / 2
    np.testing.assert_allclose(kl_gaussian_diag(mean, log_var, log=True), true, rtol=1e-13)


@pytest.mark.parametrize("noise", [1e-14, 1e-10, 1e-6, 1e-3])
def test_nothing_cancels(noise, dtype):
    var_q = np.array([0.3, 2.0, 50.0], dtype=dtype)
    var_p = (var_q * (1 + noise * np.array([1, -1, 0.5]))).astype(dtype)
    r = ((var_p.astype(np.float64) - var_q) / var_q).astype(np.longdouble)
    true = float((r**2 * (0.5 - r / 3 + r**2 / 4 - r**3 / 5 + r**4 / 6 - r**5 / 7)).sum() / 2)
    rtol = 20 * np.finfo(dtype).eps
    zero = np.zeros(3, dtype=dtype)
    np.testing.assert_allclose(kl_gaussian_diag(zero, var_p, zero, var_q), true, rtol=rtol)
    # Roots of variances are rounded, so the full divergence feels r + eps instead of r.
    full = kl_gaussian(zero, np.diag(var_p), zero, np.diag(var_q))
    assert abs(float(full) - true) <= 1e-15 * true**0.5 + rtol * true + 1e-31


def test_scales_far_apart(rng):
    scale = 10.0 ** np.array([-8, 0, 8])
    mean_p, mean_q = rng.normal(size=(2, 3))
    cov_p, cov_q = covariances(rng, 2, 3)
    actual = kl_gaussian(
        scale * mean_p,
        np.outer(scale, scale) * cov_p,
        scale * mean_q,
        np.outer(scale, scale) * cov_q,
    )
    assert actual == pytest.approx(kl_gaussian(mean_p, cov_p, mean_q, cov_q), rel=1e-12)
    assert kl_gaussian_diag([1e200], [1e300], [0.0], [1e300]) == pytest.approx(5e99)


@pytest.mark.parametrize(
    ("var_p", "var_q"), [(1e-20, 1e20), (1e-300, 1e300), (1e30, 1), (1, 1e-30)]
)
def test_variances_far_apart(var_p, var_q, dtype):
    if dtype == np.float32:
        var_p, var_q = dtype([max(var_p, 1e-30), min(var_q, 1e30)])
    ratio = float(var_p) / float(var_q)
    true = (ratio - 1 - np.log(float(var_p)) + np.log(float(var_q))) / 2
    zero = np.zeros(1, dtype=dtype)
    for actual in (
        kl_gaussian_diag(zero, np.array([var_p], dtype), zero, np.array([var_q], dtype)),
        kl_gaussian(zero, np.array([[var_p]], dtype), zero, np.array([[var_q]], dtype)),
    ):
        assert actual.dtype == dtype
        assert actual == pytest.approx(true, rel=1e-6 if dtype == np.float32 else 1e-12)


def test_batches_broadcast(rng):
    means, cov = rng.normal(size=(6, 1, 3)), covariances(rng, 4, 3)
    actual = kl_gaussian(means, cov, means[0, 0], cov[0])
    assert actual.shape == (6, 4)
    assert actual[5, 2] == pytest.approx(kl_gaussian(means[5, 0], cov[2], means[0, 0], cov[0]))
    assert kl_gaussian(means, cov[0]).shape == (6, 1)
    assert kl_gaussian(means[0, 0], cov[0]).shape == ()
    assert kl_gaussian(means[:0, 0], cov[0], means[0, 0], cov[1]).shape == (0,)
    assert kl_gaussian_diag(means, np.ones((4, 3))).shape == (6, 4)
    assert kl_gaussian_diag(means, np.ones(3)).shape == (6, 1)


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_not_negative(size, seed):
    rng = np.random.default_rng(seed)
    mean, cov = rng.normal(size=size), covariances(rng, size)
    assert 0 <= kl_gaussian(mean, cov, mean, cov) < 1e-25
    other = kl_gaussian(mean, cov, rng.normal(size=size), covariances(rng, size))
    assert other >= 0
    assert kl_gaussian_diag(mean, np.diag(cov), mean, np.diag(cov)) == 0


def test_lists_and_whole_numbers():
    assert kl_gaussian([1, 0], [[1, 0], [0, 1]]) == 0.5
    assert kl_gaussian_diag([1, 0], [1, 1]) == 0.5
