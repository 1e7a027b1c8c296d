"""Blocks of every kind of data, against the rows that the data hold."""

import time
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from unsup_fast.blocks import DataError, Source, _source, source


def blocks_of(rows, start=0):
    blocks = list(rows.blocks(start))
    for first, block in blocks:
        assert block.flags.c_contiguous
        assert not block.flags.writeable
        assert first == start
        start += len(block)
    return [block for _, block in blocks]


@pytest.mark.parametrize("cache_bytes", [0, 250, 1 << 20])
@pytest.mark.parametrize("chunk_size", [1, 7, 50, 51, None])
def test_blocks_are_the_rows(data, X, chunk_size, cache_bytes, monkeypatch):
    monkeypatch.setattr(_source, "KEPT", cache_bytes)
    rows = source(data, chunk_size=chunk_size)
    assert rows.dtype == np.float32
    assert rows.n_columns == 4
    for _ in range(2):
        blocks = blocks_of(rows)
        np.testing.assert_array_equal(np.concatenate(blocks), X)
        sizes = [len(block) for block in blocks]
        assert set(sizes[:-1]) <= {rows.chunk_size}
        assert sizes[-1] <= rows.chunk_size
    assert rows.shape == (50, 4)
    np.testing.assert_array_equal(rows.to_array(), X)


@pytest.mark.parametrize("cache_bytes", [0, 250, 1 << 20])
def test_any_block_can_be_the_first(data, X, cache_bytes, monkeypatch):
    monkeypatch.setattr(_source, "KEPT", cache_bytes)
    rows = source(data, chunk_size=8)
    for start in (48, 8, 0, 24):
        np.testing.assert_array_equal(np.concatenate(blocks_of(rows, start)), X[start:])
    for start in (-8, 3, 56):
        with pytest.raises(ValueError, match=f"start={start} is not where a block begins"):
            next(rows.blocks(start))


@pytest.mark.parametrize("cache_bytes", [0, 250, 1 << 20])
def test_take(data, X, cache_bytes, monkeypatch):
    monkeypatch.setattr(_source, "KEPT", cache_bytes)
    rows = source(data, chunk_size=4)
    random = np.random.default_rng(0)
    for indices in ([], [49], [0, 49, 0], random.integers(0, 50, 80), np.arange(50)[::-1]):
        taken = rows.take(indices)
        assert taken.dtype == np.float32
        assert taken.flags.c_contiguous
        np.testing.assert_array_equal(taken, X[np.asarray(indices, dtype=int)])
    for indices in ([50], [3, -1]):
        with pytest.raises(IndexError, match="has rows 0 to 49"):
            rows.take(indices)


@pytest.mark.parametrize("chunk_size", [1, 7, None])
def test_moments(data, X, chunk_size):
    actual = source(data, chunk_size=chunk_size).moments
    exact = X.astype(np.float64)
    np.testing.assert_allclose(actual.mean, exact.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(actual.variance, exact.var(axis=0), rtol=1e-13)


def test_moments_far_from_zero():
    X = 1e8 + np.random.default_rng(0).normal(size=(1000, 3))
    actual = source(np.asfortranarray(X), chunk_size=37).moments
    exact = X.astype(np.longdouble).var(axis=0).astype(np.float64)
    np.testing.assert_allclose(actual.variance, exact, rtol=1e-8)


TYPES = [
    "f2",
    "f4",
    "f8",
    ">f2",
    ">f4",
    ">f8",
    "i1",
    "u1",
    "i2",
    "u2",
    "i4",
    "u4",
    "i8",
    ">i8",
    "?",
]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("saved", [True, False])
def test_types(dtype, saved, tmp_path):
    X = np.random.default_rng(0).integers(0, 120, (30, 3)).astype(dtype)
    expected = np.float64 if dtype.endswith("f8") else np.float32
    np.save(tmp_path / "x.npy", X)
    rows = source(tmp_path / "x.npy" if saved else X, chunk_size=7)
    assert rows.dtype == expected
    blocks = blocks_of(rows)
    assert all(block.dtype == expected and block.dtype.isnative for block in blocks)
    np.testing.assert_array_equal(np.concatenate(blocks), X.astype(expected))


@pytest.mark.parametrize("value", [2**24 + 1, -(2**24) - 1])
@pytest.mark.parametrize("kind", ["array", "csr", "function", "table", "parquet", "unknown"])
def test_integers_that_float32_would_round(value, kind, tmp_path):
    X = np.zeros((40, 2), dtype=np.int64)
    small, large = X, X.copy()
    large[31, 1] = value
    for rows, expected in ((small, np.float32), (large, np.float64)):
        if kind in ("table", "parquet", "unknown"):
            pa = pytest.importorskip("pyarrow")
            import pyarrow.parquet as pq

            data = pa.table({"a": rows[:, 0], "b": rows[:, 1], "c": np.ones(40, np.float32)})
            if kind != "table":
                pq.write_table(data, tmp_path / "x.parquet", write_statistics=kind == "parquet")
                data = tmp_path / "x.parquet"
        else:
            by_kind = {"array": rows, "csr": sp.csr_array(rows), "function": lambda r=rows: [r]}
            data = by_kind[kind]
        actual = source(data, chunk_size=9)
        assert actual.dtype == expected
        assert actual.take([31])[0, 1] == rows[31, 1]


@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=12),
    st.integers(1, 12),
    st.sampled_from(["f2", "f4", "i8"]),
)
def test_blocks_do_not_depend_on_how_rows_come(sizes, chunk_size, dtype):
    X = np.arange(2 * sum(sizes)).reshape(-1, 2).astype(dtype)
    parts = np.split(X, np.cumsum(sizes)[:-1])
    rows = source(lambda: iter(parts), chunk_size=chunk_size)
    if not len(X):
        with pytest.raises(DataError, match="has no rows"):
            list(rows.blocks())
        return
    blocks = [block.tolist() for _, block in rows.blocks()]
    assert blocks == [block.tolist() for _, block in source(X, chunk_size=chunk_size).blocks()]


def test_halves_of_any_layout_and_table():
    pa = pytest.importorskip("pyarrow")
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    X = every[np.isfinite(every)][:63480].reshape(-1, 24)  # [2645, 24], subnormals too
    columns = {f"c{j}": X[:, j] for j in range(24)}
    lists = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 24)
    layouts = [
        X,
        np.asfortranarray(X),
        np.repeat(X, 2, axis=0)[::2],
        X.astype(">f2"),
        pa.table(columns),
    ]
    for data in (*layouts, pa.table({"x": lists}), lambda: iter([X[:9], X[9:]])):
        for chunk_size in (97, None):
            actual = np.concatenate(blocks_of(source(data, chunk_size=chunk_size)))
            assert actual.dtype == np.float32
            np.testing.assert_array_equal(
                actual.view(np.int32), X.astype(np.float32).view(np.int32)
            )


def test_memory_of_blocks_is_used_again_once_nobody_holds_it():
    rows = source(np.arange(8000, dtype=np.int16).reshape(-1, 2), chunk_size=10)
    rows._room = 0
    addresses = {block.ctypes.data for _, block in rows.blocks()}
    addresses |= {block.ctypes.data for _, block in rows.blocks()}
    assert len(addresses) <= 4
    held = [block[3:5, 1:] for _, block in rows.blocks()]  # views hold the memory
    np.testing.assert_array_equal(
        np.concatenate(held)[:, 0], rows.to_array()[:, 1].reshape(-1, 10)[:, 3:5].ravel()
    )
    readers = [rows.blocks() for _ in range(3)]
    for blocks in zip(*readers, strict=True):
        for row, block in blocks:
            np.testing.assert_array_equal(block, np.arange(2 * row, 2 * row + 20).reshape(10, 2))


def test_rows_in_place_are_not_copied(X, tmp_path):
    rows = source(X, chunk_size=20)
    assert all(np.shares_memory(block, X) for _, block in rows.blocks())
    assert X.flags.writeable
    assert np.shares_memory(rows.array, X)
    assert rows.to_array() is rows.array


def test_a_function_may_use_its_array_again(X):
    def batches():
        buffer = np.empty((5, 4), np.float32)
        for start in range(0, 50, 5):
            buffer[:] = X[start : start + 5]
            yield buffer

    assert_same = np.testing.assert_array_equal
    assert_same(np.concatenate(blocks_of(source(batches, chunk_size=20))), X)
    assert_same(source(batches, chunk_size=3).take([49, 0]), X[[49, 0]])


def test_blocks_take_64_mib():
    rows = source(np.zeros((3, 100), np.float16))
    assert rows.chunk_size == (64 << 20) // 400
    assert source(np.zeros((3, 100))).chunk_size == (64 << 20) // 800
    assert source(np.zeros((1, 20_000_000), np.int8)).chunk_size == 1


def test_the_next_block_is_read_while_one_is_used(X):
    """The reader must continue while the consumer sleeps, and by one block only."""
    read = []

    def batches():
        for start in range(0, 50, 10):
            read.append(start)
            yield X[start : start + 10]

    blocks = source(batches, chunk_size=10).blocks()
    read.clear()
    next(blocks)
    until = time.monotonic() + 10
    while len(read) < 2 and time.monotonic() < until:
        time.sleep(0.001)
    time.sleep(0.05)
    assert read == [0, 10]
    blocks.close()


def test_memory_is_a_few_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(_source, "KEPT", 0)
    np.save(tmp_path / "x.npy", np.zeros((40_000, 100), np.float16))  # 16 MB as float32
    rows = source(tmp_path / "x.npy", chunk_size=1000)  # 0.4 MB
    list(rows.blocks(39_000))
    tracemalloc.start()
    for _ in rows.blocks():
        pass
    rows.take(np.arange(0, 40_000, 100))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_little_data_are_read_once(X):
    calls = []

    def batches():
        calls.append(1)
        return [X]

    rows = source(batches, chunk_size=10)
    for _ in range(3):
        list(rows.blocks())
    assert len(calls) == 2  # for the type, and for the rows


def test_a_source_of_a_source(X):
    rows = source(X, chunk_size=10)
    assert isinstance(rows, Source)
    assert source(rows) is rows
    assert source(rows, chunk_size=10) is rows
    with pytest.raises(ValueError, match="data is a Source already"):
        source(rows, chunk_size=11)


def test_columns_of_a_table(X):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": X[:, 0], "b": X[:, 1], "t": ["x"] * 50})
    rows = source(table, columns=["b", "a"])
    assert rows.names == ("b", "a")
    np.testing.assert_array_equal(rows.to_array(), X[:, [1, 0]])
    assert source(table, exclude=["a"]).names == ("b",)
    assert source(table).notes == ("Skipped columns that are not numbers: t.",)


def test_pandas_frames_without_an_arrow_type(X):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {"a": X[:, 0], "n": pd.array([1, 2] * 25, "Int16")}, index=range(50, 0, -1)
    )
    rows = source(frame, chunk_size=7)
    assert rows.names == ("a", "n")
    np.testing.assert_array_equal(rows.to_array()[:, 1], [1, 2] * 25)
    frame.loc[20, "a"] = np.nan
    with pytest.raises(DataError, match="X: row 30, column 'a' is missing"):
        source(frame, chunk_size=7).to_array()
    with pytest.raises(DataError, match="the column 0 has no text for a name"):
        source(pd.DataFrame(X))


def test_tensors(X):
    torch = pytest.importorskip("torch")
    np.testing.assert_array_equal(source(torch.from_numpy(X), chunk_size=7).to_array(), X)
