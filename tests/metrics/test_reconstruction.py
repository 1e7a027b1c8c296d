"""The objectives of k-means and PCA, against inertia, eigenvalues and float64 brute force."""

import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import DBSCAN
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.exceptions import NotFittedError

from unsup_fast import blocks
from unsup_fast.cluster import KMeans, MiniBatchKMeans
from unsup_fast.metrics import reconstruction, reconstruction_error


@pytest.fixture
def X():
    """Return 301 x 7 rows around 5 overlapping centres."""
    rng = np.random.default_rng(4)
    return 2 * rng.normal(size=(5, 7))[rng.integers(0, 5, 301)] + rng.normal(size=(301, 7))


@pytest.fixture(params=[7, 70, 10**6])
def small_blocks(request, monkeypatch):
    monkeypatch.setattr(reconstruction, "BLOCK", request.param)


def brute_force(X, reconstructed, weight=None):
    return np.average(((X.astype(np.float64) - reconstructed) ** 2).sum(axis=1), weights=weight)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("estimator", [KMeans, MiniBatchKMeans, sklearn.cluster.KMeans])
@pytest.mark.usefixtures("small_blocks")
def test_k_means(X, dtype, estimator):
    X = X.astype(dtype)
    model = estimator(5, random_state=0, n_init=1).fit(X)
    error = reconstruction_error(X, model)
    assert isinstance(error, float)
    squares = ((X[:, None].astype(np.float64) - model.cluster_centers_) ** 2).sum(axis=2)
    rtol = 1e-12 if dtype == np.float64 else 1e-6
    np.testing.assert_allclose(error, squares.min(axis=1).mean(), rtol=rtol)
    np.testing.assert_allclose(error, model.inertia_ / len(X), rtol=max(rtol, 1e-6))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("small_blocks")
def test_cosine(X, weighted):
    weight = np.arange(301.0) % 3 if weighted else None
    model = KMeans(5, metric="cosine", random_state=0).fit(X, sample_weight=weight)
    total = len(X) if weight is None else weight.sum()
    error = reconstruction_error(X, model, sample_weight=weight)
    np.testing.assert_allclose(error, model.inertia_ / total, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("whiten", [False, True])
@pytest.mark.parametrize("n_components", [1, 3, 7])
@pytest.mark.usefixtures("small_blocks")
def test_pca_leaves_out_the_smallest_eigenvalues(X, dtype, whiten, n_components):
    X = X.astype(dtype)
    model = PCA(n_components, whiten=whiten, svd_solver="full").fit(X)
    error = reconstruction_error(X, model)
    left_out = np.linalg.eigvalsh(np.cov(X.astype(np.float64).T, bias=True))[: 7 - n_components]
    np.testing.assert_allclose(error, left_out.sum(), rtol=1e-5, atol=1e-10)
    reconstructed = model.inverse_transform(model.transform(X.astype(np.float64)))
    np.testing.assert_allclose(error, brute_force(X, reconstructed), rtol=1e-10, atol=1e-25)


@pytest.mark.parametrize("model", [IncrementalPCA(2), TruncatedSVD(2, random_state=0)])
def test_other_compressions(X, model):
    model.fit(X)
    reconstructed = model.inverse_transform(model.transform(X))
    np.testing.assert_allclose(
        reconstruction_error(X, model), brute_force(X, reconstructed), rtol=1e-12
    )


@pytest.mark.usefixtures("small_blocks")
def test_functions(X):
    def halved(rows):
        assert rows.dtype == np.float32
        return rows / 2

    X = X.astype(np.float32)
    np.testing.assert_allclose(reconstruction_error(X, halved), brute_force(X, X / 2), rtol=1e-12)
    assert reconstruction_error(X, lambda rows: rows) == 0
    with pytest.raises(ValueError, match=r"the model returned \(.*, 1\) for rows"):
        reconstruction_error(X, lambda rows: rows[:, :1])


def test_functions_of_tensors(X):
    torch = pytest.importorskip("torch")
    error = reconstruction_error(
        torch.from_numpy(X), lambda rows: 0 * torch.from_numpy(rows.copy())
    )
    assert error == pytest.approx(brute_force(X, 0), rel=1e-13)


@pytest.mark.parametrize("kind", ["kmeans", "pca", "function"])
@pytest.mark.usefixtures("small_blocks")
def test_weights_repeat_rows(X, kind):
    weight = np.random.default_rng(1).integers(0, 4, 301)
    weight[:20] = 0
    model = {"kmeans": KMeans(4, random_state=0).fit(X), "pca": PCA(2).fit(X), "function": np.round}
    repeated = reconstruction_error(np.repeat(X, weight, axis=0), model[kind])
    error = reconstruction_error(X, model[kind], sample_weight=weight)
    np.testing.assert_allclose(error, repeated, rtol=1e-12)


@pytest.mark.parametrize("model", [KMeans(5, random_state=0), PCA(3)])
def test_sources(X, model, tmp_path):
    X = X.astype(np.float32)
    expected = reconstruction_error(X, model.fit(X))
    np.save(tmp_path / "x.npy", X)
    for data in (
        tmp_path / "x.npy",
        str(tmp_path / "x.npy"),
        np.asfortranarray(X),
        sp.csr_matrix(X),
        X.tolist(),
        blocks.source(lambda: [X[:100], X[100:]], chunk_size=33),
        blocks.source(X, chunk_size=64),
    ):
        assert reconstruction_error(data, model) == pytest.approx(expected, rel=1e-6)


def test_names(X):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abcdefg"))
    for model in (PCA(2).fit(frame), sklearn.cluster.KMeans(3, n_init=1).fit(frame)):
        error = reconstruction_error(frame, model)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert error == pytest.approx(reconstruction_error(X, model), rel=1e-12)
        with pytest.raises(ValueError, match=r"X has columns b, .* fitted on a, b, .* this order"):
            reconstruction_error(frame[list("bacdefg")], model)


@pytest.mark.parametrize("model", [KMeans(4, random_state=0), PCA(1)])
def test_far_from_the_origin(model):
    rng = np.random.default_rng(2)
    near = (0.05 * rng.normal(size=(4, 6))[rng.integers(0, 4, 2000)]).astype(np.float32)
    X = (near + rng.normal(scale=0.01, size=near.shape) + 1e4).astype(np.float32)
    model.fit(X.astype(np.float64) - 1e4)
    true = reconstruction_error(X.astype(np.float64) - 1e4, model)
    if isinstance(model, PCA):
        model.mean_ = model.mean_ + 1e4
    else:
        model.cluster_centers_ = model.cluster_centers_ + 1e4
    assert reconstruction_error(X, model) == pytest.approx(true, rel=1e-6)


def test_memory_is_that_of_a_block(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(4096, 32)).astype(np.float32)
    models = [KMeans(5, init=rows[:5], max_iter=1).fit(rows), PCA(3).fit(rows)]
    monkeypatch.setattr(reconstruction, "BLOCK", 1 << 15)
    source = blocks.source(lambda: (rows + i for i in range(40)), chunk_size=4096)
    monkeypatch.setattr(source, "_room", 0)
    for model in models:
        tracemalloc.start()
        reconstruction_error(source, model)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 12 * rows.nbytes  # the data is 40 times as large


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 6), st.sampled_from("fd"))
def test_any_shape(n_rows, n_columns, n_clusters, kind):
    rng = np.random.default_rng(n_rows)
    X = rng.normal(size=(n_rows, n_columns)).astype(kind)
    centers = rng.normal(size=(n_clusters, n_columns)).astype(kind)
    model = sklearn.cluster.KMeans(n_clusters)
    model.cluster_centers_ = centers
    squares = ((X[:, None].astype(np.float64) - centers) ** 2).sum(axis=2)
    expected = squares.min(axis=1).mean()
    assert reconstruction_error(X, model) == pytest.approx(expected, rel=2e-5, abs=1e-12)


def test_bad_input(X):
    model = PCA(2).fit(X)
    with pytest.raises(ValueError, match="X has 6 columns, but PCA was fitted on 7; pass the same"):
        reconstruction_error(X[:, :6], model)
    with pytest.raises(NotFittedError):
        reconstruction_error(X, KMeans(3))
    with pytest.raises(TypeError, match="model is of type DBSCAN; pass an estimator with"):
        reconstruction_error(X, DBSCAN().fit(X))
    with pytest.raises(TypeError, match="model is of type list"):
        reconstruction_error(X, [1])
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\), expected \(301,\)"):
        reconstruction_error(X, model, sample_weight=[1, 2, 3])
    with pytest.raises(ValueError, match=r"sample_weight of row 2 is -1\.0"):
        reconstruction_error(X, model, sample_weight=[1, 1, -1] + 298 * [1])
    with pytest.raises(ValueError, match="sample_weight of every row is 0"):
        reconstruction_error(X, model, sample_weight=np.zeros(301))
    X[5, 2] = np.nan
    with pytest.raises(blocks.DataError, match="row 5, column 2 is nan"):
        reconstruction_error(X, model)
    with pytest.raises(blocks.DataError, match="has no values"):
        reconstruction_error(X[:0], model)
