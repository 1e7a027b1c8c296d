from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unsup_fast.kernels import _native, prune
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.prune import assign_update, columns, ref
from unsup_fast.kernels.totals import Totals


def compare(X, course, count, threads=2, labels=None, coded=False):
    """Check passes with bounds against dense ones, bit for bit; return the work of the last."""
    shift = np.median(X[:100], axis=0).astype(X.dtype)
    basis = columns.basis(X, shift).first(count, coded=coded)
    bounds = prune.bounds(X, course[0], basis, threads)
    bounds.lower[:, : len(bounds.moved)] = np.nan
    bounds.upper.fill(np.nan)
    labels = np.full(len(X), -1, dtype=np.int32) if labels is None else labels
    for centers in course:
        dense = labels.copy()
        changed = assign_update(X, centers, dense, shift, n_threads=1)
        assert assign_update(X, centers, labels, shift, bounds=bounds, n_threads=threads) == changed
        np.testing.assert_array_equal(labels, dense)
    check_labels(X, centers, labels, shift)
    check_bounds(X, centers, labels, bounds)
    return bounds.work


def check_labels(X, centers, labels, shift):
    """Compare labels with the reference; centroids that differ are as near, but for rounding."""
    expected = labels.copy()
    assert ref.assign_update(X, centers, expected, shift) == (labels != expected).sum()
    differ = labels != expected
    x, c, origin = (array.astype(np.float64) for array in (X[differ], centers, shift))
    near, nearest = (((x - c[own[differ]]) ** 2).sum(axis=1) for own in (labels, expected))
    size = ((x - origin) ** 2).sum(axis=1) + ((c - origin) ** 2).sum(axis=1).max()
    assert (near - nearest <= 4 * (X.shape[1] + 3) * np.finfo(X.dtype).eps * size).all()


def check_bounds(X, centers, labels, bounds):
    """Compare the bounds with the distances that they bound, in float64."""
    basis = bounds.basis
    own, others = ref.distances(X, centers, labels, bounds)  # [N], [N, B]
    slack = 1e-12 if X.dtype == np.float64 else 1e-5
    x, c = (np.abs(array - basis.shift).max() * basis.scale for array in (X, centers))
    with np.errstate(invalid="ignore"):
        assert not (bounds.upper < own * (1 - slack)).any()
        lower = bounds.lower[:, : len(bounds.moved)] - bounds.moved  # [N, B]
        assert not (lower > others + slack * (x + c + bounds.moved)).any()


def test_reference_on_rows_of_a_line():
    X = np.array([[0.0], [1.0], [4.0], [10.0]])
    labels = np.array([-1, 1, 1, 0], dtype=np.int32)
    totals = Totals(
        quanta=np.array([2.0] + [0.0] * 7),
        sums=np.zeros((3, 8), dtype=np.int64),
        counts=np.zeros(3, dtype=np.int64),
    )
    centers = np.array([[2.0], [1.0], [9.0]])
    assert ref.assign_update(X, centers, labels, np.array([1.0]), totals=totals) == 3
    assert labels.tolist() == [1, 1, 0, 2]
    assert totals.sums[:, 0].tolist() == [6, -2, 18]
    assert totals.counts.tolist() == [1, 2, 1]
    bounds = prune.bounds(X, centers, columns.basis(X, np.array([1.0])), 1)
    own, others = ref.distances(X, centers, labels, bounds)
    unit = bounds.basis.scale
    np.testing.assert_array_equal(own / unit, [1, 0, 2, 1])
    np.testing.assert_array_equal(others / unit, [[2], [1], [3], [8]])


def follow(X, course, shift, count=10):
    """Check each pass with bounds against a dense one, bit for bit; with codes too."""
    basis = columns.basis(X, shift)
    scored = [basis.first(count)]
    if X.dtype == np.float32:
        scored += [basis.first(count, coded=True), columns.frame(X, shift)]
    for columns_of_rows in scored:
        bounds = prune.bounds(X, course[0], columns_of_rows, 2)
        labels = np.full(len(X), -1, dtype=np.int32)
        for centers in course:
            assign_update(X, centers, labels, shift, bounds=bounds)
            np.testing.assert_array_equal(labels, assign(X, centers, shift=shift).labels)


def course_of(X, centers, passes, rng):
    """Centroids as they move: means, then random steps ever smaller."""
    course = [centers]
    for step in range(passes - 1):
        result = assign(X, course[-1])
        filled = result.weights > 0
        moved = course[-1].astype(np.float64)
        moved[filled] = result.sums[filled] / result.weights[filled, None]
        if step % 2:
            moved += rng.normal(size=moved.shape) * np.abs(X).max() * 0.01 / (step + 1)
        course.append(moved.astype(X.dtype))
    return course


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n=st.integers(1, 400),
    d=st.integers(1, 90),
    k=st.integers(1, 70),
    count=st.integers(0, 40),
    rank=st.integers(1, 90),
    offset=st.sampled_from([0.0, 3.0, 1e4]),
    spread=st.sampled_from([1e-3, 1.0, 1e15]),
    copies=st.booleans(),
    coded=st.booleans(),
    seed=st.integers(0, 2**31),
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_equals_the_dense_pass_on_any_data(
    dtype, n, d, k, count, rank, offset, spread, copies, coded, seed
):
    if dtype == np.float64:
        count, coded = max(count, 1), False
    rng = np.random.default_rng(seed)
    X = ((rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) + offset) * spread).astype(dtype)
    centers = X[rng.integers(0, n, k)] + rng.normal(size=(k, d)) * spread * rng.choice([0, 1])
    if copies:  # ties between centroids, and rows that lie on them
        centers = centers[rng.integers(0, k, k)]
    labels = rng.integers(0, k, n).astype(np.int32) if seed % 2 else None
    course = course_of(X, centers.astype(dtype), 4, rng)
    compare(X, course, count, int(1 + seed % 3), labels, coded)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_work_falls_as_the_centroids_settle(dtype, threads):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(3000, 12)) @ rng.normal(size=(12, 200))).astype(dtype)
    course = course_of(X, X[:150].copy(), 2, rng)
    first = compare(X, course[:1], 12, threads)
    assert first[0] == len(X)
    assert len(X) <= first[1] < len(X) * 3
    settled = compare(X, [course[0], course[1], course[1], course[1]], 12, threads)
    assert settled[0] < len(X) / 2
    assert settled[3] < len(X) / 2


def test_most_centroids_are_ruled_out_where_few_directions_matter():
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(3000, 12)) @ rng.normal(size=(12, 200))).astype(np.float32)
    assert compare(X, [X[:150].copy()], 12)[3] < len(X)


def test_few_bounds_stand_for_many_centroids():
    rng = np.random.default_rng(7)
    X = rng.normal(size=(600, 20)).astype(np.float32)
    bounds = prune.bounds(X, X[:400].copy(), columns.basis(X, X[0].copy()).first(9), 1)
    assert bounds.span == 25
    assert bounds.lower.shape == (600, 16)
    assert len(bounds.moved) == 1
    compare(X, course_of(X, X[:400].copy(), 5, rng), 9)


def test_near_ties_are_settled_as_in_the_dense_pass():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(2000, 64)).astype(np.float32)
    base = rng.normal(size=(1, 64)).astype(np.float32)
    centers = np.repeat(base, 40, axis=0)
    centers[1::2] = np.nextafter(centers[1::2], np.float32(np.inf))
    for count, coded in ((20, False), (20, True), (0, True)):
        compare(X, [centers, centers[::-1].copy(), centers], count, coded=coded)


@pytest.mark.parametrize("outlier", [1e18, 1e25, 1e37])
def test_outliers_that_overflow_a_projection_change_nothing(outlier):
    rng = np.random.default_rng(2)
    X = rng.normal(size=(3000, 40)).astype(np.float32)
    X[1000] *= np.float32(outlier)  # not among the rows that choose the scale
    shift = np.zeros(40, dtype=np.float32)
    centers = X[:50].copy()
    follow(X, [centers, centers], shift)


def test_rows_far_smaller_than_the_others():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(3000, 40)).astype(np.float32)
    X[1500:] *= np.float32(1e-25)
    shift = np.zeros(40, dtype=np.float32)
    centers = X[1500:1560].copy()
    follow(X, [centers, centers * np.float32(1.5)], shift)


def test_centroids_that_grow_beyond_all_before():
    rng = np.random.default_rng(8)
    X = (rng.normal(size=(500, 40)) + 10).astype(np.float32)
    course = [X[:30] * np.float32(0.01), X[:30].copy(), X[:30] * np.float32(100), X[:30].copy()]
    for count, coded in ((10, False), (10, True), (0, True)):
        compare(X, course, count, coded=coded)


@pytest.mark.parametrize("size", [1e-21, 1e-23, 1e-24, 1e-36, 1e-40])
def test_units_whose_products_underflow(size):
    rng = np.random.default_rng(13)
    X = (rng.integers(-127, 128, (400, 16)) * size).astype(np.float32)
    X[:, 0] = 127 * size  # codes without error
    X[0] = 1  # chooses the scale
    follow(X, [X[100:160], X[159:99:-1].copy(), X[100:160] * 1.01], np.zeros(16, np.float32))


@pytest.mark.parametrize(
    ("dtype", "size"), [("f4", 1e-37), ("f4", 1e-40), ("f8", 1e-170), ("f8", 1e-300)]
)
def test_rows_near_the_smallest_number(dtype, size):
    rng = np.random.default_rng(9)
    X = (rng.normal(size=(500, 40)) * size).astype(dtype)
    course = [X[:40].copy()]
    for _ in range(4):
        course.append((course[-1] + rng.normal(size=(40, 40)) * 0.3 * size).astype(dtype))
    follow(X, course, np.zeros(40, dtype=dtype))


@pytest.mark.parametrize(("dtype", "far"), [("f4", 1e15), ("f8", 1e150)])
def test_a_centroid_that_comes_to_an_outlier(dtype, far):
    X = np.random.default_rng(10).normal(size=(4200, 40)).astype(dtype)
    X[1] *= far  # not among the rows that choose the scale
    centers = X[100:140] / X.dtype.type(far) ** 0.5  # distances of the outlier overflow
    come = centers.copy()
    come[7] = X[1]
    follow(X, [centers, come, centers], np.zeros(40, dtype=dtype))


def test_a_bound_that_overflows_does_not_hide_a_smaller_one():
    X = np.array([[0.3, 0]] * 8, dtype=np.float32)
    far = [[1e38, 0], [1e38, 0], [2.5e37, 0], [3e38, 0], [1e38, 0], [0, 0]]
    first = np.array(far, dtype=np.float32)
    second = first.copy()
    second[2] = X[0]
    follow(X, [first, second], np.zeros(2, dtype=np.float32), 1)


def test_the_largest_codes_next_to_each_other():
    signs = np.ones((3, 64), dtype=np.float32)
    signs[1], signs[2, ::2] = -1, -1
    X = np.repeat(signs, 5, axis=0)
    follow(X, [signs, signs[::-1].copy(), signs * np.float32(0.99)], np.zeros(64, np.float32), 3)
    bounds = prune.bounds(X, signs, columns.frame(X, np.zeros(64, np.float32)), 1)
    assert (np.abs(bounds.rows.codes) == _native.most_row_code()).all()
    labels = np.full(len(X), -1, dtype=np.int32)
    assign_update(X, signs, labels, np.zeros(64, np.float32), bounds=bounds)
    assert bounds.work[3] == 0  # products that do not fit would leave some


@pytest.mark.parametrize("size", [0.9, 1.2, 1.5, 1.8])
def test_scores_that_overflow_rule_nothing_out(size):
    X = np.random.default_rng(11).normal(size=(4200, 40)).astype(np.float32)
    shift = np.zeros(40, dtype=np.float32)
    basis = columns.basis(X, shift)
    X[1] = size * 1e19 / basis.scale * basis.directions[0]
    X[3] = -X[1]
    follow(X, [X[[1, 3]], X[[3, 1]], X[[1, 3]]], shift)


@pytest.mark.parametrize(("dtype", "size"), [("f4", 1e-18), ("f4", 1e-29), ("f8", 1e-200)])
def test_centroids_that_leave_the_shift(dtype, size):
    X = (np.random.default_rng(12).normal(size=(200, 30)) * size).astype(dtype)
    shift = X[0].copy()
    start = np.tile(shift, (20, 1))
    follow(X, [start, X[:20].copy(), start, X[20:40].copy()], shift)
    follow(X[:1], [start, X[20:40].copy()], shift)


def test_steps_too_small_for_the_sum_of_all_before():
    X = np.random.default_rng(0).uniform(-0.5, 0.5, size=(40, 4))
    X[5] = 0
    start = np.zeros((2, 4))
    start[:, 0] = 0.25, -0.25 - 1e-13
    aside = start.copy()
    aside[1, 1] = 0.9
    course = [start, aside] * 10
    for step in range(100):
        course.append(start + np.array([[0.0], [1.6e-15 * step]]) * [1, 0, 0, 0])
    follow(X, course, np.zeros(4), 2)


def test_centroids_that_all_equal_the_shift():
    rng = np.random.default_rng(6)
    X = (rng.normal(size=(200, 30)) * 1e-25).astype(np.float32)
    shift = np.zeros(30, dtype=np.float32)
    centers = np.zeros((20, 30), dtype=np.float32)
    bounds = prune.bounds(X, centers, columns.basis(X, shift).first(10), 2)
    labels = np.full(200, -1, dtype=np.int32)
    assign_update(X, centers, labels, shift, bounds=bounds)
    assert (labels == 0).all()


def test_slots_are_a_permutation_of_near_centroids():
    rng = np.random.default_rng(0)
    middles = np.stack([rng.permutation(8) for _ in range(5)], axis=1) * 100.0
    centers = (np.repeat(middles, prune.NEAR, axis=0) + rng.normal(size=(128, 5))).astype("f4")
    order = prune.slots(centers)
    assert sorted(order.tolist()) == list(range(128))
    groups = np.sort(order.reshape(8, prune.NEAR) // prune.NEAR, axis=1)
    assert (groups == groups[:, :1]).all()


def test_slots_of_centroids_whose_squares_overflow():
    centers = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32) * [1, 1, 1e25, 1, 1]
    X = np.ascontiguousarray(centers, dtype=np.float32)
    bounds = prune.bounds(X, X, columns.frame(X, X[0].copy()), 1)
    halves = X[bounds.cluster, 2].reshape(2, 32)
    assert halves[0].max() <= halves[1].min()


def test_bounds_with_another_shift_are_refused():
    X = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    bounds = prune.bounds(X, X[:5].copy(), columns.basis(X, X.mean(axis=0)), 1)
    labels = np.full(100, -1, dtype=np.int32)
    with pytest.raises(ValueError, match="same shift"):
        assign_update(X, X[:5].copy(), labels, X[0].copy(), bounds=bounds)


@pytest.mark.parametrize(("n_clusters", "stride"), [(4, 8), (6, 8), (5, 0)])
def test_totals_of_a_wrong_call_are_not_touched(n_clusters, stride):
    X = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    bounds = prune.bounds(X, X[:5].copy(), columns.basis(X, X[0].copy()), 1)
    totals = Totals(
        quanta=np.ones(stride),
        sums=np.zeros((n_clusters, stride), dtype=np.int64),
        counts=np.zeros(n_clusters, dtype=np.int64),
    )
    labels = np.full(40, -1, dtype=np.int32)
    with pytest.raises(ValueError, match="totals: wrong size"):
        assign_update(X, X[:5].copy(), labels, X[0].copy(), totals=totals, bounds=bounds)
    assert (labels == -1).all()
    assert not totals.sums.any()
    assert not totals.counts.any()


def test_arrays_of_another_size_make_no_totals():
    whole = np.zeros(5, dtype=np.int64)
    for quanta, sums in ((np.ones(8), whole), (np.ones(7), np.zeros((5, 7), dtype=np.int64))):
        with pytest.raises(ValueError, match="totals: wrong size"):
            _native.Totals(quanta=quanta, sums=sums, counts=whole)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slack_covers_the_error_of_a_projection(dtype):
    rng = np.random.default_rng(4)
    X = (rng.normal(size=(500, 60)) * 7 + 3).astype(dtype)
    basis = columns.basis(X, X.mean(axis=0).astype(dtype)).first(20)
    rows, _, slack = columns.project_rows(X, basis, 2)
    x = (X - basis.shift).astype(np.longdouble) * basis.scale
    exact = np.linalg.qr(basis.directions.T.astype(np.float64))[0]
    exact *= np.sign((exact * basis.directions.T).sum(axis=0))
    z = x @ exact.astype(np.longdouble)
    tail = np.sqrt((x**2).sum(axis=1) - (z**2).sum(axis=1))
    truth = np.column_stack([z, tail])
    error = np.linalg.norm((rows - truth).astype(np.float64), axis=1)
    assert (error <= slack).all()


def chosen(X, centers):
    shift = np.zeros(X.shape[1], dtype=X.dtype)
    return prune.choose_basis(X, centers, shift, lambda: columns.basis(X, shift))


def test_choice_of_directions(monkeypatch):
    monkeypatch.setattr(_native, "byte_products", lambda: 1)
    rng = np.random.default_rng(5)
    flat = rng.normal(size=(2000, 400)).astype(np.float32)
    steep = flat * (0.9 ** np.arange(400, dtype=np.float32))
    assert chosen(flat, flat[:300].copy()) is None
    basis = chosen(steep, steep[:300].copy())
    assert basis is not None
    assert len(basis.directions) in prune.COUNTS


def test_choice_of_codes(monkeypatch):
    monkeypatch.setattr(_native, "byte_products", lambda: 4)
    rng = np.random.default_rng(5)
    middles = rng.normal(size=(300, 400)).astype(np.float32)
    noisy = middles[rng.integers(0, 300, 2000)] + rng.normal(size=(2000, 400)).astype(np.float32)
    assert chosen(noisy, middles).coded
    basis = chosen(noisy.astype(np.float64), middles.astype(np.float64))
    assert basis is None or not basis.coded
    steep = rng.normal(size=(1500, 1200)) * 0.9 ** np.arange(1200)
    steep = steep.astype(np.float32)
    assert len(chosen(np.repeat(steep, 2, axis=0), steep).directions) in prune.COUNTS


def test_codes_no_longer_pay_where_means_of_noise_draw_together(monkeypatch):
    monkeypatch.setattr(_native, "byte_products", lambda: 2)
    rng = np.random.default_rng(6)
    noise, middles = rng.normal(size=(2, 3840, 256)).astype(np.float32)
    shift, middles = np.zeros(256, dtype=np.float32), middles[:256]
    grouped = middles[rng.integers(0, 256, 3840)] + noise / 4
    assert prune.pays(grouped, middles, shift, columns.frame(grouped, shift))
    means = noise[:3840].reshape(15, 256, 256).mean(axis=1)  # of 256 rows each
    assert not prune.pays(noise, means, shift, columns.frame(noise, shift))


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 15, 16, 17, 33, 65])
@pytest.mark.parametrize("size", [1e-30, 1.0, 1e15])
def test_codes_are_as_near_to_the_rows_as_they_say(d, size):
    rng = np.random.default_rng(d)
    X = (rng.standard_t(2, size=(300, d)) * size).astype(np.float32)
    X[7] = 0
    shift = X[3].copy()
    basis = columns.frame(X, shift)
    rows = columns.encode_rows(X, basis, 2)
    assert rows.codes.shape == (300, -(-d // 4) * 4)
    assert (rows.codes[:, d:] == 0).all()
    assert rows.largest == _native.most_row_code()
    assert (np.abs(rows.codes) <= rows.largest).all()
    np.testing.assert_array_equal(rows.sums, rows.codes.sum(axis=1, dtype=np.int32))
    y = rows.codes[:, :d].astype(np.float64) * rows.unit[:, None]
    np.testing.assert_allclose(rows.squares, (y**2).sum(axis=1), rtol=1e-12)
    x = (X - shift).astype(np.float64) * basis.scale
    off = np.linalg.norm(x - y, axis=1)
    assert (off <= rows.slack).all()
    assert (rows.slack <= off * 1.001 + 1e-6 * np.abs(x).max(axis=1) * d + 1e-17).all()


@pytest.mark.parametrize("count", [1, 2, 3, 4, 13, 30])
def test_codes_of_directions_are_as_near_as_they_say(count, monkeypatch):
    monkeypatch.setattr(columns, "PART", 64)
    X = np.random.default_rng(count).standard_t(2, size=(300, 61)).astype(np.float32)
    basis = columns.basis(X, X[3].copy()).first(count, coded=True)
    rows, (y, _, slack) = columns.encode_rows(X, basis, 2), columns.project_rows(X, basis, 2)
    decoded = rows.codes[:, :count].astype(np.float64) * rows.unit[:, None]
    np.testing.assert_array_equal(rows.tail, y[:, count])
    np.testing.assert_allclose(rows.squares, (decoded**2).sum(axis=1) + rows.tail**2.0, rtol=1e-6)
    off = np.linalg.norm(decoded - y[:, :count], axis=1)
    assert (off + slack <= rows.slack).all()
    assert (rows.slack <= off * 1.001 + slack * 1.001 + 1e-5 * np.abs(y).max(axis=1) + 1e-16).all()


def test_codes_that_are_too_large_for_the_level_are_refused():
    X = np.random.default_rng(0).normal(size=(100, 8)).astype(np.float32)
    bounds = prune.bounds(X, X[:5].copy(), columns.frame(X, X[0].copy()), 1)
    bounds.rows = replace(bounds.rows, largest=_native.most_row_code() + 1)
    labels = np.full(100, -1, dtype=np.int32)
    with pytest.raises(ValueError, match="codes do not fit"):
        assign_update(X, X[:5].copy(), labels, X[0].copy(), bounds=bounds)


def test_codes_of_rows_that_are_no_numbers_say_nothing():
    X = np.ones((4, 6), dtype=np.float32)
    X[1, 2], X[2, 0], X[3, 5] = np.nan, np.inf, 3e38
    basis = columns.frame(np.ones((4, 6), dtype=np.float32), np.zeros(6, dtype=np.float32))
    rows = columns.encode_rows(X, basis, 1)
    assert rows.slack[0] < 1e-3
    assert (rows.slack[1:] == np.inf).all()
    assert not rows.codes[1:].any()


@pytest.mark.parametrize("size", [1e-36, 1e-37, 1e-39, 1e-44])
def test_codes_of_rows_near_the_smallest_number(size):
    X = np.diag(np.full(6, size, dtype=np.float32))
    frame = columns.frame(np.ones((1, 6), dtype=np.float32), np.zeros(6, dtype=np.float32))
    rows = columns.encode_rows(X, frame, 1)
    y = rows.codes[:, :6].astype(np.float64) * rows.unit[:, None]
    off = np.linalg.norm(X.astype(np.float64) * frame.scale - y, axis=1)
    assert (off <= rows.slack).all()
    assert (rows.slack < 1e-17).all()


def test_codes_stand_for_single_precision_only():
    X = np.random.default_rng(0).normal(size=(100, 8))
    bounds = prune.bounds(X, X[:5].copy(), columns.frame(X, X[0].copy()), 1)
    labels = np.full(100, -1, dtype=np.int32)
    with pytest.raises(ValueError, match="float32"):
        assign_update(X, X[:5].copy(), labels, X[0].copy(), bounds=bounds)


def test_more_columns_than_codes_can_sum_are_refused():
    X = np.ones((1, 32769), dtype=np.float32)
    with pytest.raises(ValueError, match="at most 32768 columns"):
        columns.encode_rows(X, columns.frame(X, X[0].copy()), 1)


@pytest.mark.parametrize("products", [1, 2, 4])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_small_problems_cannot_pay(monkeypatch, products, dtype):
    monkeypatch.setattr(_native, "byte_products", lambda: products)
    dtype = np.dtype(dtype)
    assert not prune.may_pay(10, 2, dtype)
    assert not prune.may_pay(64, 16, dtype)
    assert not prune.may_pay(8, 784, dtype)
    assert prune.may_pay(1000, 784, dtype)
