"""Columns divided by their standard deviations, against scikit-learn's StandardScaler."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.preprocessing import StandardScaler

from unsup_fast import blocks
from unsup_fast._rows import scaling
from unsup_fast.cluster import KMeans, MiniBatchKMeans, k_means
from unsup_fast.decomposition import PCA
from unsup_fast.kernels.covariance import native as covariance_native
from unsup_fast.kernels.moments import native as moments_native
from unsup_fast.metrics import purity_score
from unsup_fast.mixture import GaussianMixture


@pytest.fixture(scope="module")
def wine():
    return load_wine(return_X_y=True)


@pytest.fixture(scope="module")
def rows():
    """Return 500 x 4 float64 rows around 5 points, columns of very different spread."""
    random = np.random.default_rng(0)
    points = 4 * random.normal(size=(5, 4))
    X = points[random.integers(5, size=500)] + random.normal(size=(500, 4))
    return X * [1e-3, 1.0, 40.0, 5e4] + [0.0, 7.0, -300.0, 1e5]


def scaled(X, weight=None):
    scaler = StandardScaler(with_mean=False).fit(X, sample_weight=weight)
    return scaler, scaler.transform(X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wine(wine, dtype):
    X, classes = wine[0].astype(dtype), wine[1]
    plain = KMeans(3, n_init=5, random_state=0).fit(X)
    assert round(purity_score(classes, plain.labels_), 2) == 0.70
    assert not hasattr(plain, "scale_")
    model = KMeans(3, n_init=5, random_state=0, standardize=True).fit(X)
    assert round(purity_score(classes, model.labels_), 2) == 0.97
    mini = MiniBatchKMeans(3, n_init=5, random_state=0, standardize=True).fit(X)
    assert purity_score(classes, mini.labels_) > 0.9


@pytest.mark.parametrize("Estimator", [KMeans, MiniBatchKMeans])
def test_is_k_means_of_scaled_rows(rows, Estimator):
    scaler, X = scaled(rows)
    ours = Estimator(5, random_state=0, standardize=True).fit(rows)
    theirs = Estimator(5, random_state=0).fit(X)
    np.testing.assert_allclose(ours.scale_, scaler.scale_, rtol=1e-12)
    np.testing.assert_array_equal(ours.labels_, theirs.labels_)
    back = scaler.inverse_transform(theirs.cluster_centers_)
    np.testing.assert_allclose(ours.cluster_centers_, back, rtol=1e-9)
    assert ours.inertia_ == pytest.approx(theirs.inertia_, rel=1e-9)
    assert ours.score(rows) == pytest.approx(-ours.inertia_, rel=1e-12)
    np.testing.assert_allclose(ours.transform(rows), theirs.transform(X), rtol=1e-7, atol=1e-9)
    means = [rows[ours.labels_ == k].mean(axis=0) for k in range(5)]
    if Estimator is KMeans:
        np.testing.assert_allclose(ours.cluster_centers_, means, rtol=1e-9)


@settings(max_examples=25)
@given(
    st.integers(0, 10**6),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(["euclidean", "cosine"]),
    st.sampled_from([KMeans, MiniBatchKMeans]),
)
def test_labels_are_those_of_predict(seed, dtype, metric, Estimator):
    random = np.random.default_rng(seed)
    X = random.normal(size=(60, 3)) * 10.0 ** random.integers(-9, 9, 3)
    X = (X + random.normal(size=3) * X.std(axis=0)).astype(dtype)
    model = Estimator(4, random_state=seed, standardize=True, metric=metric, n_init=1).fit(X)
    np.testing.assert_array_equal(model.labels_, model.predict(X))
    quotients = X / model.scale_
    centers = model.cluster_centers_ / model.scale_
    if metric == "cosine":
        quotients /= np.linalg.norm(quotients, axis=1, keepdims=True)
        np.testing.assert_allclose(np.linalg.norm(centers, axis=1), 1, rtol=1e-5)
    squares = ((quotients[:, None].astype(np.float64) - centers) ** 2).sum(axis=2)
    nearest = np.sort(squares, axis=1)
    clear = nearest[:, 1] - nearest[:, 0] > 1e-4
    np.testing.assert_array_equal(model.labels_[clear], squares.argmin(axis=1)[clear])


def test_every_kind_of_rows(rows, tmp_path, monkeypatch):
    X = rows.astype(np.float32)
    whole = KMeans(5, random_state=0, standardize=True).fit(X)
    np.save(tmp_path / "X.npy", X)
    kinds = {
        "stream": blocks.source(lambda: [X]),
        "array": blocks.source(X),
        "file": blocks.source(tmp_path / "X.npy"),
        "map": np.load(tmp_path / "X.npy", mmap_mode="r"),
        "one thread": X,
    }
    for name, kind in kinds.items():
        n_threads = 1 if name == "one thread" else None
        model = KMeans(5, random_state=0, standardize=True, n_threads=n_threads).fit(kind)
        np.testing.assert_array_equal(model.labels_, whole.labels_, name)
        np.testing.assert_array_equal(model.cluster_centers_, whole.cluster_centers_, name)
        np.testing.assert_array_equal(model.scale_, whole.scale_, name)
        np.testing.assert_array_equal(model.predict(kind), whole.labels_, name)
        assert model.score(kind) == whole.score(X)
    monkeypatch.setattr(scaling, "ROOM", 0)  # as if the file were large
    model = KMeans(5, random_state=0, standardize=True).fit(blocks.source(tmp_path / "X.npy"))
    np.testing.assert_array_equal(model.cluster_centers_, whole.cluster_centers_)
    parts = KMeans(5, random_state=0, standardize=True).fit(blocks.source(X, chunk_size=64))
    np.testing.assert_array_equal(parts.labels_, whole.labels_)
    np.testing.assert_array_equal(parts.scale_, whole.scale_)


def test_tensors(rows):
    torch = pytest.importorskip("torch")
    whole = KMeans(5, random_state=0, standardize=True).fit(rows)
    model = KMeans(5, random_state=0, standardize=True).fit(torch.from_numpy(rows))
    assert isinstance(model.cluster_centers_, torch.Tensor)
    assert isinstance(model.scale_, np.ndarray)
    np.testing.assert_array_equal(model.cluster_centers_.numpy(), whole.cluster_centers_)
    np.testing.assert_array_equal(model.predict(torch.from_numpy(rows)).numpy(), whole.labels_)


def test_sparse_rows_are_scaled_and_not_centred():
    random = np.random.default_rng(5)
    points = random.random((4, 30)) * (random.random((4, 30)) < 0.3)
    X = points[random.integers(4, size=300)] * 10.0 ** random.integers(-3, 4, 30)
    X *= random.random(X.shape) + 0.5
    csr = sp.csr_matrix(X)
    dense = KMeans(4, init=X[:4], n_init=1, standardize=True).fit(X)
    model = KMeans(4, init=X[:4], n_init=1, standardize=True).fit(csr)
    np.testing.assert_allclose(model.scale_, dense.scale_, rtol=1e-10)
    np.testing.assert_array_equal(model.labels_, dense.labels_)
    np.testing.assert_allclose(
        model.cluster_centers_, dense.cluster_centers_, rtol=1e-9, atol=1e-13
    )
    divided = scaling.divided(csr, model.scale_)
    assert divided.nnz == csr.nnz
    np.testing.assert_array_equal(divided.toarray(), X / model.scale_)
    np.testing.assert_array_equal(model.predict(csr), model.labels_)


@pytest.mark.parametrize("kind", ["array", "blocks", "csr"])
def test_weights_count_rows_several_times(rows, kind):
    weight = np.random.default_rng(1).integers(0, 4, len(rows)).astype(np.float64)
    repeated = np.repeat(rows, weight.astype(int), axis=0)
    X = {"array": rows, "blocks": blocks.source(lambda: [rows]), "csr": sp.csr_array(rows)}[kind]
    options = {"init": rows[:5], "n_init": 1, "standardize": True, "tol": 0}
    model = KMeans(5, **options).fit(X, sample_weight=weight)
    theirs = KMeans(5, **options).fit(repeated)
    np.testing.assert_allclose(model.scale_, repeated.std(axis=0), rtol=1e-9)
    np.testing.assert_array_equal(np.repeat(model.labels_, weight.astype(int)), theirs.labels_)
    assert model.inertia_ == pytest.approx(theirs.inertia_, rel=1e-9)


@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix])
def test_constant_columns_are_left_as_they_are(make):
    X = np.random.default_rng(0).normal(size=(400, 4))
    X[:, 1], X[:, 2] = 0.1, 0.0
    model = KMeans(3, random_state=0, standardize=True).fit(make(X))
    np.testing.assert_array_equal(model.scale_[1:3], [1, 1])
    X[0, 1] += 1e-16
    np.testing.assert_array_equal(model.predict(make(X)), model.labels_)


def test_saved_models_divide_new_rows(rows, tmp_path):
    for Estimator in (KMeans, MiniBatchKMeans):
        model = Estimator(5, random_state=0, standardize=True).fit(rows)
        model.save(tmp_path / "model.safetensors")
        loaded = Estimator.load(tmp_path / "model.safetensors")
        assert loaded.standardize
        np.testing.assert_array_equal(loaded.scale_, model.scale_)
        np.testing.assert_array_equal(loaded.predict(rows), model.labels_)
        np.testing.assert_array_equal(loaded.transform(rows), model.transform(rows))
        model.scale_[1] = 0
        with pytest.raises(ValueError, match=r"scale_ .* must be a vector of positive"):
            model.save(tmp_path / "model.safetensors")


def test_a_run_goes_on_from_its_centroids(rows):
    X = rows.astype(np.float32)
    options = {"random_state": 0, "standardize": True, "tol": 0, "n_init": 1}
    whole = KMeans(12, **options).fit(X)
    assert whole.n_iter_ > 4
    seen = []
    first = KMeans(12, max_iter=3, **options).fit(X, callback=lambda s: seen.append(s.centers))
    np.testing.assert_array_equal(seen[-1], first.cluster_centers_)
    rest = KMeans(12, **{**options, "init": first.cluster_centers_}).fit(X)
    np.testing.assert_array_equal(rest.cluster_centers_, whole.cluster_centers_)
    np.testing.assert_array_equal(rest.inertia_history_, whole.inertia_history_[3:])


def test_mini_batches_go_on_in_their_own_units(rows):
    model = MiniBatchKMeans(5, random_state=0, standardize=True, init=rows[:5], n_init=1)
    for part in np.split(rows, 5):
        model.partial_fit(part)
    np.testing.assert_allclose(model.scale_, rows[:100].std(axis=0), rtol=1e-10)
    scaler = StandardScaler(with_mean=False).fit(rows[:100])
    theirs = MiniBatchKMeans(5, random_state=0, init=scaler.transform(rows[:5]), n_init=1)
    for part in np.split(rows, 5):
        theirs.partial_fit(scaler.transform(part))
    back = scaler.inverse_transform(theirs.cluster_centers_)
    np.testing.assert_allclose(model.cluster_centers_, back, rtol=1e-9)
    np.testing.assert_array_equal(model._counts, theirs._counts)


def test_a_later_fit_forgets_the_scale(rows):
    model = KMeans(5, random_state=0, standardize=True).fit(rows)
    model.set_params(standardize=False).fit(rows)
    assert not hasattr(model, "scale_")
    plain = KMeans(5, random_state=0).fit(rows)
    np.testing.assert_array_equal(model.labels_, plain.labels_)
    assert clone(model).get_params() == model.get_params()
    centers, labels, inertia = k_means(rows, 5, random_state=0, standardize=True)
    again = KMeans(5, random_state=0, standardize=True).fit(rows)
    np.testing.assert_array_equal(centers, again.cluster_centers_)
    np.testing.assert_array_equal(labels, again.labels_)
    assert inertia == again.inertia_


@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix, blocks.source])
def test_quotients_that_overflow_are_refused(make):
    X = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    X[:, 1] *= np.float32(1e-6)
    model = KMeans(2, random_state=0, standardize=True).fit(X)
    new = np.array([[1, 1], [0, 1e35]], dtype=np.float32)
    with pytest.raises(ValueError, match=r"row 1, column 1 of X is 1e\+35 and overflows float32"):
        model.predict(make(new))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("make", [np.asarray, sp.csr_matrix, blocks.source])
@pytest.mark.parametrize(
    ("dtype", "size"),
    [(np.float64, 1e-300), (np.float64, 1e300), (np.float32, 1e-30), (np.float32, 1e30)],
)
def test_columns_of_any_size(rows, dtype, size, make, weighted):
    X = (rows * [1e3, 1.0, 1e-2, size]).astype(dtype)
    weight = np.arange(len(X)) % 3 if weighted else None
    model = KMeans(5, random_state=0, standardize=True).fit(make(X), sample_weight=weight)
    near_one = X.astype(float) / [1, 1, 1, size]
    expected = scaled(near_one, weight)[0].scale_
    np.testing.assert_allclose(model.scale_ / [1, 1, 1, size], expected, rtol=1e-6)
    if make is not blocks.source and not weighted:
        axes = PCA(2, standardize=True).fit(make(X))
        np.testing.assert_allclose(axes.scale_, model.scale_)
        assert np.isfinite(axes.components_).all()


def test_deviations_that_overflow_are_refused():
    X = np.array([[0.0, 1.7e308], [1.0, -1.7e308], [2.0, 1.7e308]])
    with pytest.raises(ValueError, match="deviation of column 1 of X overflows float64"):
        KMeans(2, standardize=True).fit(X)


@pytest.mark.parametrize("solver", ["auto", "full", "covariance_eigh", "randomized", "arpack"])
def test_pca_is_that_of_the_correlations(rows, solver):
    scaler, X = scaled(rows)
    model = PCA(2, svd_solver=solver, standardize=True, random_state=0).fit(rows)
    values, vectors = np.linalg.eigh(np.corrcoef(rows.T))
    n = len(rows)
    np.testing.assert_allclose(model.explained_variance_, values[::-1][:2] * n / (n - 1), rtol=1e-9)
    np.testing.assert_allclose(
        np.abs(model.components_ @ vectors[:, ::-1][:, :2]), np.eye(2), atol=1e-7
    )
    theirs = PCA(2, svd_solver=solver, random_state=0).fit(X)
    np.testing.assert_allclose(model.transform(rows), theirs.transform(X), atol=1e-8)
    np.testing.assert_allclose(model.score_samples(rows), theirs.score_samples(X), rtol=1e-8)
    back = scaler.inverse_transform(theirs.inverse_transform(theirs.transform(X)))
    np.testing.assert_allclose(model.inverse_transform(model.transform(rows)), back, rtol=1e-8)


def test_pca_of_every_kind_of_rows(rows, tmp_path):
    whole = PCA(2, standardize=True).fit(rows)
    coordinates = whole.transform(rows)
    for kind in (
        blocks.source(lambda: [rows]),
        blocks.source(rows, chunk_size=70),
        sp.csr_array(rows),
    ):
        model = PCA(2, standardize=True, svd_solver="covariance_eigh").fit(kind)
        np.testing.assert_allclose(model.scale_, whole.scale_, rtol=1e-10)
        np.testing.assert_allclose(model.transform(kind), coordinates, atol=1e-8)
    one = PCA(2, standardize=True, n_threads=1).fit(rows)
    np.testing.assert_array_equal(one.components_, whole.components_)
    whole.save(tmp_path / "model.safetensors")
    loaded = PCA.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.transform(rows), coordinates)
    np.testing.assert_array_equal(
        loaded.inverse_transform(coordinates), whole.inverse_transform(coordinates)
    )
    whole.set_params(standardize=False).fit(rows)
    assert not hasattr(whole, "scale_")


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_mixture_is_that_of_scaled_rows(rows, tmp_path, kind):
    scaler, X = scaled(rows)
    options = {"n_components": 3, "covariance_type": kind, "random_state": 0}
    model = GaussianMixture(**options, standardize=True).fit(rows)
    theirs = GaussianMixture(**options).fit(X)
    np.testing.assert_allclose(model.scale_, scaler.scale_, rtol=1e-12)
    np.testing.assert_allclose(model.means_, theirs.means_, rtol=1e-6)
    np.testing.assert_array_equal(model.predict(rows), theirs.predict(X))
    np.testing.assert_allclose(model.predict_proba(rows), theirs.predict_proba(X), atol=1e-6)
    assert model.score(rows) == pytest.approx(theirs.score(X), rel=1e-9)
    drawn = scaler.inverse_transform(theirs.sample(7)[0])
    np.testing.assert_allclose(model.sample(7)[0], drawn, rtol=1e-5)
    model.save(tmp_path / "model.safetensors")
    loaded = GaussianMixture.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))
    assert loaded.bic(rows) == model.bic(rows)
    if kind == "full":
        source = blocks.source(lambda: [rows])
        other = GaussianMixture(**options, standardize=True, n_threads=1).fit(source)
        np.testing.assert_array_equal(other.means_, model.means_)
        np.testing.assert_array_equal(other.predict(source), model.predict(rows))


def test_mixture_with_weights_and_a_warm_start(rows):
    weight = np.random.default_rng(1).integers(0, 4, len(rows)).astype(np.float64)
    repeated = np.repeat(rows, weight.astype(int), axis=0)
    means = repeated[:3] / repeated.std(axis=0)
    options = {"n_components": 3, "means_init": means, "init_params": "random_from_data"}
    options |= {"random_state": 0, "standardize": True, "weights_init": [0.2, 0.3, 0.5]}
    options |= {"precisions_init": np.tile(np.eye(4), (3, 1, 1)), "warm_start": True}
    model = GaussianMixture(**options).fit(rows, sample_weight=weight)
    theirs = GaussianMixture(**options).fit(repeated)
    np.testing.assert_allclose(model.scale_, repeated.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(model.means_, theirs.means_, rtol=1e-6)
    scale = model.scale_.copy()
    model.fit(rows[:300])
    np.testing.assert_array_equal(model.scale_, scale)
    with pytest.raises(ValueError, match="pass warm_start=False"):
        model.set_params(standardize=False).fit(rows)


def test_wine_as_a_mixture_and_along_axes(wine):
    X, classes = wine
    plain = GaussianMixture(3, covariance_type="spherical", random_state=0).fit(X)
    model = plain.set_params(standardize=True)
    before = purity_score(classes, plain.predict(X))
    assert before < 0.75
    assert purity_score(classes, model.fit_predict(X)) > 0.95
    assert PCA(1).fit(X).explained_variance_ratio_[0] > 0.99
    assert PCA(1, standardize=True).fit(X).explained_variance_ratio_[0] < 0.4


@pytest.mark.parametrize(
    "make", [lambda k: PCA(k, standardize=True), lambda k: GaussianMixture(k, standardize=True)]
)
def test_a_fit_that_fails_leaves_the_scale(rows, make):
    model = make(2).fit(rows)
    before, scale = model.score_samples(rows), model.scale_
    with pytest.raises(ValueError, match="n_components"):
        model.set_params(n_components=5).fit(1e3 * rows[:4])
    model.set_params(n_components=2)
    assert model.scale_ is scale
    np.testing.assert_array_equal(model.score_samples(rows), before)


@pytest.fixture
def passes(monkeypatch):
    """Return the shapes of rows that moments and covariances were computed of."""
    shapes = {"moments": [], "covariance": []}

    def counted(module, name):
        compute = getattr(module, name)

        def count(X, *arguments):
            shapes[name].append(X.shape)
            return compute(X, *arguments)

        monkeypatch.setattr(module, name, count)

    counted(moments_native, "moments")
    counted(covariance_native, "covariance")
    return shapes


@pytest.mark.parametrize(
    ("options", "moments", "covariances"),
    [
        ({"svd_solver": "covariance_eigh"}, 1, 1),
        ({"svd_solver": "full"}, 2, 0),
        ({"svd_solver": "covariance_eigh", "standardize": False}, 0, 1),
        ({"svd_solver": "full", "standardize": False}, 1, 0),
    ],
)
def test_passes_over_the_rows_of_pca(passes, options, moments, covariances):
    X = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    PCA(2, **({"standardize": True} | options)).fit(X)
    assert passes["moments"] == [X.shape] * moments
    assert passes["covariance"] == [X.shape] * covariances


@pytest.mark.parametrize("standardize", [False, True])
def test_passes_over_the_rows_before_k_means(passes, standardize):
    X = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    KMeans(3, n_init=2, random_state=0, standardize=standardize).fit(X)
    assert passes["moments"] == [X.shape] * (1 + standardize)
