from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unsup_fast.kernels import totals
from unsup_fast.kernels.assign import assign
from unsup_fast.kernels.moments import moments
from unsup_fast.kernels.prune import assign_update
from unsup_fast.kernels.totals import ref


def begun(X, n_clusters):
    shift = X[0].copy()
    column_stats = moments(X)
    quanta = totals.quanta(
        column_stats.max_abs_deviation + np.abs(column_stats.mean - shift), len(X), X[:100] - shift
    )
    assert quanta is not None
    return totals.empty(quanta, n_clusters), shift


def test_reference_rounds_each_row_as_a_fraction():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)) * [1.0, 1e-3, 1e4]
    shift, labels = np.array([0.5, 0.0, -3.0]), rng.integers(0, 4, 60)
    quanta = np.array([2.0**7, 2.0**3, 2.0**-2, *[0.0] * 5])
    X[:8, 0] = shift[0] + (np.arange(8) + 0.5) / quanta[0]  # ties, rounded to even
    sums, counts = ref.totals(X, shift, labels, quanta, 5)
    for cluster in range(5):
        rows = [row - shift for row in X[labels == cluster]]
        assert counts[cluster] == len(rows)
        for j in range(3):
            exact = sum(round(Fraction(row[j]) * Fraction(quanta[j])) for row in rows)
            assert sums[cluster, j] == exact
    assert not sums[:, 3:].any()
    assert not sums[4].any()


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    n=st.integers(1, 3000),
    d=st.integers(1, 40),
    k=st.integers(1, 50),
    offset=st.sampled_from([0.0, -3.0, 1e4]),
    spread=st.sampled_from([1e-20, 1.0, 1e12]),
    threads=st.sampled_from([1, 2, 5]),
    seed=st.integers(0, 2**31),
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moving_rows_equals_adding_them_up(dtype, n, d, k, offset, spread, threads, seed):
    rng = np.random.default_rng(seed)
    X = ((rng.normal(size=(n, d)) + offset) * spread).astype(dtype)
    running, shift = begun(X, k)
    labels = np.full(n, -1, dtype=np.int32)
    for _ in range(3):
        centers = X[rng.integers(0, n, k)].copy()
        before = labels.copy()
        changed = assign_update(X, centers, labels, shift, totals=running, n_threads=threads)
        result = assign(X, centers, shift=shift, n_threads=1)
        np.testing.assert_array_equal(labels, result.labels)
        assert changed == np.count_nonzero(labels != before)
        np.testing.assert_array_equal(running.counts, np.bincount(labels, minlength=k))
        # Each row is rounded to a whole number of 1 / quanta.
        largest = np.abs(X - shift).max(axis=0).astype(np.float64)
        error = 2.0**-30 * largest * running.counts[:, None] + 1e-12 * np.abs(result.sums)
        assert (np.abs(running.values(d) - result.sums) <= error).all()
    sums, _ = ref.totals(X, shift, labels, running.quanta, k)
    np.testing.assert_array_equal(running.sums, sums)  # whatever the order of the moves


@pytest.mark.parametrize("shape", [(20_011, 2, 3), (4000, 600, 70)], ids=str)
def test_threads_and_order_do_not_matter(shape):
    n, d, k = shape
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, d)).astype(np.float32)
    order = rng.permutation(n)
    results = []
    for rows, threads in ((X, 1), (X, 2), (X, 7), (X[order].copy(), 2)):
        running, _ = begun(X, k)
        labels = np.full(n, -1, dtype=np.int32)
        assign_update(rows, X[:k].copy(), labels, X[0].copy(), totals=running, n_threads=threads)
        results.append(running)
    for other in results[1:]:
        np.testing.assert_array_equal(other.sums, results[0].sums)
        np.testing.assert_array_equal(other.counts, results[0].counts)


def test_sums_of_one_cluster_cannot_overflow():
    X = np.full((1 << 21, 1), 3.0, dtype=np.float32)
    X[0] = -3.0
    running, shift = begun(X, 1)
    labels = np.full(len(X), -1, dtype=np.int32)
    assign_update(X, np.zeros((1, 1), dtype=np.float32), labels, shift, totals=running)
    assert running.counts[0] == len(X)
    assert running.values(1)[0, 0] == 6.0 * (len(X) - 1)


def test_integers_are_summed_exactly():
    X = np.random.default_rng(0).integers(0, 256, (50_000, 13)).astype(np.float32)
    running, shift = begun(X, 4)
    labels = np.full(len(X), -1, dtype=np.int32)
    assign_update(X, X[:4].copy(), labels, shift, totals=running)
    for cluster in range(4):
        rows = X[labels == cluster].astype(np.int64) - shift.astype(np.int64)
        np.testing.assert_array_equal(running.values(13)[cluster], rows.sum(axis=0))


def test_outliers_that_would_blur_the_rest_are_refused():
    sample = np.ones((100, 4))
    assert totals.quanta(np.full(4, 2.0), 1000, sample) is not None
    assert totals.quanta(np.full(4, 1e9), 10**6, sample) is None
    assert totals.quanta(np.full(4, 1e150), 1000, np.full((100, 4), 1e150)) is not None
    assert totals.quanta(np.full(4, 1e-305), 1000, np.full((100, 4), 1e-305)) is None
    constant = totals.quanta(np.array([2.0, 0.0]), 1000, sample[:, :2])
    assert constant.tolist()[1:] == [0.0] * 7


@pytest.mark.parametrize("size", [1e-158, 1e-165, 1e-250])
def test_rows_whose_squares_underflow_are_summed_or_refused(size):
    X = np.random.default_rng(0).normal(size=(500, 6)) * size
    shift = X[0].copy()
    column_stats = moments(X)
    assert (
        column_stats.max_abs_deviation * (1 + 1e-12) >= np.abs(X - column_stats.mean).max(axis=0)
    ).all()
    quanta = totals.quanta(
        column_stats.max_abs_deviation + np.abs(column_stats.mean - shift), len(X), X[:100] - shift
    )
    if quanta is None:
        return
    running = totals.empty(quanta, 5)
    labels = np.full(len(X), -1, dtype=np.int32)
    assign_update(X, X[:5].copy(), labels, shift, totals=running)
    exact = [(X - shift)[labels == cluster].sum(axis=0) for cluster in range(5)]
    np.testing.assert_allclose(running.values(6), exact, rtol=1e-6, atol=1e-6 * size)


def test_rows_whose_squares_overflow_are_refused():
    X = np.random.default_rng(0).normal(size=(100, 3)) * 1e200
    assert totals.quanta(moments(X).max_abs_deviation, 100, X) is None


def test_wrong_arguments():
    X = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    running, shift = begun(X, 5)
    labels = np.full(100, -1, dtype=np.int32)
    with pytest.raises(ValueError, match="totals: wrong size"):
        assign_update(X, X[:6].copy(), labels, shift, totals=running)
    labels[3] = 5
    with pytest.raises(ValueError, match="not a centroid"):
        assign_update(X, X[:5].copy(), labels, shift, totals=running)
    with pytest.raises(TypeError, match="labels must be int32"):
        assign_update(X, X[:5].copy(), np.zeros(100, dtype=np.int64), shift, totals=running)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(50, 1, 3), (900, 17, 40), (3000, 260, 130)], ids=str)
def test_means(shape, dtype):
    n, d, k = shape
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(n, d)) + 5).astype(dtype)
    running, shift = begun(X, k)
    centers = X[rng.integers(0, n, k)].copy()
    centers[-1] = 100  # no row is near
    labels = np.full(n, -1, dtype=np.int32)
    assign_update(X, centers, labels, shift, totals=running)
    one, two = (totals.means(running, centers, shift, threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.centers, two.centers)
    assert one.movement == two.movement
    assert one.inertia == two.inertia
    exact, inertia = ref.means(X, labels, centers, shift)
    np.testing.assert_allclose(one.centers, exact, rtol=4e-7 if dtype is np.float32 else 1e-9)
    moved = ((one.centers.astype(np.float64) - centers) ** 2).sum()
    assert one.movement == pytest.approx(moved, rel=1e-12)
    squares = ((X.astype(np.float64) - shift) ** 2).sum()
    assert squares + one.inertia == pytest.approx(
        squares + inertia, rel=1e-5 if dtype is np.float32 else 1e-9
    )


@pytest.mark.parametrize("n_rows", [1 << 32, 10**10, 10**15])
def test_there_are_quanta_for_any_number_of_rows(n_rows):
    """The unit of 2^31 rows serves for more, which are carried over."""
    sample = np.random.default_rng(0).normal(size=(100, 768))
    largest = np.full(768, 6.2)
    quanta = totals.quanta(largest, n_rows, sample)
    assert quanta is not None
    np.testing.assert_array_equal(quanta, totals.quanta(largest, totals.MOST_ROWS, sample))
    assert totals.empty(quanta, 3, n_rows).carried is not None
    assert totals.empty(quanta, 3, totals.MOST_ROWS).carried is None


def test_carried_sums_are_python_integers():
    rng = np.random.default_rng(0)
    running = totals.empty(np.full(8, 4.0), 3, 10**15)
    exact = np.zeros((3, 8), dtype=object)
    for _ in range(100):
        more = rng.integers(-(2**61), 2**61, (3, 8)) + 2**60
        running.sums += more
        exact += more.astype(object)
        running.carry()
        assert running.sums.min() >= 0
        assert running.sums.max() < 2**32
    values = [[float(number) / 4 for number in row[:5]] for row in exact]
    np.testing.assert_array_equal(running.values(5), values)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_of_carried_sums(dtype):
    rng = np.random.default_rng(1)
    X = (rng.normal(size=(2000, 5)) + 7).astype(dtype)
    running, shift = begun(X, 6)
    centers = np.concatenate([X[:5], np.full((1, 5), 1e6, dtype)])  # the last one gets no rows
    labels = np.full(len(X), -1, dtype=np.int32)
    assign_update(X, centers, labels, shift, totals=running)
    expected = totals.means(running, centers, shift)
    running.carried = np.zeros_like(running.sums)
    running.carry()
    assert running.carried.any()
    result = totals.means(running, centers, shift)
    np.testing.assert_allclose(result.centers, expected.centers, rtol=np.finfo(dtype).eps)
    np.testing.assert_array_equal(result.centers[5], centers[5])
    assert result.movement == pytest.approx(expected.movement, rel=1e-6)
    assert result.inertia == pytest.approx(expected.inertia, rel=1e-12)
