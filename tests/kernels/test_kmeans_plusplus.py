import os
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import sklearn.cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from threadpoolctl import threadpool_limits

from unsup_fast.kernels import _native
from unsup_fast.kernels.kmeans_plusplus import (
    bounds,
    candidate_potentials,
    kmeans_plusplus,
    pow2_scale,
    ref,
)
from unsup_fast.kernels.prune.columns import basis, project_rows
from unsup_fast.kernels.prune.records import Basis

SHAPES = [(1, 1, 1), (9, 2, 9), (97, 17, 12), (3100, 3, 30), (400, 130, 40)]


def make(n, d, dtype, offset=0.0):
    rng = np.random.default_rng(3)
    return (rng.normal(size=(n, d)) + offset).astype(dtype), rng.random(n).astype(dtype)


def clustered(n, d, dtype, spread=0.3):
    """Rows near a plane of few dimensions, which bounds see through."""
    rng = np.random.default_rng(4)
    centers = rng.normal(size=(20, 6)) @ rng.normal(size=(6, d))
    return (centers[rng.integers(0, 20, n)] + spread * rng.normal(size=(n, d))).astype(dtype)


def rounds(X, weight, uniform, first, threads, columns=(), cuts=(), scale=None):
    """Everything that the native rounds give, in calls that end at `cuts`."""
    k = len(uniform)
    if scale is None:
        scale = pow2_scale(
            _native.max_abs_difference(X=X, origin=first, n_threads=threads), X.dtype
        )
    chosen = np.full(k, -1, dtype=np.int64)
    chosen[0] = first
    closest, potentials = np.full(len(X), np.nan, dtype=X.dtype), np.full(k, np.nan)
    scored = []
    for start, end in zip((0, *cuts), (*cuts, k), strict=True):
        scored.append(
            _native.kmeans_plusplus(
                X=X,
                sample_weight=weight,
                scale=scale,
                uniform=uniform,
                chosen=chosen,
                closest=closest,
                potentials=potentials,
                first=start,
                last=end,
                n_threads=threads,
                **dict(zip(("projected", "slack", "leading"), columns, strict=False)),
            )
        )
    return chosen, potentials, closest, scored


def projected(X, frame, scale):
    frame = replace(frame, scale=scale)
    rows, _, slack = project_rows(X, frame, 1)
    return rows, slack


def draws(k, trials):
    return np.random.default_rng(8).random((k, trials))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("sparse", [False, True])
def test_same_draws_choose_the_rows_of_the_reference(shape, dtype, sparse):
    n, d, k = shape
    X, weight = make(n, d, dtype)
    if sparse:
        X[X < 0.5] = 0
        X = sp.csr_matrix(X)
    for w in (None, weight):
        chosen = [
            kmeans_plusplus(X, k, np.random.RandomState(5), sample_weight=w, **how)
            for how in ({"n_threads": 1}, {"n_threads": 2}, {"backend": "ref"})
        ]
        np.testing.assert_array_equal(chosen[0], chosen[1])
        np.testing.assert_array_equal(chosen[0], chosen[2])


@pytest.mark.parametrize("seed_number", range(5))
def test_chooses_the_rows_that_scikit_learn_chooses(seed_number):
    X, _ = make(800, 10, np.float64)
    _, theirs = sklearn.cluster.kmeans_plusplus(X, 25, random_state=seed_number)
    ours = kmeans_plusplus(X, 25, np.random.RandomState(seed_number))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5, 1, 3), (193, 7, 9), (1000, 33, 20), (777, 97, 30)], ids=str)
@pytest.mark.native
def test_rounds_match_brute_force(shape, dtype):
    n, d, k = shape
    X, weight = make(n, d, dtype, offset=10.0)
    uniform = draws(k, 5)
    for w in (None, weight):
        chosen, potentials, closest, _ = rounds(X, w, uniform, n // 2, 2, scale=1.0)
        truth = ref.kmeans_plusplus(X, w, uniform, n // 2)
        np.testing.assert_array_equal(chosen, truth[0])
        np.testing.assert_allclose(potentials, truth[1], rtol=1e-5)
        np.testing.assert_allclose(closest, truth[2], rtol=1e-4)
        assert (closest[chosen] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1000.0])
@pytest.mark.native
def test_bounds_do_not_change_a_bit(dtype, weighted, offset):
    X = clustered(700, 150, dtype) + dtype(offset)
    weight = make(len(X), 1, dtype)[1] if weighted else None
    uniform = draws(40, 11)
    scale = pow2_scale(_native.max_abs_difference(X=X, origin=7, n_threads=1), X.dtype)
    dense = rounds(X, weight, uniform, 7, 1)
    with threadpool_limits(1, user_api="blas"):
        frame = basis(X, X[0].copy())
    for count, leading in [(15, 16), (63, 16), (63, 33), (63, 1)]:
        columns = (*projected(X, frame.first(count), scale), leading)
        for threads, cuts in [(1, ()), (2, (1, 17))]:
            pruned = rounds(X, weight, uniform, 7, threads, columns, cuts)
            for mine, theirs in zip(pruned[:3], dense[:3], strict=True):
                np.testing.assert_array_equal(mine, theirs)
            if offset == 0 and leading > 1:
                assert sum(pruned[3]) < 0.5 * sum(dense[3])


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 300), st.just(33)),
        elements=st.floats(-4, 4, width=32) | st.sampled_from([0.0, 1.0, -0.0, 1e-20, 1e10]),
    ),
    st.integers(1, 20),
    st.integers(0, 2**32 - 1),
)
@pytest.mark.native
def test_bounds_hold_for_any_rows(X, k, number):
    rng = np.random.default_rng(number)
    uniform, first = rng.random((k, 3)), int(rng.integers(len(X)))
    scale = pow2_scale(_native.max_abs_difference(X=X, origin=first, n_threads=1), X.dtype)
    directions = np.linalg.qr(rng.normal(size=(33, 15)))[0].T.astype(np.float32)
    defect = float(np.linalg.norm(directions.astype(float) @ directions.T - np.eye(15)))
    frame = Basis(
        directions=np.ascontiguousarray(directions), defect=defect, shift=X[0].copy(), scale=scale
    )
    dense = rounds(X, None, uniform, first, 1)
    pruned = rounds(X, None, uniform, first, 2, (*projected(X, frame, scale), 8))
    for mine, theirs in zip(pruned[:3], dense[:3], strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.native
def test_the_choice_of_bounds_has_no_effect(monkeypatch):
    X = clustered(3000, 150, np.float32)
    used = []
    original = bounds.choose

    def choose(*arguments):
        used.append(original(*arguments))
        return used[-1]

    monkeypatch.setattr(bounds, "choose", choose)
    monkeypatch.setattr(bounds, "BASIS", 0.0)
    calls = []
    chosen = kmeans_plusplus(
        X, 150, np.random.RandomState(1), progress=lambda done, total: calls.append((done, total))
    )
    assert used[0] is not None
    assert [total for _, total in calls] == [150] * len(calls)
    assert calls[-1] == (150, 150)
    assert sorted(calls) == calls
    monkeypatch.setattr(bounds, "may_pay", lambda *_: False)
    np.testing.assert_array_equal(chosen, kmeans_plusplus(X, 150, np.random.RandomState(1)))
    np.testing.assert_array_equal(
        chosen, kmeans_plusplus(X, 150, np.random.RandomState(1), backend="ref")
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("power", [-30, 30])
@pytest.mark.parametrize("d", [5, 150])
def test_tiny_and_huge_values_are_distinguished(dtype, power, d):
    X = clustered(300, d, dtype)
    plain = kmeans_plusplus(X, 40, np.random.RandomState(2))
    power *= 3 if dtype is np.float32 else 30
    scaled = kmeans_plusplus(np.ldexp(X, power), 40, np.random.RandomState(2))
    np.testing.assert_array_equal(scaled, plain)


def test_values_at_the_ends_of_the_type():
    tiny, huge = np.float32(1e-45), np.finfo(np.float32).max
    for X in (np.array([[0], [tiny]]), np.array([[-huge], [huge]]), np.full((3, 2), huge)):
        X = X.astype(np.float32)
        chosen = kmeans_plusplus(X, 2, np.random.RandomState(0))
        assert len(np.unique(X[chosen])) == len(np.unique(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("trials", [5, 17])
@pytest.mark.native
def test_one_round_matches_brute_force(dtype, threads, trials):
    X, weight = make(3200, 19, dtype, offset=100.0)
    candidates, closest = X[:trials].copy(), np.full(3200, 20.0, dtype=dtype)
    distances = np.full((trials, 3200), np.nan, dtype=dtype)
    potentials = np.full(trials, np.nan)
    _native.candidate_potentials(
        X=X,
        candidates=candidates,
        closest=closest,
        sample_weight=weight,
        distances=distances,
        potentials=potentials,
        scale=1.0,
        n_threads=threads,
    )
    x = X.astype(np.float64)
    truth = np.stack([((x - c.astype(np.float64)) ** 2).sum(axis=1) for c in candidates])
    truth = np.minimum(truth, 20.0)
    np.testing.assert_allclose(distances, truth, rtol=1e-5)
    assert (distances[np.arange(trials), np.arange(trials)] == 0).all()
    np.testing.assert_allclose(potentials, truth @ weight.astype(np.float64), rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_score_of_a_block_is_the_reference(shape, dtype):
    X, weight = make(*shape[:2], dtype)
    candidates, closest = X[:7].copy(), np.full(len(X), 2.0, dtype=dtype)
    closest[::3] = np.inf
    for w in (None, weight):
        one, two, truth = (
            candidate_potentials(X, candidates, closest, w, scale=0.5, **how)
            for how in ({"n_threads": 1}, {"n_threads": 2}, {"backend": "ref"})
        )
        for actual, other, expected in zip(one, two, truth, strict=True):
            np.testing.assert_array_equal(actual, other)
            np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
        assert (one[0][np.arange(len(candidates)), np.arange(len(candidates))] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("d", [1, 3, 16, 47, 130])
@pytest.mark.parametrize("magnitude", [1e-25, 1.0, 1e30])
@pytest.mark.native
def test_score_of_blocks_has_the_distances_of_all_rounds(dtype, d, magnitude):
    X = make(211, d, dtype)[0] * dtype(magnitude)
    scale = pow2_scale(_native.max_abs_difference(X=X, origin=5, n_threads=1), X.dtype)
    chosen, _, closest, _ = rounds(X, None, draws(12, 4), 5, 2, scale=scale)
    distances = np.full(len(X), np.inf, dtype=dtype)
    for part in (slice(97), slice(97, 98), slice(98, None)):
        for row in chosen:
            distances[part] = candidate_potentials(X[part], X[[row]], distances[part], scale=scale)[
                0
            ][0]
    np.testing.assert_array_equal(distances, closest)


def test_score_refuses_what_does_not_fit():
    X = np.zeros((5, 3))
    for candidates, closest, weight in (
        (X[:, :2].copy(), np.zeros(5), None),
        (X[:2].astype(np.float32), np.zeros(5), None),
        (X[:2], np.zeros(4), None),
        (X[:2], np.zeros(5), np.ones(6)),
    ):
        with pytest.raises((TypeError, ValueError), match=r"candidates|closest|sample_weight"):
            candidate_potentials(X, candidates, closest, weight)


def test_duplicates_are_not_chosen_while_others_are_left():
    X = np.repeat(np.arange(6, dtype=np.float32)[:, None] * 10, 50, axis=0)
    chosen = kmeans_plusplus(X, 6, np.random.RandomState(0))
    assert len(np.unique(X[chosen])) == 6


def test_more_clusters_than_distinct_rows():
    X = np.repeat(np.eye(3, 40, dtype=np.float32), 100, axis=0)
    chosen = kmeans_plusplus(X, 9, np.random.RandomState(0))
    assert len(np.unique(X[chosen[:3]], axis=0)) == 3
    np.testing.assert_array_equal(
        chosen, kmeans_plusplus(X, 9, np.random.RandomState(0), backend="ref")
    )


def test_draws_follow_the_squared_distance():
    X = np.array([[0.0], [1.0], [3.0]])
    weight = np.array([1.0, 1e-12, 1e-12])
    second = []
    for number in range(2000):
        state = np.random.RandomState(number)
        first, other = kmeans_plusplus(X, 2, state, sample_weight=weight, n_local_trials=1)
        if first == 0:
            second.append(other)
    share = np.mean(np.array(second) == 2)
    assert abs(share - 0.9) < 0.03  # 9 / (1 + 9), four standard errors


def test_draws_are_those_of_one_round_after_the_other():
    state, other = np.random.RandomState(3), np.random.RandomState(3)
    X, _ = make(50, 3, np.float64)
    kmeans_plusplus(X, 7, state)
    other.choice(50, p=np.full(50, 1 / 50))
    for _ in range(6):
        other.uniform(size=2 + int(np.log(7)))
    assert state.uniform() == other.uniform()


def test_ctrl_c_ends_it():
    X, _ = make(30_000, 200, np.float64)
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        kmeans_plusplus(X, 25_000, np.random.RandomState(0))  # minutes


def test_wrong_arguments():
    X = np.ones((3, 2))
    with pytest.raises(ValueError, match="n_clusters=4 must be between 1 and the 3 rows"):
        kmeans_plusplus(X, 4, np.random.RandomState(0))


@pytest.mark.native
def test_wrong_native_arguments():
    X, uniform = np.ones((3, 40)), np.ones((2, 1)) / 2
    chosen, closest, potentials = np.zeros(2, np.int64), np.ones(3), np.ones(2)
    arguments = {
        "sample_weight": None,
        "scale": 1.0,
        "uniform": uniform,
        "chosen": chosen,
        "closest": closest,
        "potentials": potentials,
        "first": 0,
        "last": 2,
        "n_threads": 1,
    }
    slack = np.ones(3)
    for wrong, message in [
        ({"first": 1, "last": 3}, "no such rounds"),
        ({"chosen": chosen + 3}, "not a row"),
        ({"chosen": chosen[:1]}, "wrong length"),
        ({"sample_weight": np.ones(2)}, "sample_weight: wrong length"),
        ({"projected": np.ones((2, 16)), "slack": slack, "leading": 16}, "does not fit X"),
        ({"projected": np.ones((3, 15)), "slack": slack, "leading": 15}, "multiple of 16"),
        ({"projected": np.ones((3, 16)), "slack": slack, "leading": 17}, "multiple of 16"),
        ({"n_threads": 0}, "n_threads"),
    ]:
        with pytest.raises(ValueError, match=message):
            _native.kmeans_plusplus(X=X, **(arguments | wrong))
    with pytest.raises(ValueError, match="not a row of X"):
        _native.max_abs_difference(X=X, origin=3, n_threads=1)
