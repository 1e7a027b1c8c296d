"""The same results, errors and warnings as scikit-learn's KMeans."""

import inspect
import re
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.cluster as theirs
from sklearn.exceptions import ConvergenceWarning

import unsup_fast.cluster as ours


def fit_both(X, k, sample_weight=None, **options):
    return [
        module.KMeans(k, **options).fit(X, sample_weight=sample_weight) for module in (ours, theirs)
    ]


def assert_same(a, b, dtype):
    rtol = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_array_equal(a.labels_, b.labels_)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, rtol=rtol, atol=rtol)
    assert a.inertia_ == pytest.approx(b.inertia_, rel=rtol)
    assert a.n_iter_ == b.n_iter_
    assert a.labels_.dtype == b.labels_.dtype
    assert a.cluster_centers_.dtype == b.cluster_centers_.dtype
    assert a.n_features_in_ == b.n_features_in_


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_matrix, sp.csr_array, sp.coo_array])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("init", ["k-means++", "random", "rows"])
@pytest.mark.parametrize(("max_iter", "tol"), [(1, 1e-4), (5, 0), (300, 1e-4), (300, 0)])
def test_grid(blobs, dtype, container, weighted, init, max_iter, tol):
    X = container(blobs.astype(dtype))
    weight = np.random.default_rng(1).uniform(0.5, 2, len(blobs)) if weighted else None
    init = blobs[::50].astype(dtype) if init == "rows" else init
    n_init = 1 if not isinstance(init, str) else 2
    a, b = fit_both(
        X, 6, weight, init=init, n_init=n_init, max_iter=max_iter, tol=tol, random_state=4
    )
    assert_same(a, b, dtype)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [1, 2, 9, 40])
def test_seeds(blobs, seed, k):
    assert_same(*fit_both(blobs, k, random_state=seed, n_init=3), np.float64)
    for name in ("choice", "uniform"):  # both generators end in the same state
        states = [np.random.RandomState(seed) for _ in range(2)]
        ours.KMeans(k, random_state=states[0]).fit(blobs)
        theirs.KMeans(k, random_state=states[1]).fit(blobs)
        arguments = (100,) if name == "choice" else ()
        assert getattr(states[0], name)(*arguments) == getattr(states[1], name)(*arguments)


def test_empty_clusters_are_relocated_alike(blobs):
    init = np.concatenate([blobs[:3], blobs.max(axis=0) + 100 + blobs[:3]])
    for X in (blobs, sp.csr_array(blobs)):
        a, b = fit_both(X, 6, init=init, n_init=1)
        assert_same(a, b, np.float64)
        assert a.cluster_sizes_.min() > 0


def test_fewer_distinct_rows_than_clusters():
    X = np.repeat(np.random.default_rng(0).normal(size=(4, 3)), 5, axis=0)
    for model in (ours.KMeans(7, random_state=0), theirs.KMeans(7, random_state=0)):
        with pytest.warns(
            ConvergenceWarning,
            match=re.escape("Number of distinct clusters (4) found smaller than n_clusters (7)"),
        ):
            model.fit(X)
        assert model.inertia_ == pytest.approx(0, abs=1e-25)
        assert len(np.unique(model.labels_)) == 4
        assert np.isfinite(model.cluster_centers_).all()


def test_a_row_without_weight_founds_no_cluster():
    # Row 3 is the farthest, but its weight is 0: no cluster may be relocated to it.
    X = np.array([[0.0], [1.0], [2.0], [1000.0]])
    model = ours.KMeans(2, init=[[0.5], [5000.0]]).fit(X, sample_weight=[1, 1, 1, 0])
    assert sorted(model.cluster_centers_.ravel()) in ([0.5, 2.0], [0.0, 1.5])
    assert model.inertia_ == 0.5


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.float16, bool, object])
def test_other_types_become_float64(dtype):
    X = np.random.default_rng(0).integers(0, 9, size=(60, 3)).astype(dtype)
    a, b = fit_both(X, 3, random_state=0)
    assert a.cluster_centers_.dtype == b.cluster_centers_.dtype == np.float64


def test_seeding_and_function(blobs):
    for options in ({}, {"n_local_trials": 1}, {"sample_weight": np.arange(300.0)}):
        a = ours.kmeans_plusplus(blobs, 9, random_state=5, **options)
        b = theirs.kmeans_plusplus(blobs, 9, random_state=5, **options)
        np.testing.assert_array_equal(a[1], b[1])
        np.testing.assert_array_equal(a[0], b[0])
    a = ours.k_means(blobs, 4, random_state=1, return_n_iter=True)
    b = theirs.k_means(blobs, 4, random_state=1, return_n_iter=True)
    np.testing.assert_array_equal(a[1], b[1])
    assert a[3] == b[3]
    assert len(ours.k_means(blobs, 4, random_state=1)) == 3


def test_zero_weight_rows_are_no_seeds(blobs):
    weight = np.zeros(len(blobs))
    weight[::7] = 1
    for init in ("k-means++", "random"):
        a, b = fit_both(blobs, 5, weight, init=init, n_init=1, max_iter=1, random_state=3)
        assert_same(a, b, np.float64)
    _, chosen = ours.kmeans_plusplus(blobs, 20, sample_weight=weight, random_state=0)
    assert (weight[chosen] == 1).all()


def test_callable_init_gets_the_rows_as_they_are(blobs):
    seen = []

    def init(X, n_clusters, random_state):
        seen.append((X, random_state))
        return X[:n_clusters]

    model = ours.KMeans(3, init=init, n_init=2, random_state=0).fit(blobs)
    assert np.shares_memory(seen[0][0], blobs)
    assert isinstance(seen[0][1], np.random.RandomState)
    assert_same(model, theirs.KMeans(3, init=blobs[:3]).fit(blobs), np.float64)


def test_no_parameter_or_method_is_missing():
    for name in ("KMeans", "k_means", "kmeans_plusplus"):
        mine = inspect.signature(getattr(ours, name)).parameters
        for parameter, other in inspect.signature(getattr(theirs, name)).parameters.items():
            assert mine[parameter].kind == other.kind
            if parameter != "algorithm":
                assert mine[parameter].default == other.default
    public = {name for name in dir(theirs.KMeans) if not name.startswith("_")}
    assert public <= set(dir(ours.KMeans))


BAD = [
    ({"n_clusters": 0}, "The 'n_clusters' parameter of KMeans must be"),
    ({"n_clusters": 2.5}, "The 'n_clusters' parameter of KMeans must be"),
    ({"init": "best"}, "The 'init' parameter of KMeans must be"),
    ({"n_init": 0}, "The 'n_init' parameter of KMeans must be"),
    ({"max_iter": 0}, "The 'max_iter' parameter of KMeans must be"),
    ({"tol": -1.0}, "The 'tol' parameter of KMeans must be"),
    ({"algorithm": "wrong"}, "The 'algorithm' parameter of KMeans must be"),
    ({"random_state": "a"}, "The 'random_state' parameter of KMeans must be"),
    ({"n_clusters": 400}, r"n_samples=300 should be >= n_clusters=400\."),
    ({"n_clusters": 2, "init": np.ones((3, 4))}, "does not match the number of clusters 2"),
    ({"n_clusters": 2, "init": np.ones((2, 3))}, "does not match the number of features of the da"),
    ({"n_clusters": 2, "init": lambda X, k, random_state: X[:1]}, "does not match the number of"),
]


@pytest.mark.parametrize(("options", "match"), BAD)
def test_bad_parameters(blobs, options, match):
    for module in (ours, theirs):
        with pytest.raises(ValueError, match=match):
            module.KMeans(**options).fit(blobs)


@pytest.mark.parametrize(
    ("X", "match"),
    [
        ([[np.nan, 0], [1, 2]], "Input X contains NaN."),
        ([[np.inf, 0], [1, 2]], r"Input X contains infinity or a value too large for dtype"),
        (np.empty((0, 3)), r"Found array with 0 sample\(s\)"),
        (np.empty((3, 0)), r"Found array with 0 feature\(s\)"),
        (np.arange(4.0), "Expected 2D array, got 1D array instead"),
        (np.zeros((2, 2, 2)), "Found array with dim 3"),
        ([["a", "b"]], "could not convert string to float"),
        (np.array([[1j, 2]]), "Complex data not supported"),
    ],
)
def test_bad_rows(blobs, X, match):
    for module in (ours, theirs):
        with pytest.raises(ValueError, match=match):
            module.KMeans(1).fit(X)
        with pytest.raises(ValueError, match=match):
            module.KMeans(2).fit(blobs[:, :2]).predict(X)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_bad_values_are_located(blobs, container, bad):
    X = blobs.copy()
    X[123, 2] = X[200, 1] = bad
    model = ours.KMeans(2).fit(blobs)
    for method in (model.predict, model.transform, model.score, ours.KMeans(2).fit):
        with pytest.raises(ValueError, match=r"The first is in row 123, column 2 \("):
            method(container(X))


@pytest.mark.parametrize(
    ("weight", "their_match", "our_match"),
    [
        (np.ones(3), "sample_weight.shape ==", "sample_weight.shape =="),
        (np.ones((300, 2)), "Sample weights must be 1D", r"sample_weight.shape == \(300, 2\)"),
        (np.full(300, np.nan), "Input sample_weight contains NaN", "row 0 is nan; weights must be"),
    ],
)
def test_bad_weights(blobs, weight, their_match, our_match):
    for module, match in ((ours, our_match), (theirs, their_match)):
        with pytest.raises(ValueError, match=match):
            module.KMeans(2, random_state=0).fit(blobs, sample_weight=weight)


def test_weights_that_cancel(blobs):
    weight = np.where(np.arange(300) % 2, 1.0, -1.0)
    model = ours.KMeans(2, init=blobs[:2])
    for value in (weight, float("nan")):
        with pytest.raises(ValueError, match=r"row 0 is .*; weights must be >= 0 and finite"):
            model.fit(blobs, sample_weight=value)
    with pytest.raises(ValueError, match=r"row 0 is -1\.0; weights must be >= 0 and finite"):
        ours.kmeans_plusplus(blobs, 2, sample_weight=weight)
    with pytest.raises(ValueError, match="of every row is 0; at least one weight must be above ze"):
        model.fit(blobs, sample_weight=np.zeros(300))


@pytest.mark.parametrize(
    ("options", "category", "match"),
    [
        ({"n_clusters": 1, "algorithm": "elkan"}, RuntimeWarning, "doesn't make sense for a sing"),
        (
            {"n_clusters": 2, "n_init": 3, "init": np.eye(2, 4)},
            RuntimeWarning,
            "Explicit initial center position passed: performing only one init in KMeans instead "
            "of n_init=3",
        ),
    ],
)
def test_warnings(blobs, options, category, match):
    for module in (ours, theirs):
        with pytest.warns(category, match=match) as caught:
            module.KMeans(**options).fit(blobs)
        assert len(caught) == 1
        assert module is theirs or caught[0].filename == __file__  # ours point at the caller


def test_no_warning_for_constant_rows():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ours.KMeans(1).fit(np.ones((5, 2))).inertia_ == 0
