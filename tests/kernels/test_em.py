import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from unsup_fast.kernels.em import COVARIANCE_TYPES, em, moments_given

TYPES = [np.float32, np.float64]


def make(n, d, k, covariance_type, dtype=np.float64, offset=0.0, spread=1.0, seed=0):
    """Rows near K means, and a mixture whose components overlap."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d)) * 2 * spread + offset
    X = (means[rng.integers(0, k, n)] + rng.normal(size=(n, d)) * spread).astype(dtype)
    count = {"full": k, "tied": 1, "diag": k, "spherical": k}[covariance_type]
    if covariance_type in ("full", "tied"):
        factors = np.triu(rng.normal(size=(count, d, d)) * 0.3 / np.sqrt(d))
        factors[:, np.arange(d), np.arange(d)] = rng.uniform(0.7, 1.5, size=(count, d))
        factors = factors[0] if covariance_type == "tied" else factors
    else:
        factors = rng.uniform(0.7, 1.5, size=(k, d) if covariance_type == "diag" else k)
    log_weights = np.log(rng.dirichlet(np.full(k, 5.0)))
    return X, log_weights, means, factors / spread


def covariance(factors, covariance_type, k, d):
    """The covariance matrix of component k."""
    if covariance_type in ("full", "tied"):
        factor = factors[k] if covariance_type == "full" else factors
        return np.linalg.inv(factor @ factor.T)
    return np.diag(np.broadcast_to(factors[k] ** -2.0, d))


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_reference_is_the_density_and_the_moments_of_the_definition(covariance_type):
    n, d, k = 40, 3, 4
    X, log_weights, means, factors = make(n, d, k, covariance_type)
    weight = np.random.default_rng(1).random(n)
    found = em(
        X,
        log_weights,
        means,
        factors,
        covariance_type,
        sample_weight=weight,
        return_log_prob=True,
        return_resp=True,
        return_labels=True,
        backend="ref",
    )
    log_p = np.stack(
        [
            log_weights[c]
            + multivariate_normal(means[c], covariance(factors, covariance_type, c, d)).logpdf(X)
            for c in range(k)
        ],
        axis=1,
    )
    log_prob = logsumexp(log_p, axis=1)
    np.testing.assert_allclose(found.log_prob, log_prob, rtol=1e-12)
    np.testing.assert_allclose(found.log_likelihood, weight @ log_prob, rtol=1e-12)
    np.testing.assert_allclose(found.resp, np.exp(log_p - log_prob[:, None]), rtol=1e-10)
    np.testing.assert_array_equal(found.labels, log_p.argmax(axis=1))
    r = found.resp * weight[:, None]
    second = np.zeros((k, d, d))
    for c in range(k):
        for i in range(n):
            gap = X[i] - means[c]
            second[c] += r[i, c] * np.outer(gap, gap)
        np.testing.assert_allclose(found.sums[c], r[:, c] @ (X - means[c]), rtol=1e-10)
    expected = {
        "full": second,
        "tied": second.sum(axis=0),
        "diag": np.diagonal(second, axis1=1, axis2=2),
        "spherical": np.trace(second, axis1=1, axis2=2),
    }[covariance_type]
    np.testing.assert_allclose(found.second, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.resp_sums, r.sum(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.weight, weight.sum(), rtol=1e-12)
    given = moments_given(
        X, means, covariance_type, resp=found.resp, sample_weight=weight, backend="ref"
    )
    for one, two in zip(given[1:5], found[1:5], strict=True):
        np.testing.assert_array_equal(one, two)
