"""Errors name the position of data that cannot be used, or that have changed."""

import os
import re

import numpy as np
import pytest
import scipy.sparse as sp

from unsup_fast.blocks import DataError, _source, source


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(_source, "KEPT", 0)


def refused(said, data, **options):
    with pytest.raises(DataError, match=re.escape(said)):
        for _ in source(data, **options).blocks():
            pass


@pytest.mark.parametrize("chunk_size", [1, 7, 50, None])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_bad_values(X, tmp_path, chunk_size, value, dtype):
    X = X.astype(dtype)
    X[37, 2] = value
    np.save(tmp_path / "x.npy", X)
    said = f"row 37, column 2 is {value}; values must be finite"
    for data in (
        X,
        np.asfortranarray(X),
        sp.csr_array(X.astype(np.float64)),
        lambda: [X[:9], X[9:]],
    ):
        refused(f"X: {said}", data, chunk_size=chunk_size)
    refused(f"{tmp_path / 'x.npy'}: {said}", tmp_path / "x.npy", chunk_size=chunk_size)
    with pytest.raises(DataError, match=said):
        source(X).to_array()


@pytest.mark.parametrize("chunk_size", [1, 7, None])
def test_bad_values_of_tables(X, tmp_path, chunk_size):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = [row.tolist() for row in X]
    short, hole, gap = rows.copy(), rows.copy(), rows.copy()
    short[37], hole[37], gap[37] = [1.0], None, [1.0, None, 2.0, 3.0]
    for column, said in (
        (pa.array(short), "row 37, column 'a' has 1 values, row 0 has 4"),
        (pa.array(hole), "row 37, column 'a' is missing"),
        (pa.array(gap), "row 37, column 'a' lacks value number 1"),
        (pa.array([*range(37), None, *range(12)]), "row 37, column 'a' is missing"),
    ):
        table = pa.table({"a": column})
        pq.write_table(table, tmp_path / "x.parquet", row_group_size=11)
        refused(f"X: {said}", table, chunk_size=chunk_size)
        refused(f"x.parquet: {said}", tmp_path / "x.parquet", chunk_size=chunk_size)


def test_no_rows_and_no_columns():
    pa = pytest.importorskip("pyarrow")
    for data in (np.empty((0, 3)), np.empty((3, 0)), sp.csr_array((0, 3)), pa.table({"a": []})):
        with pytest.raises(DataError, match=r"has no (rows|values|column)|rows x columns"):
            source(data)
    for data in (list, lambda: iter([])):
        with pytest.raises(DataError, match="has no rows"):
            source(data)
    refused("has no rows", lambda: [np.empty((0, 3))])


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (np.zeros(3), "has shape 3; rows x columns are needed"),
        (np.zeros((3, 2), complex), "holds complex128"),
        (np.array([["a"]]), "holds <U1"),
        (lambda: [np.zeros((2, 2)), np.zeros((2, 3))], "matrix 1 has 3 columns, the first had 2"),
        (lambda: [np.zeros((2, 2)), np.zeros((2, 2), "f4")], "matrix 1 holds float32"),
        (lambda: [np.zeros(2)], "matrix 0 has shape 2"),
    ],
)
def test_what_is_no_matrix(data, said):
    refused(said, data)


def test_arguments():
    X = np.zeros((3, 2))
    with pytest.raises(TypeError, match=r"data is of type builtins\.list; pass a path"):
        source([[1.0]])
    with pytest.raises(TypeError, match="the function returned int"):
        source(lambda: 3)
    with pytest.raises(DataError, match=r"columns are for tables; numpy\.ndarray has no names"):
        source(X, columns=["a"])
    with pytest.raises(ValueError, match=r"key='a' is for \.npz files"):
        source(X, key="a")
    for chunk_size in (0, -1, 1.5, "1"):
        with pytest.raises(ValueError, match="is not a number of rows; pass an int >= 1"):
            source(X, chunk_size=chunk_size)


def test_arguments_of_tables():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1.0]})
    with pytest.raises(DataError, match="X: has no column 'b'; it has a"):
        source(table, columns=["b"])
    with pytest.raises(DataError, match="X: columns is empty"):
        source(table, columns=[])
    with pytest.raises(TypeError, match="a RecordBatchReader can be read once only"):
        source(table.to_reader())
    with pytest.raises(TypeError, match="ChunkedArray is no table"):
        source(table["a"])


def changing(X, later):
    """Return a function that yields X when first called for its rows, and `later` afterwards."""
    calls = []

    def batches():
        calls.append(1)
        return iter([X] if len(calls) <= 2 else later)

    return batches


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda X: [X[:43]], "it ends after 43 of 50 rows"),
        (lambda X: [X[:40]], "it ends after 40 of 50 rows"),
        (lambda X: [], "it ends after 0 of 50 rows"),
        (lambda X: [X, X[:1]], "it has more than the 50 rows it had"),
        (lambda X: [X, X], "it has more than the 50 rows it had"),
        (lambda X: [X[::-1]], "rows 0 to 9 are not what they were"),
        (lambda X: [X[:20], X[21:], X[20:21]], "rows 20 to 29 are not what they were"),
        (lambda X: [X[:, :3]], "matrix 0 has 3 columns, the first had 4"),
    ],
)
def test_a_function_that_yields_other_rows_later(X, change, said):
    rows = source(changing(X, change(X)), chunk_size=10)
    assert len(list(rows.blocks())) == 5
    with pytest.raises(DataError, match=said):
        list(rows.blocks())


def test_a_function_that_returns_a_used_iterator(X):
    iterator = iter([X, X])
    rows = source(lambda: iterator, chunk_size=10)
    assert len(list(rows.blocks())) == 5
    with pytest.raises(DataError, match="from a new iterator"):
        list(rows.blocks())


@pytest.mark.parametrize("kind", ["f2", "f4", "fortran", "parquet"])
def test_a_file_that_changes_between_passes(X, tmp_path, kind):
    path = tmp_path / ("x.parquet" if kind == "parquet" else "x.npy")

    def write(X):
        if kind == "parquet":
            pa = pytest.importorskip("pyarrow")
            import pyarrow.parquet as pq

            pq.write_table(pa.table({"a": X[:, 0]}), path)
        else:
            np.save(path, np.asfortranarray(X) if kind == "fortran" else X.astype(kind))

    write(X)
    rows = source(path, chunk_size=10)
    list(rows.blocks())
    write(X[:40])
    for read in (lambda: list(rows.blocks()), lambda: rows.take([3, 30])):
        with pytest.raises(DataError, match="changed after it was first read"):
            read()
    path.unlink()
    with pytest.raises(DataError, match="cannot be read any more: No such file"):
        list(rows.blocks())


def test_a_file_that_shrinks_during_a_pass(tmp_path, monkeypatch):
    monkeypatch.setattr("unsup_fast.blocks.npy.STEP", 800)
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((1000, 4), np.float16))
    blocks = source(path, chunk_size=100).blocks()
    next(blocks)
    os.truncate(path, 4000)
    with pytest.raises(DataError, match="ends before row"):
        list(blocks)


def test_errors_of_a_function_pass(X):
    def batches():
        yield X
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        list(source(batches, chunk_size=7).blocks())
