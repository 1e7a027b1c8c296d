"""SciPy matrices whose indices do not fit their shape are refused; empty ones are not."""

import numpy as np
import pytest
import scipy.sparse as sp

from unsup_fast import blocks
from unsup_fast.cluster import KMeans, MiniBatchKMeans, kmeans_plusplus
from unsup_fast.decomposition import PCA, IncrementalPCA

N, D = 30, 6


def matrix():
    return sp.random_array((N, D), density=0.4, rng=np.random.default_rng(0), format="csr")


def index(X, value):
    X.indices[3] = value


def pointer(X, where, value):
    X.indptr[where] = value


WRONG = {
    "a negative index": lambda X: index(X, -1),
    "an index past the last column": lambda X: index(X, D),
    "an index far off": lambda X: index(X, 2**30),
    "indices of floats": lambda X: setattr(X, "indices", X.indices.astype(float)),
    "indices of two dimensions": lambda X: setattr(X, "indices", X.indices[:, None]),
    "pointers that fall": lambda X: pointer(X, 5, X.indptr[7] + 1),
    "a first pointer of 1": lambda X: pointer(X, 0, 1),
    "a first pointer of -1": lambda X: pointer(X, 0, -1),
    "a last pointer past the end": lambda X: pointer(X, -1, X.indptr[-1] + 5),
    "too few pointers": lambda X: setattr(X, "indptr", X.indptr[:-1]),
    "too many pointers": lambda X: setattr(X, "indptr", np.r_[X.indptr, X.indptr[-1]]),
    "too few values": lambda X: setattr(X, "data", X.data[:-2]),
    "too few indices": lambda X: setattr(X, "indices", X.indices[:-2]),
}

FITS = {
    "KMeans": lambda X: KMeans(2, n_init=1, random_state=0).fit(X),
    "KMeans, random": lambda X: KMeans(2, init="random", n_init=1, random_state=0).fit(X),
    "MiniBatchKMeans": lambda X: MiniBatchKMeans(2, n_init=1, random_state=0).fit(X),
    "partial_fit": lambda X: MiniBatchKMeans(2, random_state=0).partial_fit(X),
    "kmeans_plusplus": lambda X: kmeans_plusplus(X, 2, random_state=0),
    "PCA": lambda X: PCA(2, random_state=0).fit(X),
    "PCA, covariance": lambda X: PCA(2, svd_solver="covariance_eigh").fit(X),
    "IncrementalPCA": lambda X: IncrementalPCA(2).fit(X),
    "source": blocks.source,
}


@pytest.fixture(scope="module")
def methods():
    """Return all fits, and methods of fitted models."""
    kmeans, pca = KMeans(2, n_init=1, random_state=0).fit(matrix()), PCA(2).fit(matrix())
    return [*FITS.values(), kmeans.predict, kmeans.transform, kmeans.score, pca.transform]


@pytest.mark.parametrize("what", WRONG)
def test_indices_that_do_not_fit_are_refused(methods, what):
    for method in methods:
        X = matrix()
        WRONG[what](X)
        with pytest.raises(ValueError, match="sparse X"):
            method(X)


@pytest.mark.parametrize("kind", ["csc", "coo", "bsr"])
def test_other_formats_are_checked_before_they_are_converted(methods, kind):
    X = matrix().asformat(kind)
    (X.coords[1] if kind == "coo" else X.indices)[0] = 99
    for method in methods:
        with pytest.raises(ValueError, match=r"sparse X has .* indices"):
            method(X)


def lists(X):
    X.rows[2], X.data[2] = [99], [1.0]


def longer_lists(X):
    X.data[2] = [1.0] * (len(X.rows[2]) + 5000)


def key(X):
    X._dict[3, 99] = 1.0


@pytest.mark.parametrize(("kind", "change"), [("lil", lists), ("lil", longer_lists), ("dok", key)])
def test_lists_and_keys_are_checked_too(methods, kind, change):
    X = matrix().asformat(kind)
    change(X)
    for method in methods:
        with pytest.raises(ValueError, match="sparse X"):
            method(X)


def test_other_formats_are_rows_too():
    for kind in ("lil", "dok", "dia"):
        X = matrix().asformat(kind)
        expected = KMeans(2, n_init=1, random_state=0).fit(matrix())
        assert KMeans(2, n_init=1, random_state=0).fit(X).inertia_ == expected.inertia_


def test_one_dimension_is_refused(methods):
    for method in methods:
        with pytest.raises(ValueError, match=r"shape \(?5"):
            method(sp.coo_array(np.arange(5.0)))


def doubled():
    """Return the matrix with its first value as two entries, and spare memory at the end."""
    X = matrix()
    data = np.r_[X.data[0] / 4, X.data[0] * 3 / 4, X.data[1:], np.nan]
    indices = np.r_[X.indices[0], X.indices, 99]
    whole = X.copy()
    whole.data, whole.indices, whole.indptr = data, indices, np.r_[0, X.indptr[1:] + 1]
    return whole


def backwards():
    X = matrix()
    order = np.concatenate([np.arange(*X.indptr[i : i + 2])[::-1] for i in range(N)])
    return sp.csr_array((X.data[order], X.indices[order], X.indptr), shape=X.shape)


@pytest.mark.parametrize("entries", [doubled, backwards])
def test_entries_twice_or_in_any_order_are_the_same_rows(entries):
    X, dense = entries(), matrix().toarray()
    for solver in ("arpack", "covariance_eigh"):
        model, expected = PCA(2, svd_solver=solver).fit(X), PCA(2, svd_solver="full").fit(dense)
        np.testing.assert_allclose(model.explained_variance_, expected.explained_variance_)
        np.testing.assert_allclose(model.transform(X), expected.transform(dense), atol=1e-10)
    model, expected = (KMeans(2, n_init=1, random_state=0).fit(rows) for rows in (X, matrix()))
    np.testing.assert_array_equal(model.labels_, expected.labels_)
    assert model.inertia_ == pytest.approx(expected.inertia_)


def test_entries_changed_after_a_look_at_their_order():
    X = matrix()
    assert X.has_canonical_format  # SciPy remembers this
    X.indices[1] = X.indices[0]
    expected = KMeans(2, n_init=1, random_state=0).fit(X.toarray())
    assert KMeans(2, n_init=1, random_state=0).fit(X).inertia_ == pytest.approx(expected.inertia_)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_rows_of_zeros(dtype, explicit):
    X = sp.csr_array((N, D), dtype=dtype)
    if explicit:
        X = sp.csr_array((np.zeros(3, dtype), [0, 1, 2], [0] + [3] * N), shape=(N, D))
    for fit in FITS.values():
        fit(X)
    for model in (PCA(2), PCA(2, whiten=True), IncrementalPCA(2, whiten=True), PCA()):
        z = model.fit(X).transform(X)
        np.testing.assert_array_equal(z, 0)
        np.testing.assert_array_equal(model.explained_variance_, 0)
        np.testing.assert_array_equal(model.explained_variance_ratio_, 0)
        k = model.n_components_
        np.testing.assert_array_equal(model.components_ @ model.components_.T, np.eye(k))
    assert KMeans(2, n_init=1).fit(X).inertia_ == 0
