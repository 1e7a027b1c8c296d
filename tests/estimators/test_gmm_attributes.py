"""Mixtures whose attributes are set by hand, against scikit-learn's with the same attributes."""

import re

import numpy as np
import pytest
import sklearn.mixture
from scipy.stats import multivariate_normal
from sklearn.exceptions import NotFittedError
from sklearn.mixture._gaussian_mixture import _compute_precision_cholesky

import unsup_fast.mixture as ours
from unsup_fast.blocks import source
from unsup_fast.mixture import GaussianMixture

TYPES = ("full", "tied", "diag", "spherical")
K, D = 3, 2
MATRIX = np.array([[2.0, 0.6], [0.6, 1.0]])
COVARIANCES = {
    "full": np.array([MATRIX, np.eye(2), MATRIX[::-1, ::-1]]),
    "tied": MATRIX,
    "diag": np.array([[2.0, 1.0], [0.5, 3.0], [1.0, 1.0]]),
    "spherical": np.array([0.5, 2.0, 1.0]),
}


def by_hand(module, covariance_type, **changes):
    """Return a mixture without a fit; a change to None leaves an attribute out."""
    covariances = COVARIANCES[covariance_type]
    factors = _compute_precision_cholesky(covariances, covariance_type)
    precisions = factors**2
    if covariance_type in ("full", "tied"):
        precisions = np.linalg.inv(covariances)
    values = {
        "weights_": np.array([0.2, 0.3, 0.5]),
        "means_": np.array([[0.0, 0.0], [5.0, 5.0], [-4.0, 1.0]]),
        "covariances_": covariances,
        "precisions_": precisions,
        "precisions_cholesky_": factors,
    }
    model = module.GaussianMixture(K, covariance_type=covariance_type, random_state=0)
    for name, value in (values | changes).items():
        if value is not None:
            setattr(model, name, value)
    return model


@pytest.fixture
def rows():
    return np.random.default_rng(0).normal(scale=4, size=(50, D))


def check_same(model, covariance_type, rows):
    theirs = by_hand(sklearn.mixture, covariance_type)
    np.testing.assert_array_equal(model.predict(rows), theirs.predict(rows))
    for method in ("predict_proba", "score_samples", "score", "bic", "aic"):
        expected = getattr(theirs, method)(rows)
        np.testing.assert_allclose(getattr(model, method)(rows), expected, rtol=1e-9, atol=1e-12)
    drawn, labels = model.sample(20)
    expected, expected_labels = theirs.sample(20)
    np.testing.assert_allclose(drawn, expected, rtol=1e-9)
    np.testing.assert_array_equal(labels, expected_labels)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize(
    "left_out",
    [
        (),
        ("precisions_", "covariances_"),
        ("precisions_cholesky_", "covariances_"),
        ("precisions_cholesky_", "precisions_"),
    ],
)
def test_as_scikit_learn(covariance_type, left_out, rows):
    model = by_hand(ours, covariance_type)
    for name in left_out:
        delattr(model, name)
    check_same(model, covariance_type, rows)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_any_square_root_of_the_precisions(kind, rows):
    """NumPy's Cholesky factor is lower triangular; scikit-learn takes it as it is too."""
    lower = np.linalg.cholesky(np.linalg.inv(COVARIANCES[kind]))
    check_same(by_hand(sklearn.mixture, kind, precisions_cholesky_=lower), kind, rows)
    model = by_hand(ours, kind, precisions_cholesky_=lower)
    check_same(model, kind, rows)
    if kind == "full":
        densities = [
            weight * multivariate_normal(mean, covariance).pdf(rows)
            for weight, mean, covariance in zip(
                model.weights_, model.means_, model.covariances_, strict=True
            )
        ]
        np.testing.assert_allclose(model.score_samples(rows), np.log(np.sum(densities, axis=0)))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_other_containers(covariance_type, rows, tmp_path):
    torch = pytest.importorskip("torch")
    plain = by_hand(ours, covariance_type)
    names = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")
    for change in (np.ndarray.tolist, torch.tensor, lambda v: np.asfortranarray(v)):
        model = GaussianMixture(K, covariance_type=covariance_type, random_state=0)
        for name in names:
            setattr(model, name, change(getattr(plain, name)))
        for X in (rows, source(lambda: [rows])):
            np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(rows))
        model.save(tmp_path / "m.safetensors")
        loaded = GaussianMixture.load(tmp_path / "m.safetensors")
        np.testing.assert_array_equal(loaded.score_samples(rows), plain.score_samples(rows))
        assert not hasattr(loaded, "converged_")
        assert loaded.n_features_in_ == D


def test_float32_attributes(rows, tmp_path):
    plain = by_hand(ours, "full")
    model = GaussianMixture(K, random_state=0)
    model.weights_ = np.array([0.3, 0.7, 0.0], np.float32)  # 0.3 + 0.7 is above one in float64
    model.means_ = plain.means_.astype(np.float32)
    model.precisions_ = plain.precisions_.astype(np.float32)
    assert np.isfinite(model.sample(5)[0]).all()
    model.save(tmp_path / "m.safetensors")
    loaded = GaussianMixture.load(tmp_path / "m.safetensors")
    assert loaded.means_.dtype == loaded.covariances_.dtype == np.float32
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))


def test_whole_numbers_near_those_of_a_fit_are_not_taken_for_them(rows):
    model = GaussianMixture(2, random_state=0).fit(rows)
    model.means_ = model.means_.astype(int)
    expected = sklearn.mixture.GaussianMixture(2)
    expected.weights_, expected.means_ = model.weights_, model.means_.astype(float)
    expected.covariances_ = model.covariances_
    expected.precisions_cholesky_ = model.precisions_cholesky_
    np.testing.assert_allclose(model.score_samples(rows), expected.score_samples(rows), rtol=1e-9)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"means_": None}, NotFittedError, "means_ of this GaussianMixture is not set; call fit"),
        ({"weights_": None}, NotFittedError, "weights_ of this GaussianMixture is not set"),
        (
            {"precisions_cholesky_": None, "precisions_": None, "covariances_": None},
            NotFittedError,
            "precisions_cholesky_ of this GaussianMixture is not set",
        ),
        ({"means_": np.zeros(2)}, ValueError, "means_ has shape (2,); set it to an array of shape"),
        ({"weights_": np.ones(2) / 2}, ValueError, "weights_ has shape (2,); with means_ of shape"),
        ({"weights_": np.array([1.0, 1, -1])}, ValueError, "weights_ must be >= 0"),
        ({"means_": np.full((3, 2), np.nan)}, ValueError, "means_ holds values that are not"),
        ({"means_": np.ones((3, 2)) * 1j}, ValueError, "means_ holds complex128; set it to"),
        (
            {"precisions_cholesky_": np.eye(2)},
            ValueError,
            "precisions_cholesky_ has shape (2, 2); with means_ of shape (3, 2) and "
            "covariance_type='full' it must have shape (3, 2, 2)",
        ),
        (
            {"precisions_cholesky_": -np.tile(np.eye(2), (3, 1, 1))},
            ValueError,
            "precisions_cholesky_ must be positive definite",
        ),
        (
            {"precisions_cholesky_": None, "precisions_": np.zeros((3, 2, 2))},
            ValueError,
            "precisions_ must be positive definite",
        ),
        (
            {
                "precisions_cholesky_": None,
                "precisions_": None,
                "covariances_": -COVARIANCES["full"],
            },
            ValueError,
            "covariances_ must be positive definite",
        ),
        ({"covariances_": np.eye(2)}, ValueError, "covariances_ has shape (2, 2); with means_"),
        (
            {"means_": np.ma.masked_equal([[1.0, 0], [2, 2], [3, 3]], 0)},
            ValueError,
            "means_ is masked, that is missing, in row 0, column 1",
        ),
    ],
)
def test_what_cannot_be_used(changes, error, message, rows):
    model = by_hand(ours, "full", **changes)
    for call in (lambda: model.predict(rows), lambda: model.sample(3)):
        with pytest.raises(error, match=re.escape(message)):
            call()


def test_rows_of_other_width(rows):
    model = by_hand(ours, "diag")
    for X in (np.ones((4, 3)), source(lambda: [np.ones((4, 3))])):
        with pytest.raises(
            ValueError, match="X has 3 features, but GaussianMixture is expecting 2"
        ):
            model.predict(X)


def test_save_needs_as_many_means_as_components(rows, tmp_path):
    model = by_hand(ours, "diag").set_params(n_components=1)
    check_same(model, "diag", rows)
    with pytest.raises(ValueError, match=r"means_ has 3 rows, but n_components=1; .* before save"):
        model.save(tmp_path / "m.safetensors")
