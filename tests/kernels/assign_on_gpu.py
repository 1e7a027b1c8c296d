"""Run by test_gpu_cases.py."""

import numpy as np
import pytest
import torch
import triton
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.kernels.assign import assign, error_bound, triton_
from unsup_fast.kernels.assign.triton_ import AssignCache

DEVICE = "cpu" if triton.knobs.runtime.interpret else "cuda"
F32, F64 = np.float32, np.float64
CASES = [  # rows, columns, centroids, type, offset, weights or not, shift or not
    (1, 1, 1, F32, 0.0, False, True),
    (15, 3, 7, F64, 1e4, True, False),
    (17, 2, 1, F32, 0.0, True, False),
    (33, 17, 33, F32, 1e4, False, True),
    (97, 15, 130, F64, 0.0, True, True),
    (49, 97, 70, F32, 0.0, True, False),
    (16, 300, 40, F32, 1e4, True, True),
    (15, 257, 17, F64, 0.0, False, False),
]
if DEVICE == "cuda":  # the interpreter takes its time
    CASES += [
        (5000, 64, 64, F32, 1e4, False, True),
        (20000, 256, 3000, F32, 0.0, True, True),
        (3000, 784, 1000, F64, 0.0, False, False),
    ]


def on(value):
    return None if value is None else torch.from_numpy(np.ascontiguousarray(value)).to(DEVICE)


def off(result):
    return type(result)(*(None if value is None else value.cpu().numpy() for value in result))


def run(X, centers, weight=None, shift=None, **options):
    return off(assign(on(X), on(centers), sample_weight=on(weight), shift=on(shift), **options))


def make(n, d, k, dtype, offset=0.0, spread=1.0, seed=0):
    rng = np.random.default_rng(seed)
    X = (rng.normal(size=(n, d)) * spread + offset).astype(dtype)
    centers = (X[rng.integers(0, n, k)] + rng.normal(size=(k, d)) * spread * 0.3).astype(dtype)
    return X, centers, rng.random(n).astype(dtype)


def squared_distances(X, centers):
    x, c = X.astype(np.float64), centers.astype(np.float64)
    return np.stack([((x - row) ** 2).sum(axis=1) for row in c], axis=1)  # [N, K]


def check_against_truth(X, centers, weight, shift, result):
    truth = squared_distances(X, centers)
    nearest = truth[np.arange(len(X)), result.labels]
    assert (nearest - truth.min(axis=1) <= error_bound(X, centers, shift)).all()
    w = np.ones(len(X)) if weight is None else weight.astype(np.float64)
    origin = 0 if shift is None else shift.astype(np.float64)
    x = X.astype(np.float64) - origin
    unit = np.finfo(X.dtype).eps
    scale = np.abs(x).max() + np.finfo(np.float64).tiny
    sums = np.zeros(centers.shape)
    np.add.at(sums, result.labels, w[:, None] * x)
    assert np.abs(result.sums - sums).max() <= unit * scale * w.sum()
    np.testing.assert_allclose(
        result.weights, np.bincount(result.labels, w, len(centers)), rtol=1e-12
    )
    away = unit * np.sqrt(X.shape[1]) * (scale + np.abs(centers.astype(np.float64) - origin).max())
    error = 2 * np.sqrt(nearest) * away + away**2 + (X.shape[1] + 8) * unit * nearest
    assert abs(result.inertia - w @ nearest) <= w @ error
    assert (np.abs(result.distances - nearest) <= error).all()


def poison(monkeypatch):
    """Make torch.empty and its kin return NaN, or the like of it."""
    for name in ("empty", "empty_like"):
        make_one = getattr(torch, name)

        def poisoned(*args, make_one=make_one, **kwargs):
            tensor = make_one(*args, **kwargs)
            return tensor.fill_(float("nan") if tensor.is_floating_point() else -(2**31) + 5)

        monkeypatch.setattr(torch, name, poisoned)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "{}x{} k={} {.__name__}".format(*case))
def test_matches_brute_force(case, monkeypatch):
    poison(monkeypatch)
    n, d, k, dtype, offset, weighted, shifted = case
    X, centers, weight = make(n, d, k, dtype, offset, 0.05 if offset else 1.0)
    weight, shift = weight if weighted else None, X.mean(axis=0) if shifted else None
    labels = torch.full((n,), -7, dtype=torch.int32, device=DEVICE)
    result = run(X, centers, weight, shift, labels=labels, return_distances=True)
    assert result.labels.dtype == np.int32
    np.testing.assert_array_equal(result.labels, labels.cpu().numpy())
    assert result.n_changed == n
    check_against_truth(X, centers, weight, shift, result)


def test_labels_alone():
    X, centers, _ = make(50, 20, 30, np.float32)
    labels = torch.zeros(50, dtype=torch.int32, device=DEVICE)
    alone = run(X, centers, labels=labels, update=False, return_inertia=False)
    np.testing.assert_array_equal(alone.labels, squared_distances(X, centers).argmin(axis=1))
    assert alone.n_changed == np.count_nonzero(alone.labels)
    assert np.isnan(alone.inertia)
    assert alone.sums is None


def test_as_on_the_cpu():
    X, centers, weight = make(100, 21, 30, np.float32)
    shift = X.mean(axis=0)
    fast = run(X, centers, weight, shift, return_distances=True)
    slow = assign(
        X, centers, sample_weight=weight, shift=shift, return_distances=True, backend="ref"
    )
    np.testing.assert_array_equal(fast.labels, slow.labels)
    np.testing.assert_allclose(fast.sums, slow.sums, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(fast.inertia, slow.inertia, rtol=1e-6)
    np.testing.assert_allclose(fast.distances, slow.distances, rtol=1e-4)


def test_labels_already_known():
    X, centers, weight = make(60, 7, 9, np.float32)
    first = run(X, centers, weight, return_distances=True)
    labels = on(first.labels)
    again = run(X, centers, weight, labels=labels, labels_current=True, return_distances=True)
    for name in ("labels", "sums", "weights", "inertia", "distances"):
        np.testing.assert_array_equal(getattr(again, name), getattr(first, name))
    assert again.n_changed == 0


def test_close_calls_are_decided_in_full_precision():
    # Centroids nearer to each other than bfloat16 can tell, and then than its three products can.
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 40)).astype(np.float32)
    for gap in (1e-2, 1e-3):
        centers = np.concatenate([X[:8], X[:8] + gap * rng.normal(size=(8, 40))])
        centers = centers.astype(np.float32)
        truth = squared_distances(X, centers)
        two = np.sort(truth, axis=1)[:, :2]
        clear = two[:, 1] - two[:, 0] > error_bound(X, centers)
        assert clear.any()
        labels = run(X, centers, update=False, return_inertia=False).labels
        np.testing.assert_array_equal(labels[clear], truth.argmin(axis=1)[clear])
    fast = run(X, centers, update=False, precision="bf16").labels
    assert (fast != labels)[clear].any()


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_less_precision_for_those_who_want_it(precision):
    X, centers, _ = make(100, 30, 20, np.float32)
    labels = run(X, centers, update=False, precision=precision).labels
    assert (labels == squared_distances(X, centers).argmin(axis=1)).mean() > 0.95


def test_equal_centroids_go_to_the_lowest_index():
    X, centers, _ = make(40, 5, 64, np.float32)
    labels = run(X, np.vstack([centers] * 3), update=False).labels
    np.testing.assert_array_equal(labels, squared_distances(X, centers).argmin(axis=1))


@pytest.mark.parametrize("dtype", [F32, F64])
def test_rows_equal_to_their_centroid_have_distance_zero(dtype):
    X, _, _ = make(60, 13, 1, dtype, offset=5.0)
    result = run(X, X[::-1], shift=X.mean(axis=0), return_distances=True)
    np.testing.assert_array_equal(result.labels, np.arange(60)[::-1])
    assert result.inertia == 0
    assert (result.distances == 0).all()


def test_tiny_and_huge_values_neither_vanish_nor_overflow():
    X, centers, _ = make(60, 9, 20, np.float32)
    plain = run(X, centers)
    for exponent in (-100, 100):
        power = np.float32(2.0**exponent)
        scaled = run(X * power, centers * power)
        np.testing.assert_array_equal(plain.labels, scaled.labels)
        np.testing.assert_allclose(scaled.sums / float(power), plain.sums, rtol=1e-12)
        np.testing.assert_allclose(scaled.inertia / float(power) ** 2, plain.inertia, rtol=1e-12)


def test_integers_are_summed_exactly():
    X = np.random.default_rng(0).integers(-1000, 1000, size=(200, 6)).astype(np.float32)
    result = run(X, X[:9])
    sums = np.zeros((9, 6))
    np.add.at(sums, result.labels, X)
    np.testing.assert_array_equal(result.sums, sums)


@pytest.mark.parametrize("dtype", [F32, F64])
def test_rows_that_move_leave_nothing_behind(dtype):
    X, centers, weight = make(100, 20, 13, dtype)
    weight = weight if dtype == F64 else None
    X, centers, weight, shift = on(X), on(centers), on(weight), on(X.mean(axis=0))
    labels = torch.full((100,), -1, dtype=torch.int32, device=DEVICE)
    cache = AssignCache(X, centers, weight, shift, dtype == F32)
    for c in (centers, centers.flip(0).contiguous() * 1.2):
        moved = assign(X, c, sample_weight=weight, shift=shift, labels=labels, cache=cache)
        anew = assign(X, c, sample_weight=weight, shift=shift)
        for name in ("labels", "sums", "weights"):
            assert torch.equal(getattr(moved, name), getattr(anew, name))
    cache.totals.clear()
    again = assign(X, c, sample_weight=weight, shift=shift, labels=labels, cache=cache)
    assert torch.equal(again.sums, anew.sums)


def test_chunks_of_packed_rows(monkeypatch):
    X, centers, _ = make(100, 20, 13, np.float32)
    whole = run(X, centers, shift=X.mean(axis=0), return_distances=True)
    monkeypatch.setattr(triton_, "CHUNK", 70 * 20)
    parts = run(X, centers, shift=X.mean(axis=0), return_distances=True)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_rows():
    result = run(np.empty((0, 2), dtype=np.float32), np.ones((3, 2), dtype=np.float32))
    assert result.labels.shape == (0,)
    assert result.inertia == 0
    assert (result.sums == 0).all()


@settings(max_examples=15 if DEVICE == "cpu" else 40, deadline=None)
@given(
    n=st.integers(1, 80),
    d=st.integers(1, 40),
    k=st.integers(1, 80),
    offset=st.sampled_from([0.0, 3.0, 1e3, -1e5]),
    spread=st.sampled_from([1e-3, 1.0, 50.0]),
    dtype=st.sampled_from([F32, F64]),
    seed=st.integers(0, 2**31),
)
def test_any_data(n, d, k, offset, spread, dtype, seed):
    X, centers, weight = make(n, d, k, dtype, offset, spread, seed)
    shift = X.mean(axis=0)
    result = run(X, centers, weight, shift, return_distances=True)
    check_against_truth(X, centers, weight, shift, result)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": torch.ones((3, 2), dtype=torch.int64)}, TypeError, "float32 or float64"),
        ({"X": torch.ones(3)}, TypeError, r"a tensor of shape \(3,\)"),
        ({"X": torch.ones((2, 3)).T}, ValueError, r"pass X\.contiguous"),
        ({"X": torch.ones((3, 0))}, ValueError, "no columns"),
        ({"centers": torch.ones((2, 2), dtype=torch.float64)}, TypeError, "centers must be"),
        ({"centers": torch.ones((2, 3))}, ValueError, "centers must be a tensor of shape"),
        ({"centers": torch.ones((0, 2))}, ValueError, "K >= 1"),
        ({"centers": np.ones((2, 2), dtype=np.float32)}, ValueError, "centers must be a tensor"),
        ({"centers": torch.ones((2, 2), device="meta")}, ValueError, "is on meta; it must be on"),
        ({"sample_weight": torch.ones(4)}, ValueError, "sample_weight"),
        ({"shift": torch.ones(3)}, ValueError, "shift"),
        ({"labels": torch.ones(3, dtype=torch.int64)}, TypeError, "labels"),
        ({"precision": "fp8"}, ValueError, "precision='fp8'"),
        ({"labels_current": True}, ValueError, "labels_current=True needs labels"),
        ({"backend": "native"}, ValueError, "backend='native'"),
    ],
)
def test_wrong_arguments(change, error, message):
    arguments = {"X": torch.ones((3, 2)), "centers": torch.ones((2, 2))} | change
    for name, value in arguments.items():
        if isinstance(value, torch.Tensor) and value.device.type == "cpu":
            arguments[name] = value.to(DEVICE)
    with pytest.raises(error, match=message):
        assign(arguments.pop("X"), arguments.pop("centers"), **arguments)
