"""Estimators accept frames with a column of lists, as embeddings have, and refuse paths."""

from pathlib import Path

import numpy as np
import pytest

from unsup_fast.cluster import KMeans, MiniBatchKMeans
from unsup_fast.decomposition import PCA, IncrementalPCA
from unsup_fast.mixture import GaussianMixture

pd = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

MODELS = {
    "KMeans": KMeans(3, random_state=0),
    "MiniBatchKMeans": MiniBatchKMeans(3, random_state=0),
    "PCA": PCA(2),
    "IncrementalPCA": IncrementalPCA(2),
    "GaussianMixture": GaussianMixture(2, random_state=0),
}


def frames(X):
    pa = pytest.importorskip("pyarrow")
    lists = [row.tolist() for row in X]
    arrow = pd.ArrowDtype(pa.list_(pa.float64()))
    yield pd.DataFrame({"id": ["x"] * len(X), "v": lists})
    yield pd.DataFrame({"v": list(X)}, index=range(len(X), 0, -1))
    yield pd.DataFrame({"v": pd.Series(lists, dtype=arrow)})
    try:
        import polars as pl
    except ImportError:
        return
    yield pl.DataFrame({"id": ["x"] * len(X), "v": lists})
    yield pl.DataFrame({"v": X})


@pytest.mark.parametrize("name", MODELS)
def test_a_column_of_lists(name):
    X = np.random.default_rng(0).normal(size=(60, 4))
    model = MODELS[name]
    method = "predict" if hasattr(model, "predict") else "transform"
    expected = getattr(model.fit(X), method)(X)
    for frame in frames(X):
        np.testing.assert_allclose(getattr(model.fit(frame), method)(frame), expected)
        np.testing.assert_allclose(model.score(frame), model.score(X))
        assert model.n_features_in_ == 4
        if hasattr(model, "partial_fit"):
            assert model.partial_fit(frame).n_features_in_ == 4


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("path", ["rows.parquet", Path("rows.parquet")])
def test_a_path_is_not_rows(name, path):
    with pytest.raises(TypeError, match=r'as in fit\(blocks\.source\("rows\.parquet"\)\)'):
        MODELS[name].fit(path)


@pytest.mark.parametrize("name", MODELS)
def test_a_list_of_paths_is_not_rows(name):
    with pytest.raises(TypeError, match=r"as in fit\(blocks\.source\(\[\.\.\.\]\)\)"):
        MODELS[name].fit(["a.parquet", Path("b.parquet")])


def test_other_frames_are_read_as_before():
    frame = pd.DataFrame({"a": [1.0, 2, 3], "b": [4.0, 5, 7]})
    assert list(PCA(1).fit(frame).feature_names_in_) == ["a", "b"]
    with pytest.raises(ValueError, match="could not convert string to float"):
        PCA(1).fit(frame.assign(t="x"))
