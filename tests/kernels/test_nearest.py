import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from unsup_fast.kernels import _native
from unsup_fast.kernels.assign import assign, error_bound
from unsup_fast.kernels.nearest import nearest

from . import centroids
from .centroids import squared_distances

SHAPES = [  # rows, columns, centroids
    (1, 1, 1),
    (2, 1, 2),
    (15, 3, 7),
    (33, 5, 9),
    (48, 8, 16),
    (97, 17, 33),
    (700, 33, 301),
    (3000, 2, 10),
    (300, 97, 530),
    (60, 1025, 40),
    (30, 2049, 70),
]
TYPES = [np.float32, np.float64]


def make(*shape, **options):
    return centroids.make(*shape, **options)[:2]


def check_against_truth(X, centers, shift, result):
    """Compare with float64 brute force; labels of a row must differ."""
    labels = result.labels
    top = labels.shape[1]
    truth = squared_distances(X, centers)
    bound = error_bound(X, centers, shift)[:, None]
    assert labels.min(initial=0) >= 0
    assert labels.max(initial=0) < len(centers)
    ordered = np.sort(labels, axis=1)
    assert (np.diff(ordered, axis=1) > 0).all()
    own = np.take_along_axis(truth, labels, axis=1)  # [N, m]
    order = np.argsort(truth, axis=1, kind="stable")
    best = np.take_along_axis(truth, order, axis=1)  # [N, K]
    assert (np.abs(own - best[:, :top]) <= bound).all()
    gaps = np.diff(best, axis=1, append=np.inf)[:, :top]
    before = np.concatenate([np.full((len(X), 1), np.inf), gaps[:, :-1]], axis=1)
    clear = np.minimum(gaps, before) > bound
    np.testing.assert_array_equal(labels[clear], order[:, :top][clear])
    unit = np.finfo(X.dtype).eps
    size = np.abs(X.astype(np.float64) - shift).max() + np.abs(centers - shift).max()
    off = unit * np.sqrt(X.shape[1]) * size
    error = 2 * np.sqrt(own) * off + off**2 + (X.shape[1] + 8) * unit * own
    assert (np.abs(result.distances - own) <= error).all()


class Poison:
    """NumPy, but for new arrays that hold NaN or the lowest integer."""

    def __getattr__(self, name):
        return getattr(np, name)

    def empty(self, shape, dtype=float):
        dtype = np.dtype(dtype)
        return np.full(shape, np.nan if dtype.kind == "f" else np.iinfo(dtype).min, dtype)


@pytest.fixture
def poisoned(monkeypatch):
    monkeypatch.setattr("unsup_fast.kernels.nearest.np", Poison())


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_matches_brute_force(shape, dtype, threads, poisoned):
    X, centers = make(*shape, dtype)
    zeros, mean = np.zeros(shape[1], dtype), X.mean(axis=0)
    for top in sorted({1, min(2, shape[2]), min(5, shape[2]), min(16, shape[2])}):
        plain = nearest(X, centers, top, n_threads=threads)
        check_against_truth(X, centers, zeros, plain)
        check_against_truth(
            X, centers, mean, nearest(X, centers, top, shift=mean, n_threads=threads)
        )


@pytest.mark.parametrize("dtype", TYPES)
def test_matches_the_reference(dtype):
    X, centers = make(500, 21, 60, dtype)
    fast = nearest(X, centers, 7, shift=X.mean(axis=0))
    slow = nearest(X, centers, 7, shift=X.mean(axis=0), backend="ref")
    np.testing.assert_array_equal(fast.labels, slow.labels)
    np.testing.assert_allclose(fast.distances, slow.distances, rtol=1e-4)


def test_the_reference_is_that_of_scikit_learn():
    X, centers = make(200, 9, 50, np.float64)
    distances, labels = NearestNeighbors(n_neighbors=6).fit(centers).kneighbors(X)
    result = nearest(X, centers, 6, backend="ref")
    np.testing.assert_array_equal(result.labels, labels)
    np.testing.assert_allclose(np.sqrt(result.distances), distances, rtol=1e-12)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(
    "shape", [(3000, 3, 40), (2000, 40, 100), (900, 300, 700), (100, 1100, 50)], ids=str
)
def test_the_first_is_that_of_assign(shape, dtype, simd):
    X, centers = make(*shape, dtype, offset=50.0)
    shift = X.mean(axis=0)
    one = assign(X, centers, shift=shift, update=False, return_distances=True)
    for top in (1, 6):
        result = nearest(X, centers, top, shift=shift)
        np.testing.assert_array_equal(result.labels[:, 0], one.labels)
        if simd != "numba":  # whose loops may add squares in another order
            np.testing.assert_array_equal(result.distances[:, 0], one.distances)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(5000, 2, 20), (3000, 40, 100), (900, 300, 700)], ids=str)
def test_bitwise_the_same_for_any_number_of_threads(shape, dtype):
    X, centers = make(*shape, dtype)
    runs = [nearest(X, centers, 5, n_threads=threads) for threads in (1, 2, 3)]
    for other in runs[1:]:
        np.testing.assert_array_equal(other.labels, runs[0].labels)
        np.testing.assert_array_equal(other.distances, runs[0].distances)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("columns", [5, 60])
def test_equal_centroids_are_in_the_order_of_their_index(columns, dtype):
    """A score that enters must move equal ones behind it together."""
    X, some = make(400, columns, 6, dtype)
    some = np.round(some * 4) / 4
    X = np.round(X * 4) / 4  # products are exact: equal distances have equal scores
    rng = np.random.default_rng(1)
    for _ in range(5):
        centers = some[rng.integers(0, 6, 23)]
        result = nearest(X, centers, 9)
        truth = squared_distances(X, centers).argsort(axis=1, kind="stable")[:, :9]
        np.testing.assert_array_equal(result.labels, truth)


def test_all_centroids_in_falling_and_rising_order():
    X = np.zeros((50, 3), np.float32)
    centers = np.arange(1, 17, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    assert (nearest(X, centers, 16).labels == np.arange(16)).all()
    assert (nearest(X, centers[::-1].copy(), 16).labels == np.arange(16)[::-1]).all()


@pytest.mark.parametrize("scale", [2.0**-100, 2.0**100])
def test_tiny_and_huge_values_neither_vanish_nor_overflow(scale):
    X, centers = make(300, 9, 40, np.float32)
    plain, scaled = nearest(X, centers, 4), nearest(X * scale, centers * scale, 4)
    np.testing.assert_array_equal(plain.labels, scaled.labels)


def test_far_from_the_origin():
    X, centers = make(2000, 16, 60, np.float32, offset=1e4, spread=0.05)
    shift = X.mean(axis=0)
    check_against_truth(X, centers, shift, nearest(X, centers, 4, shift=shift))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n=st.integers(1, 200),
    d=st.integers(1, 70),
    k=st.integers(1, 60),
    top=st.integers(1, 16),
    offset=st.sampled_from([0.0, 3.0, 1e3, -1e5]),
    spread=st.sampled_from([1e-3, 1.0, 50.0]),
    seed=st.integers(0, 2**31),
)
@pytest.mark.parametrize("dtype", TYPES)
def test_any_data(dtype, n, d, k, top, offset, spread, seed):
    X, centers = make(n, d, k, dtype, offset, spread, seed)
    shift = X.mean(axis=0)
    result = nearest(X, centers, min(top, k), shift=shift)
    check_against_truth(X, centers, shift, result)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_csr_part_by_part(dtype, index, monkeypatch):
    monkeypatch.setattr("unsup_fast.kernels.nearest.PART", 50 * 33)
    rng = np.random.default_rng(1)
    X = sp.random(207, 33, 0.1, "csr", dtype=dtype, random_state=rng)
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    centers = rng.random((40, 33)).astype(dtype)
    result = nearest(X, centers, 5)
    check_against_truth(X.toarray(), centers, np.zeros(33, dtype), result)
    dense = nearest(X.toarray(), centers, 5)
    np.testing.assert_array_equal(result.labels, dense.labels)


def test_labels_alone_and_no_rows():
    X, centers = make(100, 20, 30, np.float32)
    alone = nearest(X, centers, 3, return_distances=False)
    assert alone.distances is None
    np.testing.assert_array_equal(alone.labels, nearest(X, centers, 3).labels)
    assert nearest(X[:0], centers, 3).labels.shape == (0, 3)


@pytest.mark.any_level  # the program that it starts takes the best
def test_ctrl_c_ends_a_pass():
    code = """
import numpy as np
from unsup_fast.kernels.nearest import nearest
X = np.random.default_rng(0).random((40000, 512), dtype=np.float32)
C = np.repeat(X, 2, axis=0)
nearest(X[:9], C[:5], 4)  # compiles where that is done at the first call
print("ready", flush=True)
try:
    nearest(X, C, 4)
    print("finished")
except KeyboardInterrupt:
    print("interrupted")
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.7)
    process.send_signal(2)
    output, _ = process.communicate(timeout=120)
    assert output == "interrupted\n"


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": np.ones((3, 2), dtype=np.int64)}, TypeError, "float32 or float64"),
        ({"X": np.ones((2, 3), dtype=np.float32).T}, ValueError, "C-contiguous"),
        ({"centers": np.ones((20, 2))}, TypeError, "like X"),
        ({"centers": np.ones((20, 3), dtype=np.float32)}, ValueError, "centers has shape"),
        ({"centers": np.ones((0, 2), dtype=np.float32)}, ValueError, "K >= 1"),
        ({"shift": np.ones(3, dtype=np.float32)}, ValueError, "shift"),
        ({"top": 0}, ValueError, "top=0 is not from 1 to 16"),
        ({"top": 17}, ValueError, "at most 16"),
        ({"centers": np.ones((4, 2), dtype=np.float32), "top": 5}, ValueError, "there are 4"),
        ({"top": 2.0}, TypeError, "top must be an integer"),
        ({"n_threads": 0}, ValueError, "n_threads=0"),
        ({"backend": "triton"}, ValueError, "backend='triton'"),
        ({"X": sp.csc_matrix(np.ones((3, 2), dtype=np.float32))}, TypeError, "CSR"),
    ],
)
def test_wrong_arguments(change, error, message):
    arguments = {
        "X": np.ones((3, 2), dtype=np.float32),
        "centers": np.ones((20, 2), dtype=np.float32),
        "top": 2,
    } | change
    with pytest.raises(error, match=message):
        nearest(**arguments)


def test_tensors_are_refused_by_name():
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"on device 'cpu'; pass X.cpu\(\).numpy\(\)"):
        nearest(torch.ones(3, 2), np.ones((3, 2), np.float32), 1)


@pytest.mark.native
def test_the_binding_guards_its_memory():
    X, centers = make(20, 3, 5, np.float32)
    arguments = {"X": X, "centers": centers, "shift": np.zeros(3, np.float32), "distances": None}
    for shape in ((19, 2), (20, 0), (20, 6)):
        with pytest.raises(ValueError, match="labels must"):
            _native.nearest(**arguments, labels=np.zeros(shape, np.int32), n_threads=1)
