"""Model files of PCA; what all model files have in common is in test_kmeans_save."""

import numpy as np
import pandas as pd
import pytest

from unsup_fast.cluster import KMeans
from unsup_fast.decomposition import PCA, IncrementalPCA
from unsup_fast.storage import tensors


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("offset", [0, 1e4])
@pytest.mark.parametrize(
    "model",
    [PCA(2, whiten=True), PCA(0.9, svd_solver="full"), PCA("mle"), PCA(0), IncrementalPCA(2)],
    ids=str,
)
def test_round_trip(blobs, path, dtype, offset, model):
    X = (blobs + offset).astype(dtype)
    model.fit(X)
    model.save(path)
    loaded = type(model).load(str(path))
    assert loaded.get_params() == model.get_params()
    for name in (*type(model)._layout.arrays, *type(model)._layout.state):
        if name in type(model)._layout.optional and not hasattr(model, name):
            assert not hasattr(loaded, name)
            continue
        one, other = getattr(model, name), getattr(loaded, name)
        np.testing.assert_array_equal(one, other)
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    assert loaded.score(X) == model.score(X)
    assert loaded.get_feature_names_out().tolist() == model.get_feature_names_out().tolist()


def test_a_loaded_model_goes_on(blobs, path):
    model = IncrementalPCA(2).partial_fit(blobs[:100])
    model.save(path)
    loaded = IncrementalPCA.load(path)
    for one in (model, loaded):
        one.partial_fit(blobs[100:])
    np.testing.assert_array_equal(model.components_, loaded.components_)
    assert loaded.n_samples_seen_ == len(blobs)


def test_feature_names(blobs, path):
    frame = pd.DataFrame(blobs, columns=["a", "b", "c", "ü"])
    PCA(2).fit(frame).save(path)
    loaded = PCA.load(path).set_output(transform="pandas")
    assert loaded.feature_names_in_.tolist() == ["a", "b", "c", "ü"]
    assert loaded.transform(frame).columns.tolist() == ["pca0", "pca1"]


def test_the_class_is_checked(blobs, path):
    PCA(2).fit(blobs).save(path)
    with pytest.raises(ValueError, match="it holds a PCA, not a IncrementalPCA"):
        IncrementalPCA.load(path)
    with pytest.raises(ValueError, match="it holds a PCA, not a KMeans"):
        KMeans.load(path)
    with pytest.raises(ValueError, match="not fitted yet"):
        PCA().save(path)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t, h: h["state"].pop("n_samples_"), "its state has n_samples_=None"),
        (lambda t, h: h["state"].update(n_components_=3), r"components_ is float64\(2, 4\)"),
        (lambda t, h: h["state"].update(feature_names_in_=["a"]), "it names 1 features, not 4"),
        (lambda t, h: h["parameters"].update(n_components=-1), "its parameters are not valid"),
        (lambda t, h: t.pop("mean_"), "it holds the arrays"),
        (lambda t, h: t["mean_"].__setitem__(0, np.nan), "values that are not finite"),
    ],
)
def test_files_that_contradict_themselves(blobs, path, change, match):
    PCA(2).fit(blobs).save(path)
    arrays, note = tensors.read(path, kind="estimator")
    change(arrays, note)
    tensors.write(path, arrays, note, kind="estimator", what="the model")
    with pytest.raises(ValueError, match=match):
        PCA.load(path)
