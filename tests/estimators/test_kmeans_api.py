"""What scikit-learn's tools and a user's habits expect of the class."""

import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn import config_context
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import unsup_fast
from unsup_fast.cluster import KMeans, kmeans_plusplus


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("copy_x", [True, False])
def test_rows_are_neither_copied_nor_changed(blobs, dtype, copy_x):
    X = blobs.astype(dtype)
    X.flags.writeable = False
    seen = []

    def init(rows, n_clusters, random_state):
        seen.append(rows)
        return rows[:n_clusters]

    model = KMeans(3, init=init, n_init=1, copy_x=copy_x).fit(X)
    assert np.shares_memory(seen[0], X)
    model.predict(X)
    model.transform(X)
    kmeans_plusplus(X, 3)


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_sparse_rows_of_either_index_width(blobs, index):
    X = sp.csr_array(blobs)
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    for part in (X.data, X.indices, X.indptr):
        part.flags.writeable = False
    model = KMeans(3, random_state=0).fit(X)
    np.testing.assert_array_equal(model.labels_, KMeans(3, random_state=0).fit(blobs).labels_)
    X.indptr = X.indptr.astype(np.int64)  # two widths in one matrix
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_memory_map(blobs, tmp_path):
    np.save(tmp_path / "X.npy", blobs)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    np.testing.assert_array_equal(
        KMeans(3, random_state=0).fit(X).labels_, KMeans(3, random_state=0).fit(blobs).labels_
    )


def test_unaligned_and_strided_rows(blobs):
    raw = np.frombuffer(b"x" + blobs.tobytes(), dtype=np.uint8)[1:]
    unaligned = raw.view(np.float64).reshape(blobs.shape)
    reference = KMeans(3, random_state=0).fit(blobs)
    for X in (unaligned, np.asfortranarray(blobs), np.repeat(blobs, 2, axis=1)[:, ::2]):
        model = KMeans(3, random_state=0).fit(X)
        np.testing.assert_array_equal(model.labels_, reference.labels_)
        np.testing.assert_array_equal(model.predict(X), reference.labels_)


def test_init_is_not_changed(blobs):
    init = blobs[:3].copy()
    model = KMeans(3, init=init).fit(blobs)
    np.testing.assert_array_equal(init, blobs[:3])
    assert not np.shares_memory(model.cluster_centers_, init)
    assert model.cluster_centers_.flags.writeable


def test_assuming_finite_values_hides_no_bad_one(blobs):
    X = blobs.copy()
    X[7, 1] = np.nan
    with config_context(assume_finite=True), pytest.raises(ValueError, match="row 7, column 1"):
        KMeans(2).fit(X)


def test_names_and_pandas_output(blobs):
    frame = pd.DataFrame(blobs, columns=list("abcd"))
    model = KMeans(3, random_state=0).set_output(transform="pandas").fit(frame)
    assert model.feature_names_in_.tolist() == list("abcd")
    assert model.get_feature_names_out().tolist() == ["kmeans0", "kmeans1", "kmeans2"]
    out = model.transform(frame)
    assert out.columns.tolist() == ["kmeans0", "kmeans1", "kmeans2"]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame.rename(columns={"a": "z"}))
    with pytest.raises(ValueError, match="X has 3 features, but KMeans is expecting 4"):
        KMeans(3).fit(blobs).predict(blobs[:, :3])


def test_clone_pickle_and_repr(blobs):
    model = KMeans(3, random_state=0, n_threads=1, init=blobs[:3]).fit(blobs)
    copy = clone(model)
    assert not hasattr(copy, "labels_")
    np.testing.assert_array_equal(copy.fit(blobs).labels_, model.labels_)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(blobs), model.labels_)
    assert repr(KMeans(3, tol=0)) == "KMeans(n_clusters=3, tol=0)"


def test_pipeline_and_search(blobs):
    pipeline = make_pipeline(StandardScaler(), KMeans(random_state=0))
    search = GridSearchCV(pipeline, {"kmeans__n_clusters": [2, 6]}, cv=2).fit(blobs)
    assert search.best_params_ == {"kmeans__n_clusters": 6}


@pytest.mark.parametrize("algorithm", ["auto", "lloyd", "elkan"])
def test_algorithms_give_the_same(blobs, algorithm):
    model = KMeans(5, random_state=0, algorithm=algorithm).fit(blobs)
    reference = KMeans(5, random_state=0).fit(blobs)
    np.testing.assert_array_equal(model.cluster_centers_, reference.cluster_centers_)


def test_device(blobs):
    for device in (None, "cpu"):
        assert KMeans(2, device=device).fit(blobs).n_features_in_ == 4
    with pytest.raises(ValueError, match=r"device='cuda:99'.*pass device='cpu'"):
        KMeans(2, device="cuda:99").fit(blobs)


@pytest.mark.parametrize("n_threads", [0, -1, 1.5])
def test_bad_threads(blobs, n_threads):
    with pytest.raises(ValueError, match="The 'n_threads' parameter of KMeans must be"):
        KMeans(2, n_threads=n_threads).fit(blobs)


def test_fit_again_on_other_data(blobs):
    model = KMeans(3, random_state=0).fit(blobs)
    assert model.fit(blobs[:, :2]).cluster_centers_.shape == (3, 2)
    assert model.predict(blobs[:5, :2]).shape == (5,)


def test_importing_the_package_is_light():
    code = (
        "import sys, unsup_fast; unsup_fast.__version__; dir(unsup_fast); heavy = "
        "{'torch', 'matplotlib', 'numba', 'sklearn', 'numpy', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy; import unsup_fast.cluster; "
        "heavy = {'torch', 'matplotlib', 'numba', 'safetensors'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_package_attributes():
    assert unsup_fast.cluster.KMeans is KMeans
    assert {"cluster", "__version__"} <= set(dir(unsup_fast))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = unsup_fast.nothing
