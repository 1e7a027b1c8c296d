"""Gaussian mixtures over processes of this machine, against fits of the same blocks in one."""

import numpy as np
import pytest

from unsup_fast import blocks
from unsup_fast.mixture import GaussianMixture

from .engines import InProcess, Killer, losses

N, D, K, CHUNK = 1_680, 4, 3, 25  # 68 blocks, the last one smaller
RESULTS = (
    "weights_",
    "means_",
    "covariances_",
    "precisions_cholesky_",
    "lower_bounds_",
    "n_iter_",
    "converged_",
)
ENGINES = ((1, 1), (2, 5), (3, 64))
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def grouped(offset=0.0, dtype=np.float32):
    rng = np.random.default_rng(3)
    means = 4 * rng.normal(size=(K, D))
    return (means[rng.integers(0, K, N)] + rng.normal(size=(N, D)) + offset).astype(dtype)


def model(**options):
    return GaussianMixture(K, **{"random_state": 0, "max_iter": 4, "tol": 0, **options})


def same(one, other):
    for name in RESULTS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def source(X):
    """Return rows that do not come from an array, so that one machine reads them in blocks."""
    return blocks.source(lambda: iter([X[:700], X[700:]]), chunk_size=CHUNK)


FITS = {
    "full": {},
    "tied": {"covariance_type": "tied"},
    "diag": {"covariance_type": "diag", "init_params": "k-means++", "n_init": 2},
    "spherical": {"covariance_type": "spherical", "init_params": "random_from_data"},
    "standardize": {"standardize": True},
    "one component": {"n_components": 1},
    "start": {
        "weights_init": np.full(K, 1 / K),
        "means_init": grouped()[:K],
        "precisions_init": np.ones((K, D)),
        "covariance_type": "diag",
        "init_params": "random",  # not drawn
    },
}


@pytest.mark.parametrize("name", FITS)
def test_fits_of_any_fleet_have_the_same_bits(name):
    options = dict(FITS[name])
    X = source(grouped(100.0))
    one = model().set_params(**options).fit(X)
    for n_holders, n_parts in ENGINES:
        same(one, model().set_params(**options).fit(X, engine=InProcess(n_holders, n_parts)))


@pytest.mark.parametrize("init", ["kmeans", "random_from_data"])
def test_weights(init):
    X, rng = source(grouped()), np.random.default_rng(1)
    weight = rng.integers(0, 3, N) * rng.random(N)
    one = model(init_params=init).fit(X, sample_weight=weight)
    for n_holders, n_parts in ENGINES:
        engine = InProcess(n_holders, n_parts)
        same(one, model(init_params=init).fit(X, sample_weight=weight, engine=engine))


def test_arrays_and_float64():
    X = blocks.source(grouped(dtype=np.float64), chunk_size=CHUNK)
    one = model(init_params="random_from_data").fit(X)
    same(one, model(init_params="random_from_data").fit(X, engine=InProcess(2, 3)))


def test_rows_that_are_computed_with_in_float64():
    """Squares that float32 does not hold, known beforehand and seen in a pass."""
    X = grouped() * np.float32(1e18)
    same(model().fit(source(X)), model().fit(source(X), engine=InProcess(2, 5)))
    X = grouped()
    far = {
        "means_init": np.full((K, D), 1e25) * np.arange(1, K + 1)[:, None],
        "precisions_init": np.ones((K, D)),
        "weights_init": np.full(K, 1 / K),
        "covariance_type": "diag",
    }
    one, other = model(**far).fit(source(X)), model(**far).fit(source(X), engine=InProcess(2, 5))
    same(one, other)


def test_empty_clusters_take_the_same_rows():
    """Five values for eight components: k-means has empty clusters in each iteration."""
    X = np.repeat(grouped()[:5], 60, axis=0)
    options = {"n_components": 8, "reg_covar": 1e-2, "max_iter": 2}
    one = model().set_params(**options).fit(source_of(X))
    same(one, model().set_params(**options).fit(source_of(X), engine=InProcess(3, 7)))


def source_of(X):
    return blocks.source(lambda: iter([X]), chunk_size=7)


def test_sums_are_those_of_float64():
    """One iteration against the formulas of the M-step, all in float64 on all rows at once."""
    X = grouped(dtype=np.float64)
    start = model(max_iter=0, init_params="random_from_data").fit(source(X))
    resp = start.predict_proba(X)
    share = resp.sum(axis=0)
    means = (resp.T @ X) / share[:, None]
    engine = InProcess(2, 5)
    after = model(max_iter=1, init_params="random_from_data").fit(source(X), engine=engine)
    np.testing.assert_allclose(after.means_, means, rtol=1e-9)
    np.testing.assert_allclose(after.weights_, share / N, rtol=1e-9)
    for k in range(K):
        centered = X - means[k]
        covariance = (resp[:, k, None] * centered).T @ centered / share[k] + 1e-6 * np.eye(D)
        np.testing.assert_allclose(after.covariances_[k], covariance, rtol=1e-7, atol=1e-9)


def test_what_an_engine_refuses():
    engine = InProcess(1, 1)
    with pytest.raises(ValueError, match="init_params='random' draws"):
        model(init_params="random").fit(grouped(), engine=engine)
    with pytest.raises(ValueError, match=r"chunk_size=100 is not available.*blocks\.source"):
        model(chunk_size=100).fit(grouped(), engine=engine)
    with pytest.raises(ValueError, match="n_samples >= n_components"):
        model().fit(grouped()[:2], engine=engine)


LOST = (
    "moments",
    "derive",
    "totals",
    "take",
    "begin_distances",
    "shorten_distances",
    "compare_distances",
    "locate_distances",
    "sums",
)


@pytest.mark.parametrize("verb", LOST)
def test_a_lost_holder(verb):
    X, weight = source(grouped()), np.random.default_rng(1).random(N)
    one = model().fit(X, sample_weight=weight)
    engine = InProcess(2, 5, lose=verb)
    with pytest.warns(RuntimeWarning) as caught:
        other = model().fit(X, sample_weight=weight, engine=engine)
    assert losses(caught) == 1
    same(one, other)


def test_processes_of_which_one_is_killed(engine):
    X = blocks.source(grouped(), chunk_size=CHUNK)
    one = model(init_params="random_from_data").fit(X)
    with pytest.warns(RuntimeWarning) as caught:
        other = model(init_params="random_from_data").fit(X, engine=Killer(engine, "sums", 5))
    assert losses(caught) == 1
    same(one, other)
