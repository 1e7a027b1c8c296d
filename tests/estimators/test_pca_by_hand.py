"""PCA whose attributes are set by hand, against the formulas."""

import numpy as np
import pytest

from unsup_fast.blocks import source
from unsup_fast.decomposition import PCA, IncrementalPCA

ROWS = np.random.default_rng(0).normal(size=(50, 4)) @ np.diag([4.0, 2.0, 1.0, 0.5]) + 100
AXES = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0][:2]
MEAN, VARIANCES = np.array([100.0, 99.0, 98.0, 97.0]), np.array([9.0, 0.25])


def by_hand(estimator, container=np.asarray, **options):
    model = estimator(2, **options)
    model.components_, model.mean_ = container(AXES), container(MEAN)
    model.explained_variance_ = container(VARIANCES)
    return model


@pytest.mark.parametrize("estimator", [PCA, IncrementalPCA])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("container", [np.asarray, list, np.float32])
@pytest.mark.parametrize("wrap", [np.asarray, lambda X: source(lambda: [X], chunk_size=9)])
def test_transform_and_back(estimator, whiten, container, wrap):
    model = by_hand(estimator, container, whiten=whiten)
    axes, deviations = (np.asarray(container(v), np.float64) for v in (AXES, VARIANCES**0.5))
    expected = (ROWS - MEAN) @ axes.T / (deviations if whiten else 1)
    z = model.transform(wrap(ROWS))
    np.testing.assert_allclose(z, expected, rtol=1e-9, atol=1e-9)
    back = z @ (axes * (deviations[:, None] if whiten else 1)) + MEAN
    np.testing.assert_allclose(model.inverse_transform(z), back, rtol=1e-9)


@pytest.mark.parametrize("estimator", [PCA, IncrementalPCA])
def test_scores(estimator):
    model = by_hand(estimator)
    with pytest.raises(AttributeError, match=r"noise_variance_ of this .* is not set"):
        model.score_samples(ROWS)
    model.noise_variance_ = 0.01
    covariance = AXES.T @ np.diag(VARIANCES - 0.01) @ AXES + 0.01 * np.eye(4)
    np.testing.assert_allclose(model.get_covariance(), covariance)
    centred = ROWS - MEAN
    squares = (centred @ np.linalg.inv(covariance) * centred).sum(axis=1)
    expected = -0.5 * (squares + np.linalg.slogdet(2 * np.pi * covariance)[1])
    np.testing.assert_allclose(model.score_samples(ROWS), expected, rtol=1e-9)


@pytest.mark.parametrize("estimator", [PCA, IncrementalPCA])
def test_attributes_changed_after_a_fit(estimator, tmp_path):
    model = estimator(2, whiten=True).fit(ROWS)
    axes, deviations = model.components_, np.sqrt(model.explained_variance_)
    model.mean_ = MEAN
    expected = (ROWS - MEAN) @ axes.T / deviations
    np.testing.assert_allclose(model.transform(ROWS), expected, atol=1e-9)
    model.explained_variance_ = VARIANCES
    expected = (ROWS - MEAN) @ axes.T / np.sqrt(VARIANCES)
    np.testing.assert_allclose(model.transform(ROWS), expected, atol=1e-9)
    model.components_ = AXES.tolist()
    expected = (ROWS - MEAN) @ AXES.T / np.sqrt(VARIANCES)
    np.testing.assert_allclose(model.transform(ROWS), expected, atol=1e-9)
    model.save(tmp_path / "m.safetensors")
    loaded = estimator.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.transform(ROWS), model.transform(ROWS))
    fresh = estimator(2, whiten=True).fit(ROWS)
    np.testing.assert_array_equal(model.fit(ROWS).transform(ROWS), fresh.transform(ROWS))


def test_partial_fit_forgets_them():
    model = by_hand(IncrementalPCA).partial_fit(ROWS)
    expected = IncrementalPCA(2).partial_fit(ROWS)
    np.testing.assert_array_equal(model.transform(ROWS), expected.transform(ROWS))


@pytest.mark.parametrize("estimator", [PCA, IncrementalPCA])
def test_fewer_axes(estimator):
    model = estimator(3).fit(ROWS)
    expected = model.transform(ROWS)[:, :1]
    model.components_ = model.components_[:1]
    np.testing.assert_allclose(model.transform(ROWS), expected)
    with pytest.raises(ValueError, match=r"explained_variance_ has shape \(3,\); .* shape \(1,\)"):
        model.get_covariance()


@pytest.mark.parametrize("estimator", [PCA, IncrementalPCA])
def test_what_cannot_be_used(estimator, tmp_path):
    model = estimator(2)
    model.components_ = AXES
    with pytest.raises(AttributeError, match=r"mean_ of this .* is not set; call fit, or set"):
        model.transform(ROWS)
    for name, value, message in (
        ("mean_", MEAN[:3], r"mean_ has shape \(3,\); .* shape \(4,\)"),
        ("mean_", MEAN * np.nan, "mean_ holds values that are not finite"),
        ("mean_", list("abcd"), "mean_ holds <U1; set it to an array of real numbers"),
        ("components_", AXES[0], r"components_ has shape \(4,\)"),
        ("components_", AXES[:, :3], r"X has 4 features, but .* is expecting 3"),
        ("explained_variance_", -VARIANCES, "explained_variance_ holds values below zero"),
    ):
        model = by_hand(estimator, whiten=True)
        setattr(model, name, value)
        with pytest.raises(ValueError, match=message):
            model.transform(ROWS)
    with pytest.raises(ValueError, match="components_ set by hand, without a fit"):
        by_hand(estimator).save(tmp_path / "m.safetensors")
