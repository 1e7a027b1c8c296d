"""Tables in one file or several: their columns by name, the index of pandas, lists of files."""

import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.blocks import DataError, source
from unsup_fast.blocks._names import split

RANDOM = np.random.default_rng(0)


def write(path, columns, **options):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    pq.write_table(pa.table(columns), path, **options)
    return path


@pytest.mark.parametrize("name", [None, "key"])
def test_the_index_of_pandas_is_no_column(tmp_path, name):
    pd = pytest.importorskip("pandas")
    pa = pytest.importorskip("pyarrow")
    import pyarrow.feather as feather

    frame = pd.DataFrame({"a": [1.0, 2, 3, 4], "b": [5.0, 6, 7, 8]}, index=[3, 1, 0, 2])
    frame.index.name = name
    table = pa.Table.from_pandas(frame)
    frame.to_parquet(tmp_path / "x.parquet")
    feather.write_feather(frame, tmp_path / "x.feather")
    with (
        pa.OSFile(str(tmp_path / "x.arrow"), "wb") as file,
        pa.ipc.new_file(file, table.schema) as w,
    ):
        w.write_table(table)
    kinds = [tmp_path / f"x.{suffix}" for suffix in ("parquet", "feather", "arrow")]
    index = name or "__index_level_0__"
    for data in (*kinds, table, table.replace_schema_metadata(None) if name is None else table):
        rows = source(data)
        assert rows.names == ("a", "b")
        assert f"Left out the index of a pandas frame: {index}." in rows.notes
        np.testing.assert_array_equal(rows.to_array(), frame)
        np.testing.assert_array_equal(source(data, columns=[index]).to_array()[:, 0], [3, 1, 0, 2])
    assert source(frame).names == ("a", "b")


@pytest.mark.parametrize("about", [b"{", b"[1]", b"3", b'{"index_columns": 3}', b"[" * 9999])
def test_metadata_of_pandas_that_say_nothing(about):
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [1.0]}).replace_schema_metadata({b"pandas": about})
    assert source(table).names == ("a",)


NAMES = ["a", " b", "c ", "d, e", "d", 'f "g"', "a.b", "h\ni", "ä", "x", " x", "0", ""]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("a,d", ["a", "d"]),
        ("a, d", ["a", "d"]),
        (" b", [" b"]),
        ("b", [" b"]),
        ("a,b,c", ["a", " b", "c "]),
        ("d, e", ["d, e"]),
        ('"d, e"', ["d, e"]),
        ('a,"d, e"', ["a", "d, e"]),
        ('a, "d, e"', ["a", "d, e"]),
        ('f "g"', ['f "g"']),
        ('"f ""g""",a', ['f "g"', "a"]),
        ("a.b", ["a.b"]),
        ('"h\ni",a', ["h\ni", "a"]),
        ("x", ["x"]),
        (" x,x", [" x", "x"]),
        ("0,ä", ["0", "ä"]),
        ("", [""]),
        ("nothing", ["nothing"]),
    ],
)
def test_lists_of_names(text, expected):
    assert split("X", text, NAMES) == expected


@pytest.mark.parametrize("text", ["a\nb", "a,\nb", "x" * 200_000, "\n"])
def test_lists_of_names_that_cannot_be_read(text):
    with pytest.raises(DataError, match="T: the list of columns"):
        split("T", text, ["a", "b"])


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from('ab ,"\n'), min_size=1), min_size=1, unique=True))
def test_any_names_can_be_quoted(names):
    text = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    if text not in names:
        assert split("X", text, names) == names


def test_any_column_can_be_chosen(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.dataset

    columns = {name: RANDOM.random(7) for name in NAMES}
    path = write(tmp_path / "x.parquet", columns)
    for data in (path, pa.table(columns), pyarrow.dataset.dataset(path)):
        for name in NAMES:
            for chosen in ([name], name if name else [name]):
                rows = source(data, columns=chosen)
                assert rows.names == (name,)
                np.testing.assert_array_equal(rows.to_array()[:, 0], columns[name])
        assert source(data, columns='"d, e",b').names == ("d, e", " b")
    with pytest.raises(DataError, match="has no column 'z'; it has a"):
        source(path, columns="a,z")


@pytest.fixture
def parts(tmp_path):
    """Return a folder of Parquet files, their rows in the order of the numbers in the names."""
    X = RANDOM.random((70, 3))
    folder = tmp_path / "parts"
    folder.mkdir()
    names = ["part-1", "part-2", "part-10", "part-010b", "part-11"]
    for name, rows in zip(names, np.split(X, [11, 11, 30, 50]), strict=True):
        write(folder / f"{name}.parquet", dict(zip("abc", rows.T, strict=True)), row_group_size=7)
    write(folder / "_metadata.parquet", {"z": [1.0]})
    (folder / "_SUCCESS").touch()
    return folder, X


@pytest.mark.parametrize("chunk_size", [1, 16, None])
def test_a_folder_and_a_list_of_files(parts, chunk_size):
    folder, X = parts
    rows = source(folder, chunk_size=chunk_size)
    assert rows.kind == "parquet"
    assert rows.names == ("a", "b", "c")
    assert rows.notes == ("Rows of 5 Parquet files.",)
    np.testing.assert_array_equal(rows.to_array(), X)
    indices = RANDOM.integers(0, 70, 30)
    np.testing.assert_array_equal(rows.take(indices), X[indices])
    if chunk_size == 16:
        np.testing.assert_array_equal(np.concatenate([b for _, b in rows.blocks(32)]), X[32:])
    files = [str(folder / "part-11.parquet"), folder / "part-1.parquet"]
    rows = source(files, columns="c,a")
    np.testing.assert_array_equal(rows.to_array(), np.concatenate([X[50:], X[:11]])[:, [2, 0]])


def test_files_of_a_folder_are_watched(parts):
    folder, X = parts
    rows = source(folder, chunk_size=16)
    rows._room = 0
    list(rows.blocks())
    (folder / "part-11.parquet").unlink()
    with pytest.raises(DataError, match=r"part-11\.parquet: cannot be read any more"):
        list(rows.blocks())
    write(folder / "part-11.parquet", dict(zip("abc", X[:5].T, strict=True)))
    with pytest.raises(DataError, match="changed after it was first read"):
        list(rows.blocks())


def test_folders_that_are_refused(parts, tmp_path):
    folder, _ = parts

    def refused(data, said):
        with pytest.raises(DataError, match=said):
            source(data).to_array()

    write(folder / "part-3.parquet", {"a": [1.0], "b": [None], "c": [2.0]})
    refused(folder, r"part-3\.parquet: column 'b' is null, in .*part-1\.parquet it is double")
    write(folder / "part-3.parquet", {"a": [1.0], "b": [2.0]})
    refused(folder, "column 'c' is not there, in .* it is double; all files must have the same")
    write(folder / "part-3.parquet", {"a": [1.0], "b": [2.0], "c": [3.0], "d": [3.0]})
    refused(folder, "column 'd' is double, in .* it is not there")
    write(folder / "part-3.parquet", {"c": [1.0, np.inf], "b": [2.0, 1.0], "a": [3.0, 3.0]})
    refused(folder, "row 12, column 'c' is inf")
    (folder / "part-3.parquet").write_bytes(b"PAR1")
    refused(folder, r"part-3\.parquet: is not a Parquet file")
    (tmp_path / "none").mkdir()
    refused(tmp_path / "none", r"is a directory without \.parquet files")
    np.save(tmp_path / "x.npy", np.eye(2))
    mixed = [folder / "part-1.parquet", tmp_path / "x.npy"]
    refused(mixed, r"x\.npy: is a \.npy file, .*part-1\.parquet is \.parquet; files that are read")
    with pytest.raises(TypeError, match=r"data is of type builtins\.list"):
        source([])


def test_missing_values_in_a_folder(parts):
    folder, X = parts
    write(folder / "part-3.parquet", {"a": [1.0, 2.0], "b": [None, 3.0], "c": [2.0, 4.0]})
    with pytest.raises(DataError, match=r"part-3\.parquet: row 0, column 'b' is missing"):
        source(folder).to_array()
    rows = source(folder, missing="drop")
    np.testing.assert_array_equal(rows.to_array(), np.insert(X, 11, [2.0, 3.0, 4.0], axis=0))


def test_objects_in_a_frame():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": [1.0, 2.0], "o": [object(), object()], "b": [3.0, 4.0]})
    rows = source(frame)
    np.testing.assert_array_equal(rows.to_array(), [[1, 3], [2, 4]])
    assert "Skipped columns that are not numbers: o." in rows.notes
    for values in ([1, "x"], [10**30, 1], pd.arrays.SparseArray([0.0, 1.0]), [1j, 2.0]):
        mixed = frame[["a"]].assign(o=values)
        with pytest.raises(DataError, match=r"X: column 'o' of type .* cannot be read"):
            source(mixed)
        np.testing.assert_array_equal(source(mixed, columns=["a"]).to_array(), [[1], [2]])
    with pytest.raises(DataError, match="X: column 'o' of type object cannot be read"):
        source(frame, columns=["o"])


def test_no_columns(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pd = pytest.importorskip("pandas")
    import pyarrow.feather as feather

    write(tmp_path / "x.parquet", {})
    feather.write_feather(pa.table({}), tmp_path / "x.feather")
    for data in (tmp_path / "x.parquet", tmp_path / "x.feather", pa.table({}), pd.DataFrame()):
        with pytest.raises(DataError, match="has no columns"):
            source(data)


HEADER = "{'descr': '<f4', 'fortran_order': False, 'shape': %s, }"
HEADERS = {
    "bool": HEADER % "(True, 4)",
    "negative": HEADER % "(-1, 4)",
    "huge": HEADER % f"(1{'0' * 30}, 4)",
    "largest": HEADER % "(9223372036854775807, 4)",
    "empty and huge": HEADER % "(0, 9223372036854775807)",
    "power": HEADER % "(10**30, 4)",
    "float": HEADER % "(2.0, 4)",
    "list": HEADER % "[2, 4]",
    "text": HEADER % "'x'",
    "dimensions": HEADER % f"({'1,' * 200})",
    "minus signs": "-" * 5000 + "1",
    "digits": "9" * 9000,
    "brackets": "(" * 3000,
    "unhashable": "{[]:1}",
    "no type": "{'descr': 'zzz', 'fortran_order': False, 'shape': (2, 2)}",
    "order": "{'descr': '<f4', 'fortran_order': 3, 'shape': (2, 2)}",
}


@pytest.mark.parametrize("kind", HEADERS)
@pytest.mark.parametrize("packed", [False, True])
def test_headers_that_no_array_has(tmp_path, kind, packed):
    header = HEADERS[kind].encode()
    header += b" " * (64 - (11 + len(header)) % 64) + b"\n"
    text = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(256)
    path = tmp_path / ("x.npz" if packed else "x.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.npy", text)
    else:
        path.write_bytes(text)
    with pytest.raises(DataError) as error:
        source(path)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 300 + len(str(path))


def test_kinds_of_files(tmp_path):
    for name in ("x.gz", "x.npy.gz", "x.txt", "x"):
        (tmp_path / name).touch()
        with pytest.raises(DataError, match=r"is not a \.npy, .* nor a \.csv\.gz or \.tsv\.gz"):
            source(Path(tmp_path / name))
