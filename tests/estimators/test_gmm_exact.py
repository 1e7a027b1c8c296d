"""What must hold whatever the data: likelihood, stationarity, threads, degenerate rows."""

import itertools
import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning

from unsup_fast import blocks
from unsup_fast.kernels.em import ref
from unsup_fast.mixture import GaussianMixture
from unsup_fast.mixture._covariance import positive_definite

TYPES = ("full", "tied", "diag", "spherical")
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")

ignore_convergence = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def matrices_of(model):
    """Return the covariances of a model as float64 [K, D, D]."""
    k, d = model.means_.shape
    covariances = model.covariances_.astype(np.float64)
    return {
        "full": lambda: covariances,
        "tied": lambda: np.tile(covariances, (k, 1, 1)),
        "diag": lambda: covariances[:, :, None] * np.eye(d),
        "spherical": lambda: covariances[:, None, None] * np.eye(d),
    }[model.covariance_type]()


def responsibilities(model, X):
    """Return them by brute force in float64, [N, K]."""
    mixture = model._mixture
    logs = ref.log_densities(
        X.astype(np.float64),
        np.log(mixture.weights),
        mixture.means,
        mixture.factors,
        model.covariance_type,
    )
    return np.exp(logs - np.logaddexp.reduce(logs, axis=1)[:, None])


@ignore_convergence
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(4, 60),
    d=st.integers(1, 4),
    k=st.integers(1, 4),
    covariance_type=st.sampled_from(TYPES),
    reg_covar=st.sampled_from([0.0, 1e-6, 1e-2, 1.0]),
    offset=st.sampled_from([0.0, 1e4]),
)
def test_likelihood_never_falls(seed, n, d, k, covariance_type, reg_covar, offset):
    """Without `reg_covar`, but for rounding; with it, by no more than the bound of its M-step.

    With it the M-step maximises ``Q - reg / 2 sum_k N_k tr(Sigma_k^-1)``, so that the likelihood
    changes by no less than ``reg / 2 sum_k N_k (tr(Sigma'_k^-1) - tr(Sigma_k^-1))``.
    """
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) * rng.uniform(0.1, 10, d) + rng.integers(0, 3, (n, 1)) + offset
    model = GaussianMixture(
        min(k, n), covariance_type=covariance_type, reg_covar=reg_covar, init_params="random"
    )
    model.set_params(max_iter=1, tol=0.0, warm_start=True, random_state=seed % 1000)
    penalties, bounds = [], []
    for _ in range(12):
        before = matrices_of(model) if bounds else None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model.fit(X)
        if any("positive definite" in str(each.message) for each in caught):
            return  # another model from this iteration on
        bounds.append(model.lower_bound_)
        after = matrices_of(model)
        if before is not None:
            trace = [np.trace(np.linalg.inv(c), axis1=1, axis2=2) for c in (before, after)]
            penalties.append(reg_covar / 2 * (model.weights_ * (trace[1] - trace[0])).sum())
    rises = np.diff(bounds)
    # Entry t of `penalties` is of the M-step t + 1, which shows in the bound of t + 2.
    allowed = np.minimum(0, penalties[:-1]) - 1e-9 * (1 + np.abs(bounds[2:]))
    assert (rises[1:] >= allowed).all()


@ignore_convergence
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stationarity(blobs, covariance_type, dtype):
    """The conditions of the constrained maximum, by brute force.

    With L = sum_i log sum_k pi_k N_k(x_i) + lambda (1 - sum_k pi_k), N_k = sum_i r_ik: from the
    derivative by pi_k, N_k / pi_k = lambda for all k, and lambda = N as the weights sum to one; by
    mu_k, sum_i r_ik (x_i - mu_k) = 0; by Sigma_k, Sigma_k is the scatter of its share of the rows.
    """
    X = blobs.astype(dtype)
    model = GaussianMixture(
        3, covariance_type=covariance_type, reg_covar=0.0, tol=0.0, max_iter=600, random_state=0
    ).fit(X)
    mixture, resp = model._mixture, responsibilities(model, X)
    share = resp.sum(axis=0)  # [K]
    tolerance = 1e-5 if dtype == np.float64 else 1e-3
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-14)
    np.testing.assert_allclose(share / mixture.weights, len(X), rtol=tolerance)
    gaps = X[:, None, :].astype(np.float64) - mixture.means  # [N, K, D]
    gradient = np.einsum("nk,nkd->kd", resp, gaps) / len(X)
    np.testing.assert_allclose(gradient, 0, atol=tolerance)
    scatter = np.einsum("nk,nkd,nke->kde", resp, gaps, gaps)
    if covariance_type == "tied":
        wanted = np.tile(scatter.sum(axis=0) / len(X), (3, 1, 1))
    else:
        wanted = scatter / share[:, None, None]
    diagonal = np.diagonal(wanted, axis1=1, axis2=2)
    if covariance_type == "diag":
        wanted = diagonal[:, :, None] * np.eye(X.shape[1])
    if covariance_type == "spherical":
        wanted = diagonal.mean(axis=1)[:, None, None] * np.eye(X.shape[1])
    np.testing.assert_allclose(matrices_of(model), wanted, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("weighted", [False, True])
def test_one_component_is_the_gaussian_of_largest_likelihood(blobs, covariance_type, weighted):
    weight = np.random.default_rng(0).uniform(size=len(blobs)) if weighted else None
    model = GaussianMixture(covariance_type=covariance_type, reg_covar=0.0)
    model.fit(blobs, sample_weight=weight)
    mean = np.average(blobs, axis=0, weights=weight)
    S = np.cov(blobs.T, ddof=0, aweights=weight)
    expected = {
        "full": S[None],
        "tied": S,
        "diag": S.diagonal()[None],
        "spherical": np.array([S.diagonal().mean()]),
    }[covariance_type]
    np.testing.assert_allclose(model.weights_, [1.0])
    np.testing.assert_allclose(model.means_[0], mean, rtol=1e-12)
    np.testing.assert_allclose(model.covariances_, expected, rtol=1e-12, atol=1e-12)
    assert model.lower_bound_ == pytest.approx(model.score(blobs, sample_weight=weight), rel=1e-13)
    assert model.n_iter_ == 2


def test_one_component_takes_two_passes(blobs):
    passes = []

    def rows():
        passes.append(1)
        return [blobs]

    GaussianMixture(max_iter=9).fit(blocks.source(rows))
    assert len(passes) <= 2


@ignore_convergence
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init_params", ["kmeans", "random"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads(covariance_type, init_params, dtype):
    X = np.random.default_rng(0).normal(size=(3001, 7)).astype(dtype)
    options = {"covariance_type": covariance_type, "init_params": init_params, "max_iter": 4}
    one, *others = (
        GaussianMixture(5, random_state=0, n_threads=n, **options).fit(X) for n in (1, 2, 3)
    )
    for other in others:
        for name in PARAMETERS:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert one.lower_bounds_ == other.lower_bounds_
        for name in ("predict_proba", "score_samples"):
            np.testing.assert_array_equal(getattr(one, name)(X), getattr(other, name)(X))


@ignore_convergence
@pytest.mark.parametrize("covariance_type", TYPES)
def test_float32_far_from_the_origin(offset_rows, covariance_type):
    options = {"covariance_type": covariance_type, "reg_covar": 1e-9, "max_iter": 20}
    wide = offset_rows.astype(np.float64)
    start = {"means_init": wide[:6], "weights_init": np.full(6, 1 / 6), "tol": 0.0}
    d, kind = wide.shape[1], covariance_type
    start["precisions_init"] = (
        2500.0
        * {
            "full": np.tile(np.eye(d), (6, 1, 1)),
            "tied": np.eye(d),
            "diag": np.ones((6, d)),
            "spherical": np.ones(6),
        }[kind]
    )
    narrow, exact = (GaussianMixture(6, **options, **start).fit(X) for X in (offset_rows, wide))
    np.testing.assert_allclose(narrow._mixture.means, exact.means_, rtol=0, atol=1e-5)
    scale = np.abs(exact.covariances_).max()
    np.testing.assert_allclose(narrow.covariances_, exact.covariances_, atol=1e-3 * scale)
    assert narrow.lower_bound_ == pytest.approx(exact.lower_bound_, rel=1e-5)
    assert (narrow.predict(offset_rows) == exact.predict(wide)).mean() > 0.999


def degenerate():
    rng = np.random.default_rng(5)
    X = np.concatenate([rng.normal(size=(60, 3)) + c for c in 4 * rng.normal(size=(3, 3))])
    return {
        "constant column": np.c_[X, np.zeros(len(X))],
        "constant column far out": np.c_[X, np.full(len(X), 1e4)],
        "equal columns": np.c_[X, X[:, :1]],
        "repeated rows": np.repeat(X[::40], 20, axis=0),
        "one row": np.repeat(X[:1], 9, axis=0),
        "zeros": np.zeros((9, 3)),
        "an outlier": np.r_[X, [[1e3, 1e3, 1e3]]],
        "fewer rows than columns": np.c_[X, X @ rng.normal(size=(3, 5))][:6],
    }


@ignore_convergence
@pytest.mark.parametrize("name", degenerate())
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_degenerate_rows(name, covariance_type, dtype):
    X = degenerate()[name].astype(dtype)
    for reg_covar, init_params, k in itertools.product(
        (0.0, 1e-6), ("kmeans", "random", "k-means++"), (1, 2, 6)
    ):
        model = GaussianMixture(
            k,
            covariance_type=covariance_type,
            reg_covar=reg_covar,
            init_params=init_params,
            max_iter=15,
            random_state=0,
        ).fit(X)
        for parameter in PARAMETERS:
            assert np.isfinite(getattr(model, parameter)).all()
        assert np.isfinite(model.lower_bounds_).all()
        assert np.isfinite(model.score(X))
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
        assert np.isfinite(model.sample(5)[0]).all()
        eigenvalues = np.linalg.eigvalsh(matrices_of(model))
        assert eigenvalues.min() > -1e-7 * eigenvalues.max()


def test_a_component_on_one_row_is_named(blobs):
    X = np.r_[blobs, [[1e3, 1e3, 1e3, 1e3]]]
    means = np.array([blobs.mean(axis=0), X[-1]])
    model = GaussianMixture(2, means_init=means, reg_covar=0.0, random_state=0)
    with pytest.warns(ConvergenceWarning, match="covariance of component [01] stopped being"):
        model.fit(X)
    assert sorted(model.weights_ * len(X)) == pytest.approx([1, 300])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.set_params(reg_covar=1e-6).fit(X)


def test_empty_components_are_named(blobs):
    X = np.repeat(blobs[:2], 10, axis=0)
    with pytest.warns(ConvergenceWarning, match="No row has a share in components 2, 3"):
        model = GaussianMixture(4, random_state=0).fit(X)
    np.testing.assert_allclose(sorted(model.weights_), [0, 0, 0.5, 0.5])


def test_as_much_as_needed():
    """A definite covariance does not change by a bit; a singular one hardly changes."""
    least, eps = np.full(3, 1e-30), float(np.finfo(float).eps)
    good = np.array([[[2.0, 1.9, 0], [1.9, 2.0, 0], [0, 0, 1e-12]]])
    covariances, factors, raised = positive_definite(good, "full", least, eps)
    assert raised == {}
    np.testing.assert_array_equal(covariances, good)
    np.testing.assert_allclose(factors[0] @ factors[0].T @ good[0], np.eye(3), atol=1e-10)
    np.testing.assert_array_equal(factors[0], np.triu(factors[0]))
    singular = np.ones((1, 3, 3))
    covariances, factors, raised = positive_definite(singular, "full", least, eps)
    assert list(raised) == [0]
    np.testing.assert_allclose(covariances, singular, atol=1e-12)
    assert np.linalg.eigvalsh(covariances[0])[0] > 0


@ignore_convergence
def test_memory_does_not_grow_with_the_rows():
    """Beyond the data, a pass allocates no memory proportional to the number of rows."""
    rng, peaks = np.random.default_rng(0), []
    for n in (20_000, 80_000):
        X = rng.normal(size=(n, 4)).astype(np.float32)
        start = {"weights_init": np.full(8, 1 / 8), "means_init": X[:8]}
        model = GaussianMixture(
            8, precisions_init=np.tile(np.eye(4), (8, 1, 1)), max_iter=2, **start
        )
        tracemalloc.start()
        model.fit(X)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 20_000
