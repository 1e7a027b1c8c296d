"""The same batches, centroids, errors and warnings as scikit-learn's MiniBatchKMeans."""

import inspect
import re

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.cluster as theirs
from threadpoolctl import threadpool_limits

import unsup_fast.cluster as ours


@pytest.fixture(autouse=True)
def one_thread():
    """Run on one thread: several would compete for the cores on so few rows."""
    with threadpool_limits(1):
        yield


def fit_both(X, sample_weight=None, **options):
    return [
        module.MiniBatchKMeans(**options).fit(X, sample_weight=sample_weight)
        for module in (ours, theirs)
    ]


def assert_same(a, b, dtype):
    # One row between two centroids may get the other label in float32: it moves a mean a little.
    atol, rtol = (5e-3, 1e-3) if dtype == np.float32 else (1e-9, 1e-9)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, rtol=rtol, atol=atol)
    assert a.cluster_centers_.dtype == b.cluster_centers_.dtype
    assert a.inertia_ == pytest.approx(b.inertia_, rel=rtol)
    assert a.n_steps_ == b.n_steps_
    assert a._n_since_last_reassign == b._n_since_last_reassign
    assert a._counts.dtype == np.float64
    assert hasattr(a, "labels_") == hasattr(b, "labels_")
    if dtype == np.float64:
        np.testing.assert_allclose(a._counts, b._counts)
        if hasattr(a, "labels_"):
            np.testing.assert_array_equal(a.labels_, b.labels_)


GRID = [
    {},
    {"init": "random"},
    {"batch_size": 100, "max_iter": 3, "max_no_improvement": None},
    {"batch_size": 40, "tol": 1e-3, "max_no_improvement": 2},
    {"batch_size": 5000},
    {"n_init": 4, "compute_labels": False},
    {"reassignment_ratio": 0.5, "batch_size": 50},
    {"reassignment_ratio": 0, "batch_size": 50},
    {"n_clusters": 1, "init_size": 7},
    {"init": "rows", "batch_size": 60},
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", GRID, ids=lambda options: "-".join(options))
def test_grid(blobs, dtype, container, weighted, options):
    X = container(blobs.astype(dtype))
    weight = np.random.default_rng(1).uniform(0.2, 2, len(blobs)) if weighted else None
    options = {"n_clusters": 6, **options}
    if options.get("init") == "rows":
        options |= {"init": blobs[::50].astype(dtype)}
    states = [np.random.RandomState(5) for _ in range(2)]
    a, b = (
        module.MiniBatchKMeans(random_state=state, **options).fit(X, sample_weight=weight)
        for module, state in zip((ours, theirs), states, strict=True)
    )
    assert_same(a, b, dtype)
    assert a.n_iter_ == b.n_iter_
    assert states[0].uniform() == states[1].uniform()  # both generators end in the same state


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("init", ["k-means++", "random", "rows"])
def test_partial_fit(blobs, dtype, container, init):
    rng = np.random.default_rng(2)
    init = blobs[::50] if init == "rows" else init
    models = [
        module.MiniBatchKMeans(6, init=init, batch_size=30, random_state=3)
        for module in (ours, theirs)
    ]
    for number in range(12):
        rows = container(rng.permutation(blobs)[: rng.integers(60, 200)].astype(dtype))
        weight = rng.uniform(0.1, 3, rows.shape[0]) if number % 2 else None
        for model in models:
            model.partial_fit(rows, sample_weight=weight)
        assert_same(*models, dtype)
        assert not hasattr(models[0], "n_iter_")


def test_partial_fit_after_fit(blobs):
    models = fit_both(blobs, n_clusters=6, batch_size=50, random_state=0)
    for rows in np.array_split(blobs, 7):
        for model in models:
            model.partial_fit(rows)
        assert_same(*models, np.float64)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_batches_of_fewer_rows_than_clusters(blobs, n_rows):
    models = [module.MiniBatchKMeans(6, random_state=0) for module in (ours, theirs)]
    for model in models:
        model.partial_fit(blobs)
        for i in range(0, 30, n_rows):
            model.partial_fit(blobs[i : i + n_rows])
    assert_same(*models, np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
def test_more_rare_clusters_than_rows_to_move_to(dtype, seed):
    # One step: once two clusters start from one row, rounding breaks the ties between them.
    X = np.random.default_rng(0).normal(size=(200, 6)).astype(dtype)
    options = {"batch_size": 200, "max_iter": 1, "reassignment_ratio": 1, "init": X[:190]}
    a, b = fit_both(X, n_clusters=190, random_state=seed, **options)
    np.testing.assert_allclose(a.cluster_centers_, b.cluster_centers_, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(a._counts, b._counts)
    assert a.n_steps_ == b.n_steps_ == 1


@pytest.mark.parametrize("options", [{}, {"tol": 0.1}, {"n_init": 2, "reassignment_ratio": 0.5}])
def test_printed_lines(blobs, capsys, options):
    printed = []
    for module in (ours, theirs):
        model = module.MiniBatchKMeans(6, batch_size=50, random_state=0, verbose=1, **options)
        model.fit(blobs)
        lines = capsys.readouterr().out.splitlines()
        printed.append(sorted(re.sub(r"\d+\.\d+|.*\] ", "", line) for line in lines))
    assert printed[0] == printed[1]


def test_no_parameter_or_method_is_missing():
    a, b = ours.MiniBatchKMeans(), theirs.MiniBatchKMeans()
    added = {"metric", "n_threads", "device", "standardize"}
    assert set(a.get_params()) - set(b.get_params()) == added
    for name, value in b.get_params().items():
        assert a.get_params()[name] == value
    assert {name for name in dir(b) if not name.startswith("_")} <= set(dir(a))
    for name in ("fit", "partial_fit", "fit_predict", "predict", "transform", "score"):
        names = [list(inspect.signature(getattr(m, name)).parameters) for m in (a, b)]
        assert names[0][: len(names[1])] == names[1]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"batch_size": 0}, "The 'batch_size' parameter of MiniBatchKMeans must be"),
        ({"init_size": 0}, "The 'init_size' parameter of MiniBatchKMeans must be"),
        ({"max_no_improvement": -1}, "The 'max_no_improvement' parameter of MiniBatchKMeans"),
        ({"reassignment_ratio": -0.1}, "The 'reassignment_ratio' parameter of MiniBatchKMeans"),
        ({"compute_labels": "yes"}, "The 'compute_labels' parameter of MiniBatchKMeans must be"),
        ({"n_clusters": 400}, r"n_samples=300 should be >= n_clusters=400\."),
        ({"init": np.ones((3, 4))}, "does not match the number of clusters 8"),
        ({"init": np.ones((8, 3))}, "does not match the number of features of the data"),
    ],
)
def test_bad_parameters(blobs, method, options, match):
    for module in (ours, theirs):
        with pytest.raises(ValueError, match=match):
            getattr(module.MiniBatchKMeans(**options), method)(blobs)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"init_size": 5}, "init_size=5 should be larger than n_clusters=8"),
        ({"init": np.eye(8, 4), "n_init": 3}, "performing only one init in MiniBatchKMeans inst"),
    ],
)
def test_warnings(blobs, method, options, match):
    for module in (ours, theirs):
        with pytest.warns(RuntimeWarning, match=match) as caught:
            getattr(module.MiniBatchKMeans(random_state=0, **options), method)(blobs)
        assert len(caught) == 1
        assert module is theirs or caught[0].filename == __file__  # ours point at the caller


def test_bad_rows(blobs):
    for module in (ours, theirs):
        model = module.MiniBatchKMeans(3).partial_fit(blobs)
        with pytest.raises(ValueError, match="X has 3 features, but MiniBatchKMeans is expecting"):
            model.partial_fit(blobs[:, :3])
        for method in (model.fit, model.partial_fit):
            with pytest.raises(ValueError, match="Input X contains NaN"):
                method(np.full((5, 4), np.nan))
            with pytest.raises(ValueError, match=r"sample_weight\.shape =="):
                method(blobs, sample_weight=np.ones(3))
