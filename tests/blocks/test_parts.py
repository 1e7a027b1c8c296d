"""Parts of sources, and sources in other processes."""

import os
import pickle

import cloudpickle
import numpy as np
import pytest

from unsup_fast.blocks import DataError, source


def again(rows):
    return cloudpickle.loads(cloudpickle.dumps(rows))


@pytest.fixture(params=["as it is", "pickled before", "pickled after"])
def parts(request):
    """Return the parts of a source, which may have been in another process."""

    def parts_of(rows, n):
        if request.param == "as it is":
            return rows.parts(n)
        if request.param == "pickled before":
            return again(rows).parts(n)
        rows.n_rows  # noqa: B018  a pass of some sources
        return [again(part) for part in again(rows.parts(n))]

    return parts_of


@pytest.mark.parametrize("chunk_size", [7, None])
def test_parts_are_the_rows(data, X, chunk_size, parts):
    n = 3
    pieces = parts(source(data, chunk_size=chunk_size), n)
    size = chunk_size or 50
    assert len(pieces) == min(n, -(-50 // size))
    row = 0
    for part in pieces:
        assert part.first_row == row
        assert (row % size, part.dtype, part.n_columns) == (0, np.float32, 4)
        assert part.chunk_size == chunk_size or chunk_size is None
        rows = X[row : row + part.n_rows]
        for _ in range(2):
            blocks = list(part.blocks())
            assert [first for first, _ in blocks] == list(range(0, part.n_rows, size))
            np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), rows)
        np.testing.assert_array_equal(part.take([part.n_rows - 1, 0]), rows[[-1, 0]])
        np.testing.assert_array_equal(part.to_array(), rows)
        if part.array is not None:
            np.testing.assert_array_equal(part.array, rows)
        exact = rows.astype(np.float64)
        np.testing.assert_allclose(part.moments.mean, exact.mean(axis=0), rtol=1e-13)
        with pytest.raises(IndexError, match=f"has rows 0 to {part.n_rows - 1}"):
            part.take([part.n_rows])
        with pytest.raises(ValueError, match="not where a block begins"):
            next(part.blocks(part.n_rows * size))
        row += part.n_rows
    assert row == 50
    lengths = [-(-part.n_rows // size) for part in pieces]
    assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("n", [1, 2, 4, 5, 100])
def test_how_even_parts_are(n):
    rows = source(np.arange(34.0).reshape(-1, 2), chunk_size=4)  # 5 blocks
    pieces = rows.parts(n)
    lengths = [-(-part.n_rows // 4) for part in pieces]
    assert len(pieces) == min(n, 5)
    assert sum(lengths) == 5
    assert max(lengths) - min(lengths) <= 1
    with pytest.raises(ValueError, match="n=0 is not a number of parts; pass an int >= 1"):
        rows.parts(0)


def test_parts_of_parts(X, parts):
    second = parts(source(X, chunk_size=3), 2)[1]  # blocks 8 to 16
    pieces = parts(second, 3)
    assert [part.first_row for part in pieces] == [24, 33, 42]
    for part in pieces:
        np.testing.assert_array_equal(part.to_array(), X[part.first_row :][: part.n_rows])


@pytest.mark.parametrize("kind", ["array", "npy", "function", "parquet"])
def test_the_type_of_a_part_is_that_of_all_rows(kind, tmp_path, parts):
    X = np.zeros((40, 2), np.int64)
    X[35] = 2**24 + 1
    data = X
    if kind == "npy":
        np.save(tmp_path / "x.npy", X)
        data = tmp_path / "x.npy"
    elif kind == "function":
        data = lambda: [X]  # noqa: E731
    elif kind == "parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        data = tmp_path / "x.parquet"
        pq.write_table(pa.table({"a": X[:, 0], "b": X[:, 1]}), data, write_statistics=False)
    assert [part.dtype for part in parts(source(data, chunk_size=10), 4)] == [np.float64] * 4


@pytest.mark.parametrize("missing", ["drop", "mean"])
@pytest.mark.parametrize("kind", ["array", "function", "Table", "csv"])
def test_missing_values(kind, missing, X, tmp_path, parts):
    X[[0, 5, 22, 23, 24, 49], [1, 2, 3, 0, 1, 2]] = np.nan
    data = X
    if kind == "function":
        data = lambda: [X]  # noqa: E731
    elif kind == "Table":
        data = pytest.importorskip("pyarrow").table({f"x{j}": X[:, j] for j in range(4)})
    elif kind == "csv":
        pytest.importorskip("pyarrow")
        data = tmp_path / "x.csv"
        np.savetxt(data, X, delimiter=",", header="a,b,c,d", comments="")
    rows = source(data, chunk_size=7, missing=missing)
    whole, notes = rows.to_array(), rows.notes
    pieces = parts(rows, 3)
    np.testing.assert_array_equal(np.concatenate([p.to_array() for p in pieces]), whole)
    assert all(part.notes == notes for part in pieces)
    if missing == "drop":
        indices = np.concatenate([part.row_indices for part in pieces])
        np.testing.assert_array_equal(indices, rows.row_indices)
        assert {part.n_rows_of_data for part in pieces} == {50}
        np.testing.assert_array_equal(
            np.concatenate([p.rows_of_data(np.arange(p.n_rows)) for p in pieces]), indices
        )


def test_rows_that_are_changed_or_left_out(X, parts):
    rows = source(X, chunk_size=4)
    numbered = rows.map_rows(lambda block, first: block + first)
    without = numbered.without(np.arange(50) % 5 == 2)
    for changed in (numbered, without, without.map_rows(lambda block, first: 2 * block)):
        whole = changed.to_array()
        pieces = parts(changed, 3)
        assert len(pieces) == 3
        np.testing.assert_array_equal(np.concatenate([p.to_array() for p in pieces]), whole)
    assert [part.first_row for part in pieces] == [0, 12, 24]
    assert pieces[1].row_indices[0] == 15


@pytest.mark.parametrize("kind", ["array", "function", "npy", "Table"])
def test_errors_name_rows_of_the_data(kind, X, tmp_path, parts):
    X[33, 2] = np.nan
    data = X
    if kind == "function":
        data = lambda: [X]  # noqa: E731
    elif kind == "npy":
        np.save(tmp_path / "x.npy", X)
        data = tmp_path / "x.npy"
    elif kind == "Table":
        pa = pytest.importorskip("pyarrow")
        data = pa.table({f"x{j}": pa.array(X[:, j], from_pandas=True) for j in range(4)})
    rows = source(data, chunk_size=5)
    if kind == "function":
        rows._n_rows = 50  # else the pass that counts them meets it
    *_, third, _ = parts(rows, 4)
    assert third.first_row == 25
    with pytest.raises(DataError, match="row 33, column"):
        list(third.blocks())


def test_values_of_parts_in_memory_travel_without_the_others(X):
    pa = pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    import scipy.sparse as sp

    X = np.tile(X, (400, 1))  # 320 kB
    table = pa.table({f"x{j}": X[:, j] for j in range(4)})
    values = pa.FixedSizeListArray.from_arrays(pa.array(X.ravel()), 4)
    lists = pa.table({"v": values.cast(pa.list_(pa.float32()))})
    csr = sp.csr_array(X)
    for data in (X, table, pd.DataFrame(X, columns=list("abcd")), lists, csr):
        rows = source(data, chunk_size=100)
        part = rows.parts(100)[50]
        assert len(pickle.dumps(part)) < 20_000, type(data)
        changed = source(data, chunk_size=100, missing="drop").map_rows(np.add)
        assert len(pickle.dumps(changed.parts(100)[50])) < 20_000, type(data)
        np.testing.assert_array_equal(again(again(part)).to_array(), X[part.first_row :][:200])


@pytest.mark.parametrize("order", ["C", "F"])
def test_mapped_arrays_travel_by_the_names_of_their_files(order, X, tmp_path, parts):
    np.save(tmp_path / "x.npy", np.asarray(np.tile(X, (100, 1)), order=order))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    views = (mapped, mapped[10:], mapped[::-3], mapped[5:, 1:3], np.asarray(mapped)[7:])
    for view in views:
        rows = source(view, chunk_size=1000)
        assert len(pickle.dumps(again(rows))) < 2000
        for part in parts(rows, 2):
            assert len(pickle.dumps(part)) < 2000
            expected = view[part.first_row :][: part.n_rows]
            np.testing.assert_array_equal(part.to_array(), expected)
    changed = np.load(tmp_path / "x.npy", mmap_mode="c")
    changed[0] = 7
    np.testing.assert_array_equal(again(source(changed)).take([0])[0], [7] * 4)
    rows = pickle.dumps(source(mapped))
    os.truncate(tmp_path / "x.npy", 500)
    with pytest.raises(DataError, match=r"x\.npy: cannot be mapped again"):
        pickle.loads(rows)


def test_what_is_known_travels(X, tmp_path):
    """Arriving, a source calls its function for the first matrix, and again for the rows."""
    log = tmp_path / "calls"
    log.touch()
    X = np.round(100 * X).astype(np.int32)

    def batches():
        with log.open("a") as file:
            file.write("x")
        return [X]

    rows = source(batches, chunk_size=20, missing="drop")
    moments = rows.moments
    pickled = cloudpickle.dumps(rows)
    log.write_text("")
    arrived = cloudpickle.loads(pickled)
    assert arrived.rows_if_known == 50
    assert arrived.dtype == np.float32
    for ours, theirs in zip(arrived.moments, moments, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert log.read_text() == "x"
    np.testing.assert_array_equal(arrived.to_array(), X)
    assert log.read_text() == "xx"


def test_files_that_changed_meanwhile(X, tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, X)
    rows = source(path, chunk_size=10)
    list(rows.blocks())
    pickled = pickle.dumps(rows), pickle.dumps(rows.parts(5)[2])
    os.utime(path, (1, 1))  # a copy on another machine
    for each, row in zip(pickled, (3, 23), strict=True):
        np.testing.assert_array_equal(pickle.loads(each).take([3])[0], X[row])
    X[25] += 1
    np.save(path, X)
    for each in pickled:
        with pytest.raises(DataError, match="rows 20 to 29 are not what they were"):
            list(pickle.loads(each).blocks())
    np.save(path, X[:49])
    for each in pickled:
        with pytest.raises(DataError, match="changed after it was first read"):
            pickle.loads(each)
    np.save(path, X.astype(np.float64))
    for each in pickled:
        with pytest.raises(DataError, match="its size is another one"):
            pickle.loads(each)
    path.unlink()
    for each in pickled:
        with pytest.raises(DataError, match="cannot be opened again: No such file"):
            pickle.loads(each)


def test_files_are_opened_from_any_folder(X, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", X)
    rows = source("x.npy")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    arrived = again(rows)
    assert arrived.name == "x.npy"
    np.testing.assert_array_equal(arrived.to_array(), X)
