"""Data files as sources."""

import numpy as np
import pytest

from unsup_fast.blocks import DataError, read_vector, source

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float32),
        (np.uint8, np.float32),
        (np.int64, np.float32),
        (np.bool_, np.float32),
        (np.dtype(">f4"), np.float32),
        (np.dtype(">f8"), np.float64),
    ],
)
def test_types(tmp_path, dtype, expected):
    array = RANDOM.integers(0, 2, (7, 3)).astype(dtype)
    np.save(tmp_path / "d.npy", array)
    rows = source(tmp_path / "d.npy")
    assert rows.dtype == expected
    assert rows.to_array().dtype.isnative
    assert rows.to_array().flags.c_contiguous
    np.testing.assert_array_equal(rows.to_array(), array.astype(expected))
    assert bool(rows.notes) == (np.dtype(dtype).newbyteorder("=") != expected)


@pytest.mark.parametrize("value", [2**24 + 1, -(2**24) - 1])
def test_large_integers_are_not_rounded(tmp_path, value):
    np.save(tmp_path / "d.npy", np.array([[value, 1]]))
    rows = source(tmp_path / "d.npy")
    assert rows.dtype == np.float64
    assert rows.to_array()[0, 0] == value


def test_float32_is_mapped_not_copied(tmp_path):
    np.save(tmp_path / "d.npy", np.ones((5, 2), dtype=np.float32))
    array = source(tmp_path / "d.npy").array
    assert not array.flags.owndata
    assert not array.flags.writeable


def test_fortran_order(tmp_path):
    array = np.asfortranarray(RANDOM.random((5, 3)))
    np.save(tmp_path / "d.npy", array)
    rows = source(tmp_path / "d.npy")
    assert rows.to_array().flags.c_contiguous
    np.testing.assert_array_equal(rows.to_array(), array)


@pytest.mark.parametrize(
    ("shape", "picture"),
    [
        ((5, 2, 3), (2, 3)),
        ((5, 2, 3, 3), (2, 3, 3)),
        ((5, 3, 2, 2), None),
    ],
)
def test_images_are_flattened(tmp_path, shape, picture):
    array = RANDOM.random(shape)
    np.save(tmp_path / "d.npy", array)
    rows = source(tmp_path / "d.npy")
    np.testing.assert_array_equal(rows.to_array(), array.reshape(5, -1))
    assert rows.image_shape == picture
    assert rows.notes


def test_moments(tmp_path):
    array = RANDOM.normal(size=(100, 3))
    np.save(tmp_path / "d.npy", array)
    rows = source(tmp_path / "d.npy")
    np.testing.assert_allclose(rows.moments.mean, array.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(rows.moments.variance, array.var(axis=0))


def test_weights(tmp_path):
    np.save(tmp_path / "w.npy", np.arange(4))
    np.testing.assert_array_equal(read_vector(tmp_path / "w.npy", 4), [0.0, 1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="5 weights are needed"):
        read_vector(tmp_path / "w.npy", 5)


def test_csv_keeps_the_order_asked_for(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "d.csv").write_text("a,b,c\n1,2.5,x\n3,4.5,y\n")
    rows = source(tmp_path / "d.csv", columns=["b", "a"])
    assert rows.names == ("b", "a")
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows.to_array(), [[2.5, 1], [4.5, 3]])


def test_csv_text_is_skipped_with_a_note(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "d.csv").write_text("name,a\nx,1\ny,2\n")
    rows = source(tmp_path / "d.csv")
    assert rows.names == ("a",)
    assert rows.notes == ("Skipped columns that are not numbers: name.",)


def test_csv_without_a_header(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "d.csv").write_text("1,2\n3,4\n")
    rows = source(tmp_path / "d.csv")
    assert rows.names == ("c0", "c1")
    np.testing.assert_array_equal(rows.to_array(), [[1, 2], [3, 4]])
    assert "c0 to c1" in rows.notes[0]


def test_csv_column_that_turns_from_integers_to_fractions(tmp_path):
    """The type is guessed from the first megabyte; the fraction comes after it."""
    pytest.importorskip("pyarrow")
    (tmp_path / "d.csv").write_text("a,b\n" + "1,2\n" * 400_000 + "1.5,2\n")
    assert source(tmp_path / "d.csv").to_array()[-1, 0] == 1.5


def test_csv_marks_and_quotes(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "d.csv").write_bytes(b'\xef\xbb\xbf"a, first",b\r\n"1",2\r\n3,4\r\n')
    rows = source(tmp_path / "d.csv")
    assert rows.names == ("a, first", "b")
    np.testing.assert_array_equal(rows.to_array(), [[1, 2], [3, 4]])


def table(tmp_path, columns, **options):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), tmp_path / "d.parquet", **options)
    return tmp_path / "d.parquet"


@pytest.mark.parametrize("rows_in_group", [3, 100])
def test_parquet_numbers(tmp_path, rows_in_group):
    a, b = RANDOM.random(20, dtype=np.float32), RANDOM.integers(0, 9, 20)
    path = table(tmp_path, {"a": a, "b": b, "t": ["x"] * 20}, row_group_size=rows_in_group)
    rows = source(path)
    assert rows.names == ("a", "b")
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows.to_array(), np.column_stack([a, b]).astype(np.float32))


def test_parquet_takes_the_widest_type(tmp_path):
    path = table(tmp_path, {"a": np.ones(3, dtype=np.float32), "b": np.ones(3)})
    assert source(path).dtype == np.float64
    path = table(tmp_path, {"a": np.array([2**24 + 1, 0])})
    assert source(path).to_array()[0, 0] == 2**24 + 1


@pytest.mark.parametrize("kind", ["list", "large", "fixed"])
@pytest.mark.parametrize("value", ["float", "double", "halffloat", "int8"])
def test_parquet_lists(tmp_path, kind, value):
    pa = pytest.importorskip("pyarrow")
    element = getattr(
        pa,
        {"float": "float32", "double": "float64"}.get(value, value.replace("halffloat", "float16")),
    )()
    whole = {
        "list": pa.list_(element),
        "large": pa.large_list(element),
        "fixed": pa.list_(element, 2),
    }[kind]
    values = (
        [[np.float16(i), np.float16(2 * i)] for i in range(5)]
        if value == "halffloat"
        else [[i, 2 * i] for i in range(5)]
    )
    path = table(tmp_path, {"v": pa.array(values, whole), "t": ["x"] * 5}, row_group_size=2)
    rows = source(path)
    assert rows.names == ("v",)
    assert rows.dtype == (np.float64 if value == "double" else np.float32)
    np.testing.assert_array_equal(rows.to_array(), [[i, 2 * i] for i in range(5)])


def test_parquet_list_beside_numbers_is_chosen_by_name(tmp_path):
    path = table(tmp_path, {"id": [1, 2], "v": [[1.0, 2.0], [3.0, 4.0]]})
    np.testing.assert_array_equal(source(path, columns=["v"]).to_array(), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(source(path, columns=["id"]).to_array(), [[1], [2]])
    with pytest.raises(DataError, match="a list column cannot be used beside others"):
        source(path, columns=["id", "v"])


def test_tables_need_pyarrow(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "d.csv").write_text("a\n1\n")
    with pytest.raises(ImportError, match=r"pip install 'unsup-fast\[data\]'"):
        source(tmp_path / "d.csv")
