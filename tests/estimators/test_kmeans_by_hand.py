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
