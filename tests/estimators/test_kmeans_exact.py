"""What is promised about labels: nearest in float64, reproducible, equal to predict."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from unsup_fast.cluster import KMeans
from unsup_fast.kernels.assign import error_bound


def squared_distances(X, centers):
    difference = X.astype(np.float64)[:, None] - centers.astype(np.float64)
    return (difference**2).sum(axis=2)  # [N, K]


def assert_nearest(model, X, labels):
    squared = squared_distances(X, model.cluster_centers_)
    excess = squared[np.arange(len(X)), labels] - squared.min(axis=1)
    assert (excess <= error_bound(X, model.cluster_centers_, X.mean(axis=0))).all()


def test_rows_far_from_the_origin(offset_rows):
    model = KMeans(12, random_state=0, n_init=3).fit(offset_rows)
    squared = squared_distances(offset_rows, model.cluster_centers_)
    np.testing.assert_array_equal(model.labels_, squared.argmin(axis=1))
    np.testing.assert_array_equal(model.predict(offset_rows), model.labels_)
    assert model.inertia_ == pytest.approx(squared.min(axis=1).sum(), rel=1e-5)
    np.testing.assert_allclose(model.transform(offset_rows), np.sqrt(squared), rtol=1e-6)
    assert model.score(offset_rows) == -model.inertia_
    # The same clusters as those of the same rows shifted to the origin.
    moved = KMeans(12, random_state=0, n_init=3).fit(offset_rows.astype(np.float64) - 1e4)
    assert model.inertia_ == pytest.approx(moved.inertia_, rel=2e-2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("container", "offset"), [(np.asarray, 0), (np.asarray, 1e4), (sp.csr_array, 0)]
)
@pytest.mark.parametrize("max_iter", [1, 2, 3, 300])
@pytest.mark.parametrize("tol", [0, 1e-4, 1e-2])
def test_labels_are_those_of_predict(blobs, dtype, offset, max_iter, tol, container):
    X = container((blobs + offset).astype(dtype))
    model = KMeans(9, random_state=1, max_iter=max_iter, tol=tol).fit(X)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    np.testing.assert_array_equal(np.bincount(model.labels_, minlength=9), model.cluster_sizes_)
    assert model.score(X) == -model.inertia_
    assert len(model.inertia_history_) == len(model.n_changed_history_) == model.n_iter_


def test_labels_are_those_of_predict_after_relocation(blobs):
    init = np.repeat(blobs[:1], 9, axis=0)
    for max_iter in (1, 2, 300):
        model = KMeans(9, init=init, max_iter=max_iter).fit(blobs)
        np.testing.assert_array_equal(model.predict(blobs), model.labels_)


@pytest.mark.parametrize("offset", [0, 1e4])
@pytest.mark.parametrize("weighted", [False, True])
def test_resuming_is_exact(blobs, offset, weighted):
    X = (blobs + offset).astype(np.float32)
    weight = np.arange(1.0, 301) if weighted else None
    whole = KMeans(6, init=X[:6], max_iter=9, tol=0).fit(X, sample_weight=weight)
    part = KMeans(6, init=X[:6], max_iter=4, tol=0).fit(X, sample_weight=weight)
    rest = KMeans(6, init=part.cluster_centers_, max_iter=5, tol=0).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(whole.cluster_centers_, rest.cluster_centers_)
    np.testing.assert_array_equal(whole.labels_, rest.labels_)
    history = np.concatenate([part.inertia_history_, rest.inertia_history_])
    np.testing.assert_array_equal(whole.inertia_history_, history)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_threads_do_not_change_a_bit(dtype, container):
    X = container(np.random.default_rng(0).normal(size=(20_011, 5)).astype(dtype))
    a, b, c = (KMeans(17, random_state=0, max_iter=20, n_threads=n).fit(X) for n in (1, 2, None))
    for other in (b, c):
        np.testing.assert_array_equal(a.cluster_centers_, other.cluster_centers_)
        np.testing.assert_array_equal(a.labels_, other.labels_)
        np.testing.assert_array_equal(a.inertia_history_, other.inertia_history_)
        assert a.inertia_ == other.inertia_


@pytest.mark.parametrize("scale", [1e-25, 1e12, 1e25, 3e38])
def test_float32_of_any_scale(blobs, scale):
    X = (blobs / np.abs(blobs).max() * scale).astype(np.float32)
    reference = KMeans(4, init=blobs[:4]).fit(blobs)
    model = KMeans(4, init=X[:4]).fit(X)
    np.testing.assert_array_equal(model.labels_, reference.labels_)


def test_a_far_outlier_does_not_blur_the_rest():
    rng = np.random.default_rng(0)
    middles = rng.uniform(size=(5, 4))
    near = middles[rng.integers(0, 5, 20_000)] + rng.normal(scale=0.01, size=(20_000, 4))
    X = np.concatenate([near, np.full((3, 4), 1e9)]).astype(np.float32)
    init = np.concatenate([middles, np.full((1, 4), 1e9)]).astype(np.float32)
    model = KMeans(6, init=init).fit(X)
    nearest = squared_distances(X, model.cluster_centers_).argmin(axis=1)
    np.testing.assert_array_equal(model.labels_, nearest)
    np.testing.assert_array_equal(model.predict(X), nearest)
    np.testing.assert_allclose(model.cluster_centers_[:5], middles, atol=1e-3)


def test_ties_of_integers_go_to_the_lowest_index():
    grid = np.stack(np.meshgrid(np.arange(16), np.arange(16)), axis=-1).reshape(-1, 2)
    for offset in (0, 1000):
        X = (grid + offset).astype(np.float32)
        centers = X[[17, 19, 51, 221]]
        model = KMeans(4, init=centers, max_iter=1).fit(X)
        model.cluster_centers_ = centers
        nearest = squared_distances(X, centers).argmin(axis=1)
        np.testing.assert_array_equal(model.predict(X), nearest)


def test_squares_that_overflow_are_an_error(blobs):
    with pytest.raises(ValueError, match="overflow float64; divide X"):
        KMeans(3).fit(blobs * 1e200)


def test_a_wider_type_is_never_narrowed(blobs, offset_rows):
    model = KMeans(12, random_state=0).fit(offset_rows)
    np.testing.assert_array_equal(model.predict(offset_rows.astype(np.float64)), model.labels_)
    double = KMeans(12, random_state=0).fit(offset_rows.astype(np.float64))
    assert_nearest(double, offset_rows.astype(np.float64), double.predict(offset_rows))
    assert model.transform(offset_rows).dtype == np.float32
    assert double.transform(offset_rows).dtype == np.float64


def test_a_row_on_its_centroid_has_distance_zero(offset_rows):
    model = KMeans(12, random_state=0, max_iter=5).fit(offset_rows)
    assert (np.diag(model.transform(model.cluster_centers_)) == 0).all()


def test_duplicate_entries_of_a_sparse_matrix_are_summed(blobs):
    csr = sp.csr_array(blobs)
    twice = sp.csr_array(
        (np.repeat(csr.data / 2, 2), np.repeat(csr.indices, 2), csr.indptr * 2), shape=csr.shape
    )
    before = twice.data.copy()
    a, b = (KMeans(5, random_state=0).fit(X) for X in (csr, twice))
    np.testing.assert_array_equal(a.labels_, b.labels_)
    assert a.inertia_ == b.inertia_
    np.testing.assert_array_equal(twice.data, before)


rows = hnp.arrays(
    st.sampled_from([np.float32, np.float64]),
    st.tuples(st.integers(1, 40), st.integers(1, 5)),
    elements=st.integers(-1000, 1000).map(lambda n: n / 8),
)


@settings(max_examples=150, deadline=None)
@given(X=rows, k=st.integers(1, 6), seed=st.integers(0, 99), offset=st.sampled_from([0, 1e4]))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_properties(X, k, seed, offset):
    X = X + X.dtype.type(offset)
    k = min(k, len(X))
    model = KMeans(k, random_state=seed, tol=0).fit(X)
    assert_nearest(model, X, model.labels_)
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    assert model.cluster_sizes_.sum() == len(X)
    assert model.n_iter_ < 300
    # Inertia falls from each iteration to the next, except for rounding of the centroids to the
    # type of X, at most one unit in the last place of each coordinate.
    step = len(X) * X.shape[1] * np.finfo(X.dtype).eps * (offset + 250)
    history = np.append(model.inertia_history_, model.inertia_)
    if (model.cluster_sizes_ > 0).all():
        assert (np.diff(history) <= step * 500).all()
    # Centroids of a converged model are the means of their rows.
    for j in np.flatnonzero(model.cluster_sizes_):
        mean = X[model.labels_ == j].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(
            model.cluster_centers_[j], mean, rtol=4 * np.finfo(X.dtype).eps, atol=1e-4
        )


@settings(max_examples=50, deadline=None)
@given(X=rows, seed=st.integers(0, 99))
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_order_of_rows_does_not_matter(X, seed):
    X = X + np.random.default_rng(0).normal(size=X.shape).astype(X.dtype)  # no ties
    init = X[: min(3, len(X))]
    order = np.random.default_rng(seed).permutation(len(X))
    a, b = (KMeans(len(init), init=init).fit(rows) for rows in (X, X[order]))
    np.testing.assert_array_equal(a.labels_[order], b.labels_)
    assert a.inertia_ == pytest.approx(b.inertia_, rel=1e-4, abs=1e-6)
