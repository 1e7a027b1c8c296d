"""Mixtures of finite rows are finite: rows, columns and weights at the ends of their range."""

import json
import re
import warnings

import numpy as np
import pytest
import sklearn.mixture
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.blocks import source
from unsup_fast.mixture import GaussianMixture

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

TYPES = ("full", "tied", "diag", "spherical")
PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return np.concatenate([rng.normal(size=(60, 3)), rng.normal([5, -4, 3], size=(40, 3))])


def stream(X):
    return source(lambda: [X], chunk_size=23)


def check_finite(model, X):
    for name in (*PARAMETERS, "lower_bound_", "lower_bounds_"):
        assert np.isfinite(getattr(model, name)).all(), name
    diagonal = model.precisions_cholesky_
    if model.covariance_type in ("full", "tied"):
        diagonal = np.diagonal(diagonal, axis1=-2, axis2=-1)
    assert (diagonal > 0).all()
    assert np.isfinite([model.score(X), model.bic(X), model.aic(X)]).all()
    assert np.isfinite(model.sample(3)[0]).all()


@pytest.mark.parametrize("container", [np.asarray, stream])
@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("scale", [1e20, 1e37, 1e-25])
def test_float32_whose_squares_do_not_fit(rows, covariance_type, scale, container):
    """The truth is scikit-learn's mixture of the same rows in float64."""
    X = (rows * scale).astype(np.float32)
    options = {
        "covariance_type": covariance_type,
        "means_init": X[[0, -1]].astype(np.float64),
        "weights_init": [0.5, 0.5],
        "precisions_init": {
            "full": np.tile(np.eye(3), (2, 1, 1)),
            "tied": np.eye(3),
            "diag": np.ones((2, 3)),
            "spherical": np.ones(2),
        }[covariance_type]
        / scale**2,
        "reg_covar": 0.0,
        "max_iter": 5,
        "tol": 0.0,
    }
    theirs = sklearn.mixture.GaussianMixture(2, **options).fit(X.astype(np.float64))
    ours = GaussianMixture(2, **options).fit(container(X))
    assert ours.covariances_.dtype == np.float64
    for name in PARAMETERS:
        expected = getattr(theirs, name)
        np.testing.assert_allclose(
            getattr(ours, name), expected, rtol=1e-8, atol=1e-8 * np.abs(expected).max()
        )
    assert ours.lower_bound_ == pytest.approx(theirs.lower_bound_, rel=1e-8)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X.astype(np.float64)))
    assert ours.predict_proba(X).dtype == np.float32
    check_finite(ours, X)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_columns_of_wildly_different_scale(rows, covariance_type):
    scales = np.array([1e20, 1.0, 1e-20])
    X = (rows * scales).astype(np.float32)
    model = GaussianMixture(covariance_type=covariance_type, reg_covar=0.0).fit(X)
    wide = X.astype(np.float64)
    covariance = np.cov(wide.T, ddof=0)
    expected = {
        "full": covariance[None],
        "tied": covariance,
        "diag": covariance.diagonal()[None],
        "spherical": covariance.diagonal().mean()[None],
    }[covariance_type]
    unit = np.multiply.outer(scales, scales)
    unit = {"diag": unit.diagonal()[None], "spherical": unit.max()[None]}.get(covariance_type, unit)
    np.testing.assert_allclose(model.covariances_ / unit, expected / unit, rtol=1e-10, atol=1e-10)
    check_finite(model, X)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    dtype=st.sampled_from([np.float32, np.float64]),
    kind=st.sampled_from(TYPES),
    init=st.sampled_from(["kmeans", "k-means++", "random", "random_from_data"]),
    reg_covar=st.sampled_from([0.0, 1e-300, 1e-6, 1e20, 1e290]),
    k=st.integers(1, 3),
    part=st.sampled_from(["all", "column", "row", "columns"]),
    power=st.floats(-1, 1),
)
def test_finite_rows_give_a_finite_model_or_an_error(
    seed, dtype, kind, init, reg_covar, k, part, power, tmp_path_factory
):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(12, 3)) + 3 * rng.integers(0, 2, (12, 1))
    limits = np.finfo(dtype)
    scale = 2.0 ** (power * (limits.maxexp - 4 if power > 0 else 0.98 * limits.maxexp))
    where = {"all": ..., "column": (..., 0), "row": 0, "columns": (..., 0)}[part]
    X[where] *= scale
    if part == "columns":
        X[:, 1] /= scale
    with np.errstate(over="ignore", under="ignore"):
        X = np.clip(X, -limits.max / 4, limits.max / 4).astype(dtype)
    model = GaussianMixture(
        k, covariance_type=kind, init_params=init, reg_covar=reg_covar, max_iter=4, random_state=0
    )
    refused = None
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=RuntimeWarning)
        try:
            model.fit(X)
        except ValueError as error:
            refused = str(error)
        else:
            check_finite(model, X)
    if refused is not None:
        assert re.search("overflow.*divide X by its largest magnitude", refused)
        assert dtype == np.float64
        assert np.abs(X).max() > 1e145
        return
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    model.save(path)
    again = GaussianMixture.load(path)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(again.covariances_, model.covariances_)


@pytest.mark.parametrize("value", [1e155, 1e200, 1e300])
@pytest.mark.parametrize("container", [np.asarray, stream])
@pytest.mark.parametrize("k", [1, 2])
def test_squares_that_overflow_float64_are_an_error(rows, value, container, k):
    X = rows.copy()
    X[3] = value
    with pytest.raises(ValueError, match="squares of X overflow float64; divide X by its largest"):
        GaussianMixture(k, random_state=0).fit(container(X))


def test_float32_row_far_from_the_mixture(rows):
    """The log density of 1e25 does not fit in float32; its label and the score of all rows do."""
    model = GaussianMixture(2, random_state=0).fit(rows.astype(np.float32))
    X = np.array([[1e25, 0, 0], [0, 0, 0]], np.float32)
    wide = X.astype(np.float64)
    np.testing.assert_array_equal(model.predict(X), model.predict(wide))
    np.testing.assert_allclose(model.predict_proba(X), model.predict_proba(wide), rtol=1e-6)
    assert model.score(X) == model.score(wide)
    assert np.isfinite(model.bic(X))


@pytest.mark.parametrize("power", [-140, 140])
def test_only_ratios_of_weights_matter(rows, power):
    weight = np.random.default_rng(1).integers(1, 5, len(rows)).astype(float)
    one, other = (
        GaussianMixture(2, random_state=0).fit(rows, sample_weight=weight * factor)
        for factor in (1.0, 2.0 ** (3 * power))
    )
    np.testing.assert_allclose(other.means_, one.means_, rtol=1e-10)
    assert other.lower_bound_ == pytest.approx(one.lower_bound_, rel=1e-10)


@pytest.mark.parametrize("name", ["reg_covar", "tol"])
@pytest.mark.parametrize("value", [np.inf, np.nan, -1.0])
def test_parameters_that_are_not_finite(rows, name, value):
    with pytest.raises(ValueError, match=f"The '{name}' parameter of GaussianMixture must be"):
        GaussianMixture(2, **{name: value}).fit(rows)


def test_a_model_without_iterations_can_be_saved(rows, tmp_path):
    model = GaussianMixture(2, max_iter=0, random_state=0).fit(rows)
    assert model.lower_bound_ == -np.inf
    path = tmp_path / "m.safetensors"
    model.save(path)
    content = path.read_bytes()
    head = content[8 : 8 + int.from_bytes(content[:8], "little")]

    def refuse(name):
        raise AssertionError(name)

    json.loads(json.loads(head)["__metadata__"]["unsup_fast"], parse_constant=refuse)
    assert GaussianMixture.load(path).lower_bound_ == -np.inf
