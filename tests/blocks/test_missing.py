"""Missing values dropped or filled in, in every kind of data, against NumPy."""

import numpy as np
import pytest

from unsup_fast.blocks import DataError, source

HOLES = [(0, 1), (7, 0), (7, 3), (8, 2), (49, 0)]
ROWS = np.delete(np.arange(50), [0, 7, 8, 49])


@pytest.fixture
def holed(X):
    """Return 50 x 4 float64 rows, five values of which are missing."""
    X = X.astype(np.float64)
    X[tuple(zip(*HOLES, strict=True))] = np.nan
    return X


def forms(X, folder):
    """Yield data with these rows, of every kind that can lack values."""
    yield X
    yield np.asfortranarray(X)
    yield lambda: iter([X[:9], X[9:]])
    np.save(folder / "x.npy", X)
    yield folder / "x.npy"
    pa = pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    import pyarrow.feather as feather
    import pyarrow.parquet as pq

    frame = pd.DataFrame(X, columns=list("abcd"))
    yield frame
    table = pa.Table.from_pandas(frame)  # NaN becomes null
    assert table["a"].null_count == 2
    yield table
    pq.write_table(table, folder / "x.parquet", row_group_size=11)
    yield folder / "x.parquet"
    feather.write_feather(table, folder / "x.feather")
    yield folder / "x.feather"
    frame.to_csv(folder / "x.csv", index=False)
    yield folder / "x.csv"
    yield pa.table({"v": [[None if np.isnan(x) else x for x in row] for row in X.tolist()]})


@pytest.mark.parametrize("chunk_size", [1, 7, None])
def test_drop(holed, tmp_path, chunk_size):
    for data in forms(holed, tmp_path):
        rows = source(data, missing="drop", chunk_size=chunk_size)
        np.testing.assert_array_equal(rows.to_array(), holed[ROWS])
        np.testing.assert_array_equal(rows.row_indices, ROWS)
        np.testing.assert_array_equal(rows.take([45, 3]), holed[ROWS[[45, 3]]])
        assert rows.n_rows_of_data == 50
        assert "Dropped 4 of 50 rows, with missing values (0, 7, 8, 49)." in rows.notes
        if chunk_size == 7:
            later = np.concatenate([block for _, block in rows.blocks(21)])
            np.testing.assert_array_equal(later, holed[ROWS[21:]])
        spread = rows.spread(np.arange(46), -1)
        np.testing.assert_array_equal(spread[ROWS], np.arange(46))
        assert (spread[[0, 7, 8, 49]] == -1).all()


@pytest.mark.parametrize("chunk_size", [1, 7, None])
def test_mean(holed, tmp_path, chunk_size):
    expected = np.where(np.isnan(holed), np.nanmean(holed, axis=0), holed)
    for data in forms(holed, tmp_path):
        rows = source(data, missing="mean", chunk_size=chunk_size)
        np.testing.assert_allclose(rows.to_array(), expected, rtol=1e-13)
        np.testing.assert_allclose(rows.take([7, 7, 3]), expected[[7, 7, 3]], rtol=1e-13)
        assert rows.row_indices is None
        assert "Put the mean of the column in place of 5 missing values." in rows.notes


def test_the_error_says_what_to_do(holed, tmp_path):
    for data in forms(holed, tmp_path):
        with pytest.raises(DataError, match="pass --missing drop or mean"):
            source(data).to_array()


def test_nothing_is_missing(X):
    for missing in ("drop", "mean"):
        assert source(X, missing=missing).array is not None
        rows = source(np.asfortranarray(X), missing=missing)
        assert rows.notes == ()
        assert rows.dtype == np.float32
        np.testing.assert_array_equal(rows.to_array(), X)


@pytest.mark.parametrize(("large", "dtype"), [(2**24, np.float32), (2**24 + 1, np.float64)])
def test_integers_and_booleans_that_may_be_missing(large, dtype):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1, None, large], "b": [True, False, None]})
    rows = source(table, missing="mean")
    assert rows.dtype == dtype
    np.testing.assert_allclose(rows.to_array(), [[1, 1], [(1 + large) / 2, 0], [large, 0.5]])


def test_lists_that_may_be_missing():
    pa = pytest.importorskip("pyarrow")
    values = [None, [1.0, 2.0], [3.0, None], [5.0, 6.0]]
    for kind in (pa.list_(pa.float64()), pa.list_(pa.float64(), 2), pa.large_list(pa.float32())):
        rows = source(pa.table({"v": pa.array(values, kind)}), missing="drop")
        np.testing.assert_array_equal(rows.to_array(), [[1, 2], [5, 6]])


def test_refused(holed):
    with pytest.raises(DataError, match="all 3 rows have missing values"):
        source(np.full((3, 2), np.nan), missing="drop")
    with pytest.raises(DataError, match="column 1 has no values, so no mean"):
        source(np.array([[1, np.nan], [2, np.nan]]), missing="mean")
    holed[3, 3] = np.inf
    with pytest.raises(DataError, match="row 3, column 3 is inf; values must be finite"):
        source(holed, missing="drop").to_array()
    with pytest.raises(ValueError, match="missing='zero' is not one of error, drop, mean"):
        source(holed, missing="zero")


def test_the_mean_of_huge_values_is_finite():
    X = np.array([[1e308, 1.0], [1.5e308, np.nan], [1e308, 3.0]])
    np.testing.assert_allclose(source(X, missing="mean").to_array()[1], [1.5e308, 2.0])
    X = np.array([[1e308], [1.5e308], [np.nan], [1.1e308]] * 9)
    np.testing.assert_allclose(source(X, missing="mean").to_array()[2], [1.2e308])


def test_data_that_change(holed):
    calls = []

    def batches():
        calls.append(1)
        return iter([holed] if len(calls) <= 2 else [holed, holed])

    rows = source(batches, missing="drop")
    with pytest.raises(DataError, match="changed after it was first read"):
        rows.to_array()
