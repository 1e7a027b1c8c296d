"""k-means whose centroids are set by hand, without a fit."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from unsup_fast.blocks import source
from unsup_fast.cluster import KMeans, MiniBatchKMeans

ROWS = np.random.default_rng(0).normal(size=(50, 3)) + 100
CENTERS = ROWS[[3, 30, 7, 21]]


@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
@pytest.mark.parametrize("container", [np.asarray, list, np.float32, np.asfortranarray])
@pytest.mark.parametrize("wrap", [np.asarray, lambda X: source(lambda: [X], chunk_size=9)])
def test_predict_transform_and_score(estimator, container, wrap):
    model = estimator(4)
    model.cluster_centers_ = container(CENTERS)
    distances = cdist(ROWS, np.asarray(model.cluster_centers_, dtype=np.float64))
    np.testing.assert_array_equal(model.predict(wrap(ROWS)), distances.argmin(axis=1))
    np.testing.assert_allclose(model.transform(wrap(ROWS)), distances, atol=1e-9)
    assert model.score(wrap(ROWS)) == pytest.approx(-(distances.min(axis=1) ** 2).sum())


def test_cosine():
    model = KMeans(4, metric="cosine")
    model.cluster_centers_ = CENTERS / np.linalg.norm(CENTERS, axis=1)[:, None]
    expected = cdist(ROWS, CENTERS, "cosine")
    np.testing.assert_allclose(model.transform(ROWS), expected, atol=1e-12)


@pytest.mark.parametrize("container", [np.asarray, list, np.float32])
def test_partial_fit_starts_from_them(container, tmp_path):
    model = MiniBatchKMeans(4, random_state=0)
    model.cluster_centers_ = container(CENTERS)
    expected = MiniBatchKMeans(4, init=container(CENTERS), n_init=1, random_state=0)
    for rows in (ROWS[:25], ROWS[25:]):
        model.partial_fit(rows)
        expected.partial_fit(rows)
    np.testing.assert_allclose(model.cluster_centers_, expected.cluster_centers_, rtol=1e-6)
    np.testing.assert_array_equal(model._counts, expected._counts)
    model.save(tmp_path / "m.safetensors")
    loaded = MiniBatchKMeans.load(tmp_path / "m.safetensors").partial_fit(ROWS)
    np.testing.assert_array_equal(loaded.cluster_centers_, model.partial_fit(ROWS).cluster_centers_)


def test_partial_fit_after_a_fit_with_other_centroids():
    model = MiniBatchKMeans(3, random_state=0).fit(ROWS)
    model.cluster_centers_ = CENTERS
    with pytest.raises(ValueError, match=r"has 4 rows, but n_clusters=3; .* before partial_fit"):
        model.partial_fit(ROWS)
    model.set_params(n_clusters=4).partial_fit(ROWS)
    assert model._counts.sum() == len(ROWS)
    model.cluster_centers_ = model.cluster_centers_.tolist()
    assert model.partial_fit(ROWS)._counts.sum() == 2 * len(ROWS)


@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans])
def test_standardized(estimator, tmp_path):
    scale = np.array([1.0, 10.0, 0.1])
    model = estimator(4, standardize=True)
    model.cluster_centers_, model.scale_ = CENTERS, scale.tolist()
    distances = cdist(ROWS / scale, CENTERS / scale)
    np.testing.assert_allclose(model.transform(ROWS), distances, atol=1e-9)
    if estimator is MiniBatchKMeans:
        model.partial_fit(ROWS)
    model.save(tmp_path / "m.safetensors")
    loaded = estimator.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.transform(ROWS), model.transform(ROWS))
    for value in ([1.0, 0.0, 1.0], [1.0, -1.0, 1.0], [1.0, np.nan, 1.0], [[1.0, 1.0, 1.0]], "abc"):
        model.scale_ = value
        with pytest.raises(ValueError, match=r"scale_ .* a vector of positive"):
            model.predict(ROWS)
    model.scale_ = scale[:2]
    with pytest.raises(ValueError, match="scale_ has 2 values, but X has 3 columns"):
        model.predict(ROWS)


def test_standardized_in_another_type(tmp_path):
    model = KMeans(4, standardize=True, random_state=0).fit(ROWS.astype(np.float32))
    model.cluster_centers_ = CENTERS
    model.save(tmp_path / "m.safetensors")
    loaded = KMeans.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.transform(ROWS), model.transform(ROWS))


def test_save(tmp_path):
    pytest.importorskip("safetensors")
    model = KMeans(4)
    model.cluster_centers_ = CENTERS.tolist()
    model.save(tmp_path / "m.safetensors")
    loaded = KMeans.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict(ROWS), model.predict(ROWS))
    assert not hasattr(loaded, "inertia_")
    assert loaded.n_features_in_ == 3


def test_save_after_a_fit_with_other_centroids(tmp_path):
    pytest.importorskip("safetensors")
    model = KMeans(3, random_state=0).fit(ROWS.astype(np.float32))
    model.cluster_centers_ = CENTERS
    with pytest.raises(ValueError, match=r"has 4 rows, but n_clusters=3; .*n_clusters=4\) before"):
        model.save(tmp_path / "m.safetensors")
    model.set_params(n_clusters=4).save(tmp_path / "m.safetensors")
    loaded = KMeans.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(loaded.predict(ROWS), model.predict(ROWS))


def test_what_cannot_be_used(tmp_path):
    model = KMeans(2)
    for centers, message in (
        (CENTERS[:, :2], "X has 3 features, but KMeans is expecting 2 features"),
        (CENTERS[0], "Expected 2D array, got 1D array"),
        (CENTERS * np.nan, "Input cluster_centers_ contains NaN"),
        (np.ma.masked_greater(CENTERS, 99), "cluster_centers_ is masked, that is missing, in row"),
    ):
        model.cluster_centers_ = centers
        for X in (ROWS, source(lambda: [ROWS])):
            with pytest.raises(ValueError, match=message):
                model.predict(X)
    for batches in (MiniBatchKMeans(4), MiniBatchKMeans(3).fit(ROWS).set_params(n_clusters=4)):
        batches.cluster_centers_ = CENTERS
        with pytest.raises(ValueError, match="centroids set by hand, and no counts to go on with"):
            batches.save(tmp_path / "m.safetensors")
