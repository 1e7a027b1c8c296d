"""k-means over blocks, against the same rows in memory and against brute force."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast import blocks
from unsup_fast._rows import draws, seeding
from unsup_fast.cluster import (
    KMeans,
    MiniBatchKMeans,
    k_means,
    kmeans_parallel,
    kmeans_plusplus,
)


@pytest.fixture(scope="module")
def rows():
    """Return 3000 x 7 float32 rows around 15 overlapping centres."""
    rng = np.random.default_rng(3)
    centers = 3 * rng.normal(size=(15, 7))
    return (centers[rng.integers(0, 15, 3000)] + rng.normal(size=(3000, 7))).astype(np.float32)


@pytest.fixture
def weight():
    return np.random.default_rng(4).integers(0, 3, 3000).astype(np.float64)


def stream(X, chunk_size=None):
    """Return a source that yields its rows in blocks only."""
    return blocks.source(lambda: [X], chunk_size=chunk_size)


def fit(X, **options):
    weight = options.pop("sample_weight", None)
    return KMeans(15, random_state=0, **options).fit(X, sample_weight=weight)


def same(one, other, exact):
    np.testing.assert_array_equal(one.labels_, other.labels_)
    np.testing.assert_array_equal(one.cluster_sizes_, other.cluster_sizes_)
    np.testing.assert_array_equal(one.n_changed_history_, other.n_changed_history_)
    assert one.cluster_centers_.dtype == other.cluster_centers_.dtype
    rtol = 0 if exact else 1e-6
    np.testing.assert_allclose(one.cluster_centers_, other.cluster_centers_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(
        one.inertia_history_, other.inertia_history_, rtol=0 if exact else 1e-12
    )
    np.testing.assert_allclose(one.inertia_, other.inertia_, rtol=0 if exact else 1e-12)


INITS = {
    "k-means++": {"init": "k-means++"},
    "k-means||": {"init": "k-means||"},
    "random": {"init": "random", "n_init": 3},
    "array": {"init": np.eye(15, 7, dtype=np.float32)},
    "callable": {"init": lambda X, k, random_state: np.eye(k, X.shape[1]), "n_init": 1},
}


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk_size", [97, 1000, 3000, None])
def test_fit_is_that_of_the_rows_in_memory(rows, weight, init, weighted, chunk_size):
    options = {**INITS[init], "sample_weight": weight if weighted else None}
    model = fit(stream(rows, chunk_size), **options)
    same(model, fit(rows, **options), exact=chunk_size in (3000, None))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fit_is_brute_force(rows, dtype):
    X = rows.astype(dtype)
    model = fit(stream(X, 101), init=X[:15], max_iter=3, tol=0)
    centers = X[:15].astype(np.float64)
    for _ in range(3):
        nearest = ((X[:, None].astype(np.float64) - centers) ** 2).sum(axis=2).argmin(axis=1)
        centers = np.array([X[nearest == k].astype(np.float64).mean(axis=0) for k in range(15)])
    np.testing.assert_allclose(model.cluster_centers_, centers, rtol=1e-5, atol=1e-6)
    squares = ((X[:, None].astype(np.float64) - model.cluster_centers_) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.labels_, squares.argmin(axis=1))
    assert model.inertia_ == pytest.approx(squares.min(axis=1).sum(), rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 5),
    st.integers(1, 60),
    st.integers(1, 8),
    st.booleans(),
    st.sampled_from(["f4", "f8", "f2", "i4"]),
)
def test_any_shape(n_rows, n_columns, chunk_size, n_clusters, weighted, dtype):
    """Whole numbers: sums are exact, so blocks may not change a bit."""
    rng = np.random.default_rng(n_rows)
    X = rng.integers(-4, 5, (n_rows, n_columns)).astype(dtype)
    n_clusters = min(n_clusters, len(np.unique(X, axis=0)))
    weight = rng.integers(1, 3, n_rows) if weighted else None
    options = {"random_state": 0, "tol": 0, "max_iter": 5}
    model = KMeans(n_clusters, **options).fit(stream(X, chunk_size), sample_weight=weight)
    whole = KMeans(n_clusters, **options).fit(stream(X), sample_weight=weight)
    np.testing.assert_array_equal(model.labels_, whole.labels_)
    np.testing.assert_allclose(model.cluster_centers_, whole.cluster_centers_, rtol=1e-6, atol=1e-6)


def test_threads_do_not_change_a_bit(rows, weight, simd):
    for sample_weight in (None, weight):
        one, two = (
            fit(stream(rows, 611), n_threads=n, sample_weight=sample_weight) for n in (1, 2)
        )
        same(one, two, exact=True)


def test_how_rows_come_does_not_change_a_bit(rows):
    one = fit(stream(rows, 611))
    for parts in (np.array_split(rows, 17), [rows[:1], rows[1:]]):
        same(one, fit(blocks.source(lambda parts=parts: iter(parts), chunk_size=611)), exact=True)
    same(one, fit(blocks.source(np.asfortranarray(rows), chunk_size=611)), exact=True)


def test_methods(rows, weight):
    source = stream(rows, 611)
    model = fit(source)
    np.testing.assert_array_equal(model.predict(source), model.labels_)
    np.testing.assert_array_equal(model.predict(rows), model.labels_)
    np.testing.assert_array_equal(model.transform(source), model.transform(rows))
    assert model.score(source) == -model.inertia_
    assert model.score(source, sample_weight=weight) == pytest.approx(
        model.score(rows, sample_weight=weight), rel=1e-12
    )
    np.testing.assert_array_equal(KMeans(15, random_state=0).fit_predict(source), model.labels_)
    same(fit(rows), fit(blocks.source(rows)), exact=True)
    assert k_means(source, 15, random_state=0)[2] == model.inertia_


def test_wider_centroids_than_rows(rows):
    model = fit(rows.astype(np.float64))
    source = stream(rows, 611)
    np.testing.assert_array_equal(model.predict(source), model.predict(rows))
    assert model.transform(source).dtype == np.float64
    weight = np.ones(3000)
    assert model.score(source, sample_weight=weight) == pytest.approx(model.score(rows), rel=1e-12)


@pytest.mark.parametrize("chunk_size", [1, 611, 3000])
@pytest.mark.parametrize("improved", [0, 1 << 20])
@pytest.mark.parametrize("weighted", [False, True])
def test_seeding_is_that_of_the_rows_in_memory(
    rows, weight, chunk_size, improved, weighted, monkeypatch
):
    monkeypatch.setattr(seeding, "IMPROVED", improved)
    X, weight = rows[:300], weight[:300] if weighted else None
    expected = kmeans_plusplus(X, 9, sample_weight=weight, random_state=1)
    actual = kmeans_plusplus(stream(X, chunk_size), 9, sample_weight=weight, random_state=1)
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("magnitude", [1e-25, 1e25])
def test_seeding_scales_as_in_memory(rows, magnitude, dtype):
    X = rows[:300].astype(dtype) * dtype(magnitude)
    expected = kmeans_plusplus(X, 9, random_state=1)[1]
    np.testing.assert_array_equal(kmeans_plusplus(stream(X, 97), 9, random_state=1)[1], expected)
    assert len(set(expected.tolist())) == 9


@pytest.mark.parametrize("chunk_size", [1, 97, 3000, None])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("offset", [0, 10_000])
def test_drawing_many_rows_at_once_is_that_of_the_rows_in_memory(
    rows, weight, chunk_size, weighted, offset
):
    X, weight = rows[:500] + np.float32(offset), weight[:500] if weighted else None
    for options in ({}, {"oversampling_factor": 0.5, "n_rounds": 1}):
        expected = kmeans_parallel(X, 15, sample_weight=weight, random_state=1, **options)
        actual = kmeans_parallel(
            stream(X, chunk_size), 15, sample_weight=weight, random_state=1, **options
        )
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("init", ["k-means++", "k-means||"])
def test_progress_of_seeding(rows, init):
    calls = []
    model = KMeans(15, init=init, random_state=0, max_iter=1)
    model.fit(stream(rows, 611), seeding_callback=lambda *state: calls.append(state))
    assert calls == sorted(calls)
    assert calls[-1] == ((15, 15) if init == "k-means++" else (30, 30))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("size", [1, 5, 90])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_are_drawn_as_numpy_draws_them(weighted, size, dtype):
    weight = np.random.default_rng(0).random(100).astype(dtype) if weighted else None
    share = np.ones(100, dtype) if weight is None else weight
    for number in range(5):
        one, other = (np.random.RandomState(number) for _ in range(2))
        indices = draws.draw(draws.masses_of(weight, 100), size, one)
        expected = other.choice(100, size, replace=False, p=share / share.sum())
        np.testing.assert_array_equal(indices, expected)
        assert one.random_sample() == other.random_sample()
    with pytest.raises(ValueError, match="only 3 rows have weight; 4 are to be drawn"):
        draws.draw(draws.masses_of((np.arange(100) < 3).astype(dtype), 100), 4, one)


def test_a_round_of_seeding_is_one_pass(rows):
    calls = []

    def batches():
        calls.append(1)
        yield from np.array_split(rows, 7)

    source = blocks.source(batches, chunk_size=600)
    source._room = 0
    source.take = lambda indices: rows[indices]
    assert source.n_rows == 3000
    calls.clear()
    seeding.kmeans_plusplus(source, 9, np.random.RandomState(0), sample_weight=None)
    assert len(calls) == 9


def test_a_fit_reads_rows_no_more_than_it_must(rows):
    calls = []

    def batches():
        calls.append(1)
        yield from np.array_split(rows, 7)

    source = blocks.source(batches, chunk_size=600)
    source._room = 0
    fit(source, init=rows[:15], max_iter=2, tol=0)
    # The number of columns, moments, sampled rows, two iterations, labels of the last centroids.
    assert len(calls) == 6


@pytest.mark.parametrize("chunk_size", [97, None])
@pytest.mark.parametrize("given_as", ["array", "function"])
def test_cosine(rows, given_as, chunk_size):
    X = rows * np.random.default_rng(0).uniform(0.5, 2, (3000, 1)).astype(np.float32)
    source = blocks.source(X if given_as == "array" else lambda: [X], chunk_size=chunk_size)
    model, expected = fit(source, metric="cosine"), fit(X, metric="cosine")
    same(model, expected, exact=False)
    np.testing.assert_array_equal(model.predict(source), expected.labels_)
    np.testing.assert_array_equal(model.transform(source), model.transform(X))
    assert model.score(source) == pytest.approx(expected.score(X), rel=1e-12)
    X[2100] = 0
    with pytest.raises(ValueError, match="row 2100 of X is zero and has no direction"):
        fit(blocks.source(lambda: [X], chunk_size=chunk_size), metric="cosine")


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_mini_batches(rows, metric):
    options = {"random_state": 0, "batch_size": 100, "max_iter": 3, "metric": metric}
    model = MiniBatchKMeans(15, **options).fit(stream(rows, 611))
    expected = MiniBatchKMeans(15, **options).fit(rows)
    np.testing.assert_array_equal(model.labels_, expected.labels_)
    np.testing.assert_array_equal(model.cluster_centers_, expected.cluster_centers_)
    np.testing.assert_array_equal(model.predict(stream(rows, 97)), model.labels_)
    for X in (rows[:300], rows[300:500]):
        model.partial_fit(stream(X, 97))
        expected.partial_fit(X)
    np.testing.assert_array_equal(model.cluster_centers_, expected.cluster_centers_)


def test_empty_clusters_are_moved_to_far_rows(rows):
    init = np.repeat(rows[:1], 15, axis=0)
    for chunk_size in (97, None):
        model = fit(stream(rows, chunk_size), init=init)
        same(model, fit(rows, init=init), exact=False)
        assert model.cluster_sizes_.min() > 0


def test_memory_maps(rows, tmp_path):
    for name, X in (
        ("half", rows.astype(np.float16)),
        ("fortran", np.asfortranarray(rows)),
        ("swapped", rows.astype(">f4")),
        ("same", rows),
    ):
        np.save(tmp_path / f"{name}.npy", X)
        mapped = np.load(tmp_path / f"{name}.npy", mmap_mode="r")
        model = fit(mapped)
        assert model.cluster_centers_.dtype == np.float32
        same(model, fit(X.astype(np.float32)), exact=True)
        np.testing.assert_array_equal(model.predict(mapped), model.labels_)


def test_tables(rows):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({f"x{j}": rows[:, j] for j in range(7)})
    model = fit(table)
    same(model, fit(rows), exact=True)
    assert model.feature_names_in_.tolist() == table.column_names
    assert model.n_features_in_ == 7
    np.testing.assert_array_equal(model.predict(table), model.labels_)
    same(model, fit(table.to_batches()[0]), exact=True)
    with pytest.raises(ValueError, match="The feature names should match those"):
        model.predict(table.rename_columns([*"abcdefg"]))
    with pytest.raises(ValueError, match="X has 6 features, but KMeans is expecting 7 features"):
        model.predict(table.drop_columns("x0"))
    assert not hasattr(model.fit(stream(rows)), "feature_names_in_")


def test_data_set(rows, tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.dataset as ds
    import pyarrow.parquet as pq

    fixed = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 7)
    pq.write_table(pa.table({"v": fixed}), tmp_path / "x.parquet", row_group_size=500)
    same(fit(ds.dataset(tmp_path / "x.parquet")), fit(rows), exact=True)


@pytest.mark.parametrize("column", [0, 6])
def test_bad_values(rows, column):
    X = rows.copy()
    X[2100, column] = np.nan
    said = f"X: row 2100, column {column} is nan"
    model = fit(rows)
    for call in (fit, model.predict, model.score, model.transform, lambda X: kmeans_plusplus(X, 3)):
        with pytest.raises(ValueError, match=said):
            call(stream(X, 500))


def test_bad_arguments(rows):
    source = stream(rows[:10], 3)
    with pytest.raises(ValueError, match="n_samples=10 should be >= n_clusters=15"):
        fit(source)
    for choose in (kmeans_plusplus, kmeans_parallel):
        with pytest.raises(ValueError, match="n_samples=10 should be >= n_clusters=15"):
            choose(source, 15)
    with pytest.raises(ValueError, match=r"sample_weight.shape == \(3,\)"):
        KMeans(2).fit(source, sample_weight=np.ones(3))
    with pytest.raises(ValueError, match=r"initial centers \(2, 3\)"):
        KMeans(2, init=np.zeros((2, 3))).fit(source)


def test_rows_that_change_during_the_fit(rows):
    calls = []

    def batches():
        calls.append(1)
        X = rows.copy()
        if len(calls) > 5:
            X[700:] += 1
        return [X]

    source = blocks.source(batches, chunk_size=500)
    source._room = 0
    with pytest.raises(blocks.DataError, match="rows 500 to 999 are not what they were"):
        fit(source, init=rows[:15], tol=0)


def test_interrupt_keeps_the_last_iteration(rows):
    def stop(state):
        if state.iteration == 3:
            raise KeyboardInterrupt

    model = KMeans(15, init=rows[:15], tol=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(stream(rows, 611), callback=stop)
    same(model, fit(stream(rows, 611), init=rows[:15], tol=0, max_iter=3), exact=True)


def test_going_on_from_centroids_is_one_fit(rows):
    straight = fit(stream(rows, 611), init=rows[:15], tol=0)
    part = fit(stream(rows, 611), init=rows[:15], tol=0, max_iter=3)
    rest = fit(stream(rows, 611), init=part.cluster_centers_, tol=0)
    np.testing.assert_array_equal(rest.cluster_centers_, straight.cluster_centers_)
    assert rest.n_iter_ + 3 == straight.n_iter_
