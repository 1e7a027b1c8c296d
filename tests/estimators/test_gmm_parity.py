"""The same start as scikit-learn, the same parameters after any number of iterations."""

import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.mixture
from sklearn.exceptions import ConvergenceWarning

from unsup_fast import blocks
from unsup_fast.mixture import GaussianMixture

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TYPES = ("full", "tied", "diag", "spherical")
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


@pytest.fixture(scope="module")
def rows():
    """Return 611 x 5 float64 rows in four correlated clouds."""
    rng = np.random.default_rng(0)
    clouds = [
        rng.normal(size=(n, 5)) @ rng.normal(size=(5, 5)) + 3 * rng.normal(size=5)
        for n in (300, 200, 100, 11)
    ]
    return np.concatenate(clouds)


def start_of(covariance_type, k, X):
    """Return weights, means and precisions to start from."""
    rng = np.random.default_rng(1)
    factors = np.eye(X.shape[1]) + np.tril(0.3 * rng.normal(size=(k, X.shape[1], X.shape[1])))
    matrices = factors @ np.swapaxes(factors, 1, 2)
    precisions = {
        "full": matrices,
        "tied": matrices[0],
        "diag": rng.uniform(0.2, 2, (k, X.shape[1])),
        "spherical": rng.uniform(0.2, 2, k),
    }[covariance_type]
    weights = rng.dirichlet(np.ones(k))
    return {"weights_init": weights, "means_init": X[:k], "precisions_init": precisions}


def close(one, other, rtol=1e-8):
    for name in PARAMETERS:
        actual, expected = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * np.abs(expected).max())
        assert actual.dtype == expected.dtype
    np.testing.assert_allclose(one.lower_bounds_, other.lower_bounds_, rtol=rtol)
    np.testing.assert_allclose(one.lower_bound_, other.lower_bound_, rtol=rtol)
    assert one.n_iter_ == other.n_iter_
    assert one.converged_ == other.converged_


def both(X, k, **options):
    return (
        GaussianMixture(k, **options).fit(X),
        sklearn.mixture.GaussianMixture(k, **options).fit(X),
    )


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("max_iter", [1, 2, 7, 40])
def test_parameters_after_any_number_of_iterations(rows, covariance_type, max_iter):
    options = {"covariance_type": covariance_type, "max_iter": max_iter, "tol": 0.0}
    close(*both(rows, 4, **options, **start_of(covariance_type, 4, rows)))


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init_params", ["kmeans", "random", "k-means++", "random_from_data"])
@pytest.mark.parametrize("k", [1, 4])
def test_starts(rows, covariance_type, init_params, k):
    if covariance_type == "tied" and init_params in ("k-means++", "random_from_data"):
        pytest.skip("scikit-learn's tied start takes rows that no component has a share in")
    # Where a component starts from one row, scikit-learn's variances are rounding errors.
    rtol = 1e-6 if init_params in ("k-means++", "random_from_data") else 1e-8
    options = {"covariance_type": covariance_type, "init_params": init_params, "random_state": 3}
    close(*both(rows, k, **options, max_iter=0), rtol=rtol)
    ours, theirs = both(rows, k, **options, n_init=2)
    close(ours, theirs, rtol=rtol)
    np.testing.assert_array_equal(ours.predict(rows), theirs.predict(rows))


@pytest.mark.parametrize("given", ["weights_init", "means_init", "precisions_init"])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_partly_given_starts(rows, covariance_type, given):
    start = {given: start_of(covariance_type, 4, rows)[given]}
    options = {"covariance_type": covariance_type, "random_state": 0, "max_iter": 5, "tol": 0.0}
    close(*both(rows, 4, **options, **start))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_methods(rows, covariance_type):
    ours, theirs = both(rows, 4, covariance_type=covariance_type, random_state=0)
    for name in ("predict", "predict_proba", "score_samples"):
        actual, expected = getattr(ours, name)(rows), getattr(theirs, name)(rows)
        np.testing.assert_allclose(actual, expected, rtol=1e-8, atol=1e-12)
    for name in ("score", "aic", "bic"):
        assert getattr(ours, name)(rows) == pytest.approx(getattr(theirs, name)(rows), rel=1e-10)
    for actual, expected in zip(ours.sample(30), theirs.sample(30), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-8)
    np.testing.assert_array_equal(ours.fit_predict(rows), theirs.fit_predict(rows))


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [1, 4])
def test_warm_start(rows, covariance_type, k):
    options = {"covariance_type": covariance_type, "max_iter": 2, "tol": 1e-3, "random_state": 0}
    ours = GaussianMixture(k, warm_start=True, **options)
    theirs = sklearn.mixture.GaussianMixture(k, warm_start=True, **options)
    for _ in range(4):
        close(ours.fit(rows), theirs.fit(rows))


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [1, 4])
def test_blocks(rows, covariance_type, k, tmp_path):
    options = {"covariance_type": covariance_type, "random_state": 0, "max_iter": 6, "tol": 0.0}
    theirs = sklearn.mixture.GaussianMixture(k, **options).fit(rows)
    np.save(tmp_path / "X.npy", rows)
    ours = GaussianMixture(k, **options)
    for X in (
        blocks.source(lambda: [rows[:7], rows[7:]], chunk_size=100),
        blocks.source(tmp_path / "X.npy", chunk_size=64),
        np.load(tmp_path / "X.npy", mmap_mode="r"),
        np.asfortranarray(rows),
    ):
        close(ours.fit(X), theirs)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(rows))
        assert ours.score(X) == pytest.approx(theirs.score(rows), rel=1e-10)
        assert ours.bic(X) == pytest.approx(theirs.bic(rows), rel=1e-10)
    close(ours.set_params(chunk_size=37).fit(rows), theirs)
    np.testing.assert_allclose(ours.score_samples(rows), theirs.score_samples(rows), rtol=1e-8)


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_a_source_starts_like_its_rows_in_memory(rows, init_params):
    options = {"init_params": init_params, "random_state": 5, "max_iter": 3, "tol": 0.0}
    weight = np.random.default_rng(0).uniform(0.5, 2, len(rows))
    source = blocks.source(lambda: [rows], chunk_size=100)
    for sample_weight in (None, weight):
        one, other = (
            GaussianMixture(3, **options).fit(X, sample_weight=sample_weight)
            for X in (rows, source)
        )
        close(one, other, rtol=1e-7)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [1, 3])
def test_weights_repeat_rows(rows, covariance_type, k):
    weight = np.random.default_rng(2).integers(0, 4, len(rows))
    repeated = np.repeat(rows, weight, axis=0)
    options = {"covariance_type": covariance_type, "max_iter": 8, "tol": 0.0}
    start = start_of(covariance_type, k, rows)
    theirs = sklearn.mixture.GaussianMixture(k, **options, **start).fit(repeated)
    ours = GaussianMixture(k, **options, **start).fit(rows, sample_weight=weight)
    close(ours, theirs)
    assert ours.score(rows, sample_weight=weight) == pytest.approx(theirs.score(repeated))


def test_attributes_changed_by_hand_are_used(rows):
    ours, theirs = both(rows.astype(np.float32), 2, random_state=0)
    for model in (ours, theirs):
        model.means_ = np.zeros_like(model.means_)
        model.precisions_cholesky_ = 2 * np.tile(np.eye(5, dtype=np.float32), (2, 1, 1))
    np.testing.assert_allclose(ours.score_samples(rows), theirs.score_samples(rows), rtol=1e-5)


def test_not_converged(rows):
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        GaussianMixture(3, max_iter=1, random_state=0).fit(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = GaussianMixture(3, max_iter=0, random_state=0).fit(rows)
    assert (model.n_iter_, model.lower_bound_, model.lower_bounds_) == (0, -np.inf, [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights_init": [0.5, 0.6]}, "should be normalized, but got sum(weights) = 1.10000"),
        ({"weights_init": [1.5, -0.5]}, "[0, 1], but got max value 1.50000, min value -0.50000"),
        ({"weights_init": [1.0]}, "'weights' should have the shape of (2,), but got (1,)"),
        ({"means_init": np.zeros((2, 3))}, "'means' should have the shape of (2, 5)"),
        ({"means_init": np.full((2, 5), np.nan)}, "means_init contains NaN"),
        ({"precisions_init": np.eye(5)}, "'full precision' should have the shape of (2, 5, 5)"),
        (
            {"precisions_init": np.tile(np.diag([1.0, 1, 1, 1, -1]), (2, 1, 1))},
            "'full precision' should be symmetric, positive-definite",
        ),
        (
            {"precisions_init": np.tile(np.eye(5) + np.triu(np.ones((5, 5)), 1), (2, 1, 1))},
            "'full precision' should be symmetric, positive-definite",
        ),
        (
            {"precisions_init": np.zeros((2, 5)), "covariance_type": "diag"},
            "'diag precision' should be positive",
        ),
        ({"n_components": 700}, "n_components = 700, n_samples = 611"),
        ({"device": "gpu"}, "device='gpu' is not available: it is neither 'cpu' nor 'cuda'"),
    ],
)
def test_bad_arguments(rows, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        GaussianMixture(**{"n_components": 2, **options}).fit(rows)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(611), "zero"),
        (np.linspace(-1, 1, 611), "sample_weight of row 0 is -1.0; weights must be >= 0"),
        (np.ones(3), "sample_weight.shape == "),
        (np.full(611, np.inf), "sample_weight of row 0 is inf; weights must be >= 0 and finite"),
    ],
)
def test_bad_weights(rows, weight, message):
    with pytest.raises(ValueError, match=message):
        GaussianMixture(2).fit(rows, sample_weight=weight)


def test_bad_rows(rows):
    with pytest.raises(ValueError, match="n_samples = 1; pass more rows"):
        GaussianMixture().fit(rows[:1])
    with pytest.raises(TypeError, match=r"pass X\.toarray\(\)"):
        GaussianMixture().fit(sp.csr_array(rows))
    with pytest.raises(ValueError, match="overflow"):
        GaussianMixture().fit(rows * 1e200)
    model = GaussianMixture(2, warm_start=True).fit(rows)
    with pytest.raises(ValueError, match=r"warm_start=True goes on with means \(2, 5\)"):
        model.set_params(n_components=3).fit(rows)
