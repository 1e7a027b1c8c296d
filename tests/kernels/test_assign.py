import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unsup_fast.kernels import _native
from unsup_fast.kernels.assign import assign, error_bound

from .centroids import make, squared_distances

SHAPES = [  # rows, columns, centroids
    (1, 1, 1),
    (2, 1, 2),
    (5, 2, 3),
    (15, 3, 7),
    (17, 4, 8),
    (33, 5, 9),
    (47, 7, 10),
    (48, 8, 11),
    (49, 15, 16),
    (96, 16, 17),
    (97, 17, 33),
    (1000, 33, 100),
    (5000, 2, 10),
    (4100, 3, 64),
    (300, 97, 130),
    (200, 784, 100),
    (130, 1025, 40),
    (60, 2049, 70),
]
TYPES = [np.float32, np.float64]


def check_against_truth(X, centers, weight, shift, result):
    """Compare with float64 brute force."""
    truth = squared_distances(X, centers)
    best = truth.min(axis=1)
    rows = np.arange(len(X))
    excess = truth[rows, result.labels] - best
    assert (excess <= error_bound(X, centers, shift)).all()
    w = np.ones(len(X)) if weight is None else weight.astype(np.float64)
    unit = np.finfo(X.dtype).eps
    x = X.astype(np.float64) - (0 if shift is None else shift.astype(np.float64))
    scale = np.abs(x).max() + np.finfo(np.float64).tiny
    sums = np.zeros(centers.shape)
    np.add.at(sums, result.labels, w[:, None] * x)
    # One rounding of x - shift; the additions are in double.
    assert np.abs(result.sums - sums).max() <= unit * scale * w.sum()
    np.testing.assert_allclose(
        result.weights, np.bincount(result.labels, w, len(centers)), rtol=1e-12
    )
    # Row and centroid are each rounded once when shifted, then squares are summed in X's type.
    nearest = truth[rows, result.labels]
    shifted = centers.astype(np.float64) - (0 if shift is None else shift.astype(np.float64))
    off = unit * np.sqrt(X.shape[1]) * (scale + np.abs(shifted).max())
    error = 2 * np.sqrt(nearest) * off + off**2 + (X.shape[1] + 8) * unit * nearest
    assert abs(result.inertia - w @ nearest) <= w @ error
    if result.distances is not None:
        assert (np.abs(result.distances - nearest) <= error).all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_matches_brute_force(shape, dtype, threads):
    n, _, k = shape
    X, centers, weight = make(*shape, dtype)
    shift = X.mean(axis=0)
    for w in (None, weight):
        for s in (None, shift):
            labels = np.full(n, -7, dtype=np.int32)
            result = assign(
                X,
                centers,
                sample_weight=w,
                shift=s,
                labels=labels,
                return_distances=True,
                n_threads=threads,
            )
            assert result.labels is labels
            assert result.n_changed == n
            assert labels.min() >= 0
            assert labels.max() < k
            check_against_truth(X, centers, w, s, result)
            again = assign(X, centers, labels=labels, shift=s, update=False, n_threads=threads)
            assert again.n_changed == 0
            assert again.sums is None


@pytest.mark.parametrize("dtype", TYPES)
def test_matches_the_reference(dtype):
    X, centers, weight = make(500, 21, 30, dtype)
    fast = assign(X, centers, sample_weight=weight, shift=X.mean(axis=0), return_distances=True)
    slow = assign(
        X,
        centers,
        sample_weight=weight,
        shift=X.mean(axis=0),
        return_distances=True,
        backend="ref",
    )
    np.testing.assert_array_equal(fast.labels, slow.labels)
    np.testing.assert_allclose(fast.sums, slow.sums, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(fast.weights, slow.weights, rtol=1e-12)
    np.testing.assert_allclose(fast.inertia, slow.inertia, rtol=1e-6)
    np.testing.assert_allclose(fast.distances, slow.distances, rtol=1e-4)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(10000, 2, 10), (9000, 40, 100), (3000, 300, 700)], ids=str)
def test_bitwise_the_same_for_any_number_of_threads(shape, dtype):
    X, centers, weight = make(*shape, dtype)
    runs = [
        assign(X, centers, sample_weight=weight, return_distances=True, n_threads=t)
        for t in (1, 2, 3, 8)
    ]
    for other in runs[1:]:
        for one, two in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("columns", [2, 16, 64])
def test_far_from_the_origin_no_label_is_wrong(columns):
    X, centers, _ = make(3000, columns, 40, np.float32, offset=1e4, spread=0.05)
    truth = squared_distances(X, centers)
    result = assign(X, centers, shift=X.mean(axis=0))
    best_two = np.sort(truth, axis=1)[:, :2]
    clear = best_two[:, 1] - best_two[:, 0] > error_bound(X, centers, X.mean(axis=0))
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(result.labels[clear], truth.argmin(axis=1)[clear])
    wrong = result.labels != truth.argmin(axis=1)
    assert wrong.mean() < 1e-3


@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20, 1e30])
def test_tiny_and_huge_values_neither_vanish_nor_overflow(scale):
    X, centers, _ = make(500, 9, 20, np.float32)
    power = np.float32(2.0 ** np.round(np.log2(scale)))
    plain, scaled = assign(X, centers), assign(X * power, centers * power)
    np.testing.assert_array_equal(plain.labels, scaled.labels)
    np.testing.assert_allclose(scaled.sums / float(power), plain.sums, rtol=1e-12)
    np.testing.assert_allclose(scaled.inertia / float(power) ** 2, plain.inertia, rtol=1e-12)


def test_equal_centroids_go_to_the_lowest_index():
    X, centers, _ = make(200, 5, 7, np.float32)
    doubled = np.vstack([centers, centers])
    assert assign(X, doubled).labels.max() < 7


@pytest.mark.parametrize("dtype", TYPES)
def test_rows_equal_to_their_centroid_have_distance_zero(dtype):
    X, _, _ = make(100, 13, 1, dtype, offset=5.0)
    result = assign(X, X[::-1].copy(), shift=X.mean(axis=0), return_distances=True)
    np.testing.assert_array_equal(result.labels, np.arange(100)[::-1])
    assert result.inertia == 0
    assert (result.distances == 0).all()


def test_counts_and_sums_do_not_saturate():
    n = 2**25 + 3
    X = np.ones((n, 1), dtype=np.float32)
    result = assign(X, np.array([[1.0], [5.0]], dtype=np.float32))
    assert result.weights.tolist() == [n, 0]
    assert result.sums.ravel().tolist() == [n, 0]


def test_labels_alone():
    X, centers, _ = make(700, 20, 30, np.float32)
    alone = assign(X, centers, update=False, return_inertia=False)
    np.testing.assert_array_equal(alone.labels, assign(X, centers).labels)
    assert np.isnan(alone.inertia)


@pytest.mark.native
def test_the_binding_guards_its_threads():
    X, centers, _ = make(700, 20, 30, np.float32)
    labels = np.zeros(700, dtype=np.int32)
    missing = ("sample_weight", "shift", "sums", "weights", "distances")
    arguments = {"X": X, "centers": centers, "labels": labels, **dict.fromkeys(missing)}
    arguments |= {"inertia": False, "labels_current": False}
    result = _native.assign(**arguments, n_threads=1)
    assert result[0] == 0
    with pytest.raises(ValueError, match="at least 1"):
        _native.assign(**arguments, n_threads=0)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("threads", [1, 2])
def test_known_labels_lead_to_the_same(container, threads):
    X, centers, weight = make(5000, 20, 30, np.float32)
    X = container(X)
    options = {"sample_weight": weight, "return_distances": True, "n_threads": threads}
    first = assign(X, centers, **options)
    again = assign(X, centers, labels=first.labels.copy(), labels_current=True, **options)
    assert again.n_changed == 0
    assert again.inertia == first.inertia
    for name in ("labels", "sums", "weights", "distances"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    with pytest.raises(ValueError, match="needs labels"):
        assign(X, centers, labels_current=True)
    with pytest.raises(ValueError, match="out of range"):
        assign(X, centers, labels=np.full(5000, 30, dtype=np.int32), labels_current=True)


def test_no_rows():
    centers = np.ones((3, 2), dtype=np.float32)
    result = assign(np.empty((0, 2), dtype=np.float32), centers)
    assert result.labels.shape == (0,)
    assert result.inertia == 0
    assert (result.sums == 0).all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (200, 50, 7), (700, 33, 300), (90, 400, 97)], ids=str)
def test_csr_matches_brute_force(shape, dtype, index):
    n, d, k = shape
    rng = np.random.default_rng(1)
    X = sp.random(n, d, 0.1, "csr", dtype=dtype, random_state=rng)
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    centers = rng.random((k, d)).astype(dtype)
    weight = rng.random(n).astype(dtype)
    runs = [
        assign(X, centers, sample_weight=weight, return_distances=True, n_threads=t) for t in (1, 2)
    ]
    check_against_truth(X.toarray(), centers, weight, None, runs[0])
    for one, two in zip(*runs, strict=True):
        np.testing.assert_array_equal(one, two)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n=st.integers(1, 300),
    d=st.integers(1, 70),
    k=st.integers(1, 60),
    offset=st.sampled_from([0.0, 3.0, 1e3, -1e5]),
    spread=st.sampled_from([1e-3, 1.0, 50.0]),
    seed=st.integers(0, 2**31),
)
@pytest.mark.parametrize("dtype", TYPES)
def test_any_data(dtype, n, d, k, offset, spread, seed):
    X, centers, weight = make(n, d, k, dtype, offset, spread, seed)
    shift = X.mean(axis=0)
    result = assign(X, centers, sample_weight=weight, shift=shift, return_distances=True)
    check_against_truth(X, centers, weight, shift, result)


@pytest.mark.any_level  # the program that it starts takes the best
def test_ctrl_c_ends_a_pass():
    code = """
import numpy as np
from unsup_fast.kernels.assign import assign
X = np.random.default_rng(0).random((40000, 512), dtype=np.float32)
C = np.repeat(X, 2, axis=0)
assign(X[:9], C[:3])  # compiles where that is done at the first call
print("ready", flush=True)
try:
    assign(X, C)
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


def test_called_from_several_python_threads():
    X, centers, _ = make(4000, 30, 50, np.float32)
    expected = assign(X, centers)
    results = []
    workers = [
        threading.Thread(target=lambda: results.append(assign(X, centers, n_threads=2)))
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for result in results:
        np.testing.assert_array_equal(result.sums, expected.sums)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": np.ones((3, 2), dtype=np.int64)}, TypeError, "float32 or float64"),
        ({"X": np.ones(3, dtype=np.float32)}, TypeError, "2-D"),
        ({"X": np.ones((2, 3), dtype=np.float32).T}, ValueError, "C-contiguous"),
        ({"centers": np.ones((2, 2))}, TypeError, "like X"),
        ({"centers": np.ones((2, 3), dtype=np.float32)}, ValueError, "centers has shape"),
        ({"centers": np.ones((0, 2), dtype=np.float32)}, ValueError, "K >= 1"),
        ({"sample_weight": np.ones(4, dtype=np.float32)}, ValueError, "sample_weight"),
        ({"shift": np.ones(3, dtype=np.float32)}, ValueError, "shift"),
        ({"labels": np.ones(3, dtype=np.int64)}, TypeError, "labels"),
        ({"X": np.ones((3, 0), dtype=np.float32)}, ValueError, "no columns"),
        ({"n_threads": 0}, ValueError, "n_threads=0"),
        ({"n_threads": 1.5}, TypeError, "n_threads"),
        ({"backend": "triton"}, ValueError, "backend='triton'"),
        ({"X": sp.csc_matrix(np.ones((3, 2), dtype=np.float32))}, TypeError, "CSR"),
    ],
)
def test_wrong_arguments(change, error, message):
    arguments = {
        "X": np.ones((3, 2), dtype=np.float32),
        "centers": np.ones((2, 2), dtype=np.float32),
    } | change
    with pytest.raises(error, match=message):
        assign(arguments.pop("X"), arguments.pop("centers"), **arguments)


def test_a_malformed_csr_matrix_is_refused():
    X = sp.csr_matrix(np.ones((3, 2), dtype=np.float32))
    X.indices[0] = 9
    with pytest.raises(ValueError, match="out of range"):
        assign(X, np.ones((2, 2), dtype=np.float32))


@pytest.mark.native
def test_simd_levels(simd):
    assert _native.simd() == simd
    with pytest.raises(RuntimeError, match="v9 is not a level of this machine"):
        _native.use_simd("v9")
    code = "from unsup_fast.kernels import _native; _native.simd()"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"UNSUP_FAST_SIMD": "v9", "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert "UNSUP_FAST_SIMD=v9 is not a level of this machine; it has base" in run.stderr
