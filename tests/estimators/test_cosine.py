"""metric="cosine": spherical k-means against float64 brute force."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics.pairwise import cosine_distances

from unsup_fast._rows.directions import directions, rounding, unit_rows
from unsup_fast.cluster import KMeans, MiniBatchKMeans, k_means

CLASSES = [KMeans, MiniBatchKMeans]


@pytest.fixture(scope="module")
def cones():
    """Return 900 x 5 float64 rows of any length around 6 directions, and their labels."""
    rng = np.random.default_rng(11)
    axes = normalised(rng.normal(size=(6, 5)))
    labels = np.repeat(np.arange(6), 150)
    rows = axes[labels] + 0.15 * rng.normal(size=(900, 5))
    order = rng.permutation(900)
    return (rows * rng.lognormal(sigma=2, size=(900, 1)))[order], labels[order], axes


def normalised(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def reference(X, centers, weight, n_iter):
    """Run spherical k-means in float64; return centroids, and their labels and inertia."""
    x, c = normalised(X), normalised(centers)
    for _ in range(n_iter):
        labels = (x @ c.T).argmax(axis=1)
        sums = [weight[labels == k] @ x[labels == k] for k in range(len(c))]
        c = normalised(sums)
    distances = 1 - x @ c.T  # [N, K]
    return c, distances.argmin(axis=1), weight @ distances.min(axis=1)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), dtype=st.sampled_from([np.float32, np.float64]), sparse=st.booleans())
def test_unit_rows(data, dtype, sparse):
    n_rows, n_columns = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 40)))
    exponent = 35 if dtype == np.float32 else 300
    small = st.integers(-3, 3).map(float)
    dense = data.draw(hnp.arrays(dtype, (n_rows, n_columns), elements=small))
    dense[:, 0] += dtype(4)
    powers = data.draw(hnp.arrays(int, n_rows, elements=st.integers(-exponent, exponent)))
    dense *= (10.0 ** powers.astype(float)).astype(dtype)[:, None]
    X = sp.csr_array(dense) if sparse else dense
    before = X.copy()
    unit = unit_rows(X)
    assert unit.dtype == dtype
    assert unit_rows(unit) is unit
    rows = unit.toarray() if sparse else unit
    exact = normalised(dense.astype(np.float64) / np.abs(dense).max(axis=1, keepdims=True))
    np.testing.assert_allclose(rows, exact, atol=2 * np.finfo(dtype).eps)
    assert abs(np.linalg.norm(rows.astype(np.float64), axis=1) - 1).max() <= rounding(unit)
    for i in range(n_rows):  # the result of a row depends on that row alone
        one = unit_rows(X[i : i + 1])
        np.testing.assert_array_equal((one.toarray() if sparse else one)[0], rows[i])
    assert ((before != X).sum() == 0) if sparse else (before == X).all()


@pytest.mark.parametrize("tiny", [5e-324, 1e-310])
def test_subnormal_and_huge_rows(tiny):
    X = np.array([[tiny, tiny], [1.7e308, -1.7e308], [3.0, 4.0]])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(unit_rows(X), [[half, half], [half, -half], [0.6, 0.8]])


def test_directions_of_rows_that_cancel_out():
    before = np.array([[0.6, 0.8], [1.0, 0.0]])
    unit = directions(np.array([[1e-17, 0.0], [0.0, 0.5]]), before)
    np.testing.assert_array_equal(unit, [[0.6, 0.8], [0.0, 1.0]])
    model = KMeans(1, init=[[0.0, 1.0]], metric="cosine").fit([[1.0, 0.0], [-1.0, 0.0]])
    np.testing.assert_array_equal(model.cluster_centers_, [[0.0, 1.0]])
    assert model.inertia_ == 2.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_iter", [1, 4])
def test_iterations_are_those_of_brute_force(cones, simd, dtype, container, weighted, n_iter):
    X = cones[0].astype(dtype)
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X)) if weighted else np.ones(len(X))
    options = {"init": X[:9], "max_iter": n_iter, "tol": 0, "metric": "cosine"}
    model = KMeans(9, **options).fit(container(X), sample_weight=weight if weighted else None)
    centers, labels, inertia = reference(X, X[:9], weight, n_iter)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    np.testing.assert_array_equal(model.labels_, labels)
    np.testing.assert_allclose(model.cluster_centers_, centers, atol=tolerance)
    assert model.inertia_ == pytest.approx(inertia, rel=tolerance)
    lengths = np.linalg.norm(model.cluster_centers_.astype(np.float64), axis=1)
    assert abs(lengths - 1).max() <= rounding(model.cluster_centers_)


def test_one_step_is_euclidean_on_unit_rows(cones):
    x = normalised(cones[0])
    spherical = KMeans(6, init=x[:6], max_iter=1, metric="cosine").fit(x)
    euclidean = KMeans(6, init=x[:6], max_iter=1).fit(x)
    centers = normalised(euclidean.cluster_centers_)
    np.testing.assert_allclose(spherical.cluster_centers_, centers, rtol=1e-13)
    once = KMeans(6, init=centers, max_iter=1).fit(x)
    assert spherical.inertia_ == pytest.approx(once.inertia_history_[0] / 2, rel=1e-12)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_known_directions_are_found(cones, cls, dtype):
    X, labels, axes = cones
    model = cls(6, metric="cosine", random_state=0, n_init=5).fit(X.astype(dtype))
    nearest = (axes @ model.cluster_centers_.T).argmax(axis=1)
    assert sorted(nearest) == list(range(6))
    assert (axes * model.cluster_centers_[nearest]).sum(axis=1).min() > 0.99
    assert (nearest[labels] == model.labels_).mean() > 0.98


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_methods_agree(cones, cls, dtype, container):
    X = container(cones[0].astype(dtype))
    weight = np.random.default_rng(0).uniform(size=X.shape[0])
    model = cls(7, metric="cosine", random_state=0, max_iter=3).fit(X, sample_weight=weight)
    tolerance = 1e-6 if dtype == np.float32 else 1e-14
    distances = model.transform(X)
    assert distances.dtype == dtype
    np.testing.assert_allclose(
        distances, cosine_distances(X.astype(np.float64), model.cluster_centers_), atol=tolerance
    )
    np.testing.assert_array_equal(distances.argmin(axis=1), model.labels_)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    assert model.inertia_ == pytest.approx(weight @ distances.min(axis=1), rel=1e-5)
    assert model.score(X, sample_weight=weight) == -model.inertia_


@pytest.mark.parametrize("cls", CLASSES)
def test_lengths_do_not_matter(cones, cls):
    X = cones[0]
    a = cls(6, metric="cosine", random_state=0).fit(X)
    powers = 2.0 ** np.random.default_rng(0).integers(-400, 400, size=(900, 1))
    b = cls(6, metric="cosine", random_state=0).fit(X * powers)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, rtol=1e-12)
    np.testing.assert_array_equal(a.labels_, b.labels_)


def test_a_narrow_cone(simd):
    # All rows within a thousandth of a radian: cosines differ in the seventh digit.
    rng = np.random.default_rng(0)
    centers = 3e-4 * rng.normal(size=(8, 16))
    rows = centers[rng.integers(0, 8, 3000)] + 3e-5 * rng.normal(size=(3000, 16))
    X = unit_rows((1 + rows).astype(np.float32))
    model = KMeans(8, metric="cosine", random_state=0, n_init=3).fit(X)
    squared = ((X.astype(np.float64)[:, None] - model.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.labels_, squared.argmin(axis=1))
    assert model.inertia_ == pytest.approx(squared.min(axis=1).sum() / 2, rel=1e-5)
    assert model.inertia_ < 3000 * 16 * 3e-5**2 / 16


@pytest.mark.parametrize("cls", CLASSES)
def test_threads_do_not_change_a_bit(cls):
    X = np.random.default_rng(0).normal(size=(20_011, 5)).astype(np.float32)
    options = {"metric": "cosine", "random_state": 0, "max_iter": 5}
    a, b = (cls(17, n_threads=n, **options).fit(X) for n in (1, 2))
    for name in ("cluster_centers_", "labels_", "inertia_"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_unit_rows_are_not_copied(cones, container):
    X = container(unit_rows(cones[0].astype(np.float32)))
    data = X.data if sp.issparse(X) else X
    data.flags.writeable = False
    seen = []

    def init(rows, n_clusters, random_state):
        seen.append(rows.data if sp.issparse(rows) else rows)
        return 5 * (rows.toarray() if sp.issparse(rows) else rows)[:n_clusters]

    model = KMeans(3, init=init, n_init=1, metric="cosine").fit(X)
    assert np.shares_memory(seen[0], data)
    other = KMeans(3, init=(3 * X)[:3].toarray() if sp.issparse(X) else 3 * X[:3], metric="cosine")
    other.fit(3 * X)
    np.testing.assert_allclose(model.cluster_centers_, other.cluster_centers_, rtol=1e-5)


def test_going_on_is_exact(cones):
    X = cones[0].astype(np.float32)
    whole = KMeans(9, init=X[:9], max_iter=6, tol=0, metric="cosine").fit(X)
    part = KMeans(9, init=X[:9], max_iter=2, tol=0, metric="cosine").fit(X)
    rest = KMeans(9, init=part.cluster_centers_, max_iter=4, tol=0, metric="cosine").fit(X)
    np.testing.assert_array_equal(whole.cluster_centers_, rest.cluster_centers_)
    history = np.concatenate([part.inertia_history_, rest.inertia_history_])
    np.testing.assert_array_equal(whole.inertia_history_, history[: whole.n_iter_])
    assert (np.diff(whole.inertia_history_) <= 0).all()


def test_integer_weights_equal_repeated_rows(cones):
    X = cones[0]
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    a = KMeans(6, init=X[:6], metric="cosine").fit(X, sample_weight=weight)
    b = KMeans(6, init=X[:6], metric="cosine").fit(np.repeat(X, weight, axis=0))
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, rtol=1e-12)
    assert a.inertia_ == pytest.approx(b.inertia_, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_empty_clusters_are_relocated(cones, dtype):
    X = cones[0].astype(dtype)
    init = np.concatenate([X[:3], np.repeat(X[:1], 3, axis=0)])
    model = KMeans(6, init=init, metric="cosine").fit(X)
    assert model.cluster_sizes_.min() > 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fewer_directions_than_clusters(dtype):
    rows = np.random.default_rng(0).normal(size=(4, 3))
    X = (np.repeat(rows, 5, axis=0) * 2.0 ** np.arange(20)[:, None]).astype(dtype)
    with pytest.warns(ConvergenceWarning, match=r"Number of distinct clusters \(4\) found smaller"):
        model = KMeans(7, metric="cosine", random_state=0).fit(X)
    assert model.inertia_ == pytest.approx(0, abs=1e-12)
    assert np.isfinite(model.cluster_centers_).all()


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("cls", CLASSES)
def test_zero_rows(cones, cls, container):
    bad = cones[0].copy()
    bad[[123, 200]] = 0
    bad = container(bad)
    model = cls(3, metric="cosine").fit(container(cones[0]))
    again = cls(3, metric="cosine")
    match = r"row 123 of X is zero and has no direction; metric='cosine' needs rows .*: leave such"
    methods = [model.predict, model.transform, model.score, again.fit]
    if cls is MiniBatchKMeans:
        methods += [model.partial_fit, again.partial_fit]
    for method in methods:
        with pytest.raises(ValueError, match=match):
            method(bad)
    with pytest.raises(ValueError, match="row 1 of init is zero"):
        cls(2, init=np.eye(5)[:2] * [[1], [0]], metric="cosine", n_init=1).fit(cones[0])
    with pytest.raises(ValueError, match="row 1123 of X is zero"):
        unit_rows(bad, first=1000)
    with pytest.raises(ValueError, match="row 0 of X is zero"):
        unit_rows(sp.csr_array((np.zeros(2), np.arange(2), [0, 2, 2]), shape=(2, 3)))


@pytest.mark.parametrize("cls", CLASSES)
def test_unknown_metric(cls):
    with pytest.raises(ValueError, match=f"The 'metric' parameter of {cls.__name__} must be"):
        cls(metric="manhattan").fit([[1.0]])


def test_function(cones):
    centers, labels, inertia = k_means(cones[0], 6, metric="cosine", random_state=0)
    model = KMeans(6, metric="cosine", random_state=0).fit(cones[0])
    np.testing.assert_array_equal(centers, model.cluster_centers_)
    np.testing.assert_array_equal(labels, model.labels_)
    assert inertia == model.inertia_


def test_mini_batches_have_mean_directions(cones):
    X = cones[0].astype(np.float32)
    model = MiniBatchKMeans(1, metric="cosine", random_state=0)
    for rows in np.array_split(X, 7):
        model.partial_fit(rows)
    mean = normalised(X).mean(axis=0)
    np.testing.assert_allclose(model._means[0], mean, rtol=1e-6)
    np.testing.assert_allclose(model.cluster_centers_[0], mean / np.linalg.norm(mean), rtol=1e-6)
    assert model._counts[0] == 900
    seen = []
    model = MiniBatchKMeans(6, metric="cosine", random_state=0, batch_size=100)
    model.fit(X, callback=seen.append)
    assert seen[-1].inertia == pytest.approx(model.inertia_ / 900, rel=0.5)
    np.testing.assert_array_equal(seen[-1].centers, model.cluster_centers_)
    whole = KMeans(6, init=model.cluster_centers_, metric="cosine").fit(X)
    assert whole.inertia_ <= model.inertia_ < 1.1 * whole.inertia_


@pytest.mark.parametrize("cls", CLASSES)
def test_save_and_load(cones, cls, tmp_path):
    pytest.importorskip("safetensors")
    X = cones[0].astype(np.float32)
    model = cls(6, metric="cosine", random_state=0).fit(X)
    model.save(tmp_path / "m.safetensors")
    loaded = cls.load(tmp_path / "m.safetensors")
    assert loaded.metric == "cosine"
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    if cls is MiniBatchKMeans:
        for one in (model, loaded):
            one.partial_fit(X)
        np.testing.assert_array_equal(loaded._means, model._means)
        np.testing.assert_array_equal(loaded.cluster_centers_, model.cluster_centers_)


def test_tensors(cones):
    torch = pytest.importorskip("torch")
    X = torch.from_numpy(cones[0])
    model = KMeans(6, metric="cosine", random_state=0).fit(X)
    reference = KMeans(6, metric="cosine", random_state=0).fit(cones[0])
    assert torch.equal(X, torch.from_numpy(cones[0]))
    np.testing.assert_array_equal(model.labels_.numpy(), reference.labels_)
    assert isinstance(model.transform(X), torch.Tensor)
