"""Files as one: lists, folders and patterns, of paths and of URLs."""

import gzip
import pickle
import subprocess
import sys
import uuid
from pathlib import Path

import numpy as np
import pytest

from unsup_fast import _extras
from unsup_fast._urls import Url
from unsup_fast.blocks import DataError, _url_npy, kind_of, source

RANDOM = np.random.default_rng(3)
SIZES = {"e-2": 11, "e-10": 20, "e-1": 19}  # in another order than that of the numbers
SUFFIXES = [".npy", ".parquet", ".arrow", ".csv", ".csv.gz"]


def save(path, X, dtype=np.float32):
    """Write rows to a file of the kind that its name says."""
    X = X.astype(dtype)
    if path.name.endswith(".npy"):
        np.save(path, X)
        return
    pa = pytest.importorskip("pyarrow")
    import pyarrow.csv
    import pyarrow.feather
    import pyarrow.parquet as pq

    table = pa.table({f"x{j}": X[:, j] for j in range(X.shape[1])} | {"t": ["x"] * len(X)})
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=6)
    elif path.suffix == ".arrow":
        pyarrow.feather.write_feather(table, path, chunksize=5)
    else:
        with (gzip.open if path.suffix == ".gz" else open)(path, "wb") as file:
            pyarrow.csv.write_csv(table, file)


def rows_of(suffix):
    X = RANDOM.normal(size=(50, 4)).astype(np.float32)
    return np.round(8 * X) / 8 if "csv" in suffix else X


@pytest.fixture
def folder(tmp_path):
    """Return a folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


@pytest.fixture(params=["path", "file://", "memory://"])
def folders(request, folder):
    """Return a folder, and its name as a path or a URL, once the files are in it."""

    def named():
        if request.param == "path":
            return folder
        if request.param == "file://":
            return f"file://{folder}"
        fsspec = pytest.importorskip("fsspec")
        url = f"memory://{uuid.uuid4()}"
        for path in folder.iterdir():
            fsspec.filesystem("memory").pipe(f"{url}/{path.name}", path.read_bytes())
        return url

    if request.param != "path":
        pytest.importorskip("fsspec")
    return folder, named


def ordered(X, order):
    starts = dict(zip(SIZES, np.cumsum([0, *SIZES.values()]), strict=False))
    return np.concatenate([X[starts[name] :][: SIZES[name]] for name in order])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_rows_of_files(folders, suffix):
    folder, named = folders
    X = rows_of(suffix)
    for name, rows in zip(SIZES, np.split(X, np.cumsum([*SIZES.values()])[:-1]), strict=True):
        save(folder / f"{name}{suffix}", rows)
    (folder / "_SUCCESS").touch()
    (folder / "readme.txt").touch()
    name = named()
    kind = suffix.split(".")[1]
    natural = ordered(X, ["e-1", "e-2", "e-10"])
    listed = ordered(X, ["e-10", "e-1"])
    cases = [
        (name, natural),
        (f"{name}/*{suffix}", natural),
        (f"{name}/e-?[0-9]{suffix}", ordered(X, ["e-10"])),
        ([f"{name}/e-10{suffix}", f"{name}/e-1{suffix}"], listed),
        ([f"{name}/e-1?{suffix}", f"{name}/e-1{suffix}"], listed),
        (f"{name}/e-2{suffix}", ordered(X, ["e-2"])),
    ]
    for data, expected in cases:
        rows = source(data, chunk_size=8)
        assert rows.kind == kind
        assert rows.dtype == (np.float64 if kind == "csv" else np.float32)
        for _ in range(2):
            rows._kept.clear()
            rows._room = 0
            np.testing.assert_array_equal(rows.to_array(), expected.astype(rows.dtype))
        indices = RANDOM.integers(0, len(expected), 9)
        np.testing.assert_array_equal(rows.take(indices), expected[indices].astype(rows.dtype))
        parts = rows.parts(3)
        for part in [*parts, *pickle.loads(pickle.dumps(parts))]:
            mine = expected[part.first_row :][: part.n_rows].astype(rows.dtype)
            np.testing.assert_array_equal(part.to_array(), mine)
            np.testing.assert_array_equal(part.take([2, 1]), mine[[2, 1]])
        n_files = len(rows.paths)
        if n_files > 1:
            assert rows.notes[0].startswith(f"Rows of {n_files} ")
            assert len(parts[0].paths) < 3
        assert rows.names == (None if kind == "npy" else ("x0", "x1", "x2", "x3"))


def test_another_process_opens_urls(folder, tmp_path):
    pytest.importorskip("fsspec")
    X = rows_of(".npy")
    np.save(folder / "a.npy", X[:30])
    np.save(folder / "b.npy", X[30:])
    part = source(f"file://{folder}/*.npy", chunk_size=10).parts(2)[1]
    (tmp_path / "part").write_bytes(pickle.dumps(part))
    code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')).to_array().sum())"
    ran = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "part"], capture_output=True, text=True, check=True
    )
    assert float(ran.stdout) == pytest.approx(float(X[20:].sum()), rel=1e-5)


@pytest.mark.parametrize("types", [("f4", "f8"), ("f2", "i2"), ("i8", "f4"), ("f4", "u1", "f8")])
@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_the_widest_type(folder, suffix, types):
    X = RANDOM.integers(0, 100, (30, 2))
    parts = np.array_split(X, len(types))
    for i, (rows, dtype) in enumerate(zip(parts, types, strict=True)):
        save(folder / f"{i}{suffix}", rows, dtype)
    rows = source(folder, chunk_size=7)
    assert rows.dtype == (np.float64 if "f8" in types else np.float32)
    np.testing.assert_array_equal(rows.to_array(), X)
    np.testing.assert_array_equal(rows.take([29, 0]), X[[29, 0]])
    save(folder / f"9{suffix}", np.full((2, 2), 2**24 + 1), "i8")
    rows = source(folder, chunk_size=7)
    assert rows.dtype == np.float64
    assert rows.take([31])[0, 1] == 2**24 + 1


@pytest.mark.parametrize("suffix", SUFFIXES[:4])
def test_files_without_rows_are_left_out(folder, suffix):
    X = rows_of(suffix)
    for i, rows in enumerate((X[:0], X[:20], X[:0], X[20:])):
        save(folder / f"{i}{suffix}", rows)
    np.testing.assert_array_equal(source(folder, chunk_size=9).to_array(), X)
    with pytest.raises(DataError, match="has no rows"):
        source([folder / f"0{suffix}", folder / f"2{suffix}"])


def test_images_in_several_files(folder):
    X = RANDOM.integers(0, 255, (7, 3, 5)).astype(np.uint8)
    np.save(folder / "0.npy", X[:4])
    np.save(folder / "1.npy", X[4:])
    rows = source(folder)
    assert rows.image_shape == (3, 5)
    assert rows.notes[:2] == ("Rows of 2 .npy files.", "Each 3 x 5 image is a row of 15 columns.")
    np.testing.assert_array_equal(rows.to_array(), X.reshape(7, 15))
    np.save(folder / "2.npy", np.zeros((2, 5, 3), np.uint8))
    with pytest.raises(DataError, match=r"2\.npy: holds images of shape \(5, 3\), .*0\.npy of \(3"):
        source(folder)


def test_files_that_do_not_belong_together(folders):
    folder, named = folders
    np.save(folder / "a.npy", np.ones((3, 2)))
    np.save(folder / "b.npy", np.ones((3, 4)))
    name = named()
    with pytest.raises(DataError, match=r"b\.npy: has 4 columns, .*a\.npy has 2; all files must"):
        source(name)
    with pytest.raises(DataError, match=r"z\*\.npy: matches no file; check the folder and the"):
        source(f"{name}/z*.npy")
    with pytest.raises(DataError, match=r"c\.npy: no such file"):
        source([f"{name}/a.npy", f"{name}/c.npy"])
    with pytest.raises(DataError, match=r"c\.npy: no such file"):
        source(f"{name}/c.npy")
    np.savez(folder / "z.npz", np.ones((2, 2)))
    (folder / "t.csv").write_text("a,b\n1,2\n")
    name = named()
    with pytest.raises(DataError, match=r"holds files of several kinds \(\.csv and \.npy\); name"):
        source(name)
    with pytest.raises(DataError, match=r"t\.csv: is a \.csv file, .*a\.npy is \.npy; files that"):
        source([f"{name}/a.npy", f"{name}/t.csv"])
    with pytest.raises(DataError, match=r"z\.npz: an \.npz is unpacked into memory, and cannot be"):
        source([f"{name}/z.npz", f"{name}/z.npz"])
    assert source(f"{name}/z.npz").shape == (2, 2)
    assert kind_of(Url(f"{name}/t.csv") if "://" in str(name) else Path(name) / "t.csv") == "csv"


def test_a_name_with_the_characters_of_a_pattern(folder):
    np.save(folder / "a[1].npy", np.ones((3, 2)))
    np.save(folder / "a1.npy", np.zeros((3, 2)))
    assert source(folder / "a[1].npy").to_array().all()
    assert not source(folder / "a[1]*.npy").to_array().any()


def test_columns_in_another_order(folder):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.feather

    pyarrow.feather.write_feather(pa.table({"a": [1.0], "b": [2.0]}), folder / "0.arrow")
    pyarrow.feather.write_feather(pa.table({"b": [4], "a": [3]}), folder / "1.feather")
    np.testing.assert_array_equal(source(folder).to_array(), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(source(folder, columns="b").to_array(), [[2], [4]])


@pytest.mark.parametrize("kind", ["file://", "memory://"])
def test_rows_of_a_url_are_read_in_ranges(folders, monkeypatch, kind):
    folder, named = folders
    X = RANDOM.normal(size=(100, 8)).astype(np.float16)
    np.save(folder / "x.npy", X)
    name = named()
    if "://" not in str(name):
        pytest.skip("a path is mapped")
    ranges = []
    read = Url.read_ranges

    def read_ranges(url, starts, stops):
        ranges.extend(zip(starts, stops, strict=True))
        return read(url, starts, stops)

    monkeypatch.setattr(Url, "read_ranges", read_ranges)
    monkeypatch.setattr(_url_npy, "RANGE", 16 * 15)
    rows = source(f"{name}/x.npy", chunk_size=20)
    np.testing.assert_array_equal(rows.take([70, 3, 70]), X[[70, 3, 70]].astype(np.float32))
    assert [stop - start for start, stop in ranges[1:]] == [16, 16]
    ranges.clear()
    np.testing.assert_array_equal(rows.parts(5)[3].to_array(), X[60:80].astype(np.float32))
    assert sorted(ranges) == [(1088, 1328), (1328, 1408)]  # rows 60 to 75, and 75 to 80


def test_files_of_urls_are_watched(folders):
    folder, named = folders
    X = RANDOM.normal(size=(60, 2))
    for i in range(12):  # more than are asked for one by one
        np.save(folder / f"{i}.npy", X[5 * i : 5 * i + 5])
    name = named()
    rows = source(name, chunk_size=5)
    rows._room = 0
    pickled = pickle.dumps(rows)
    np.testing.assert_array_equal(rows.to_array(), X)
    target = f"{name}/3.npy"
    if "memory" in str(name):
        import fsspec

        fsspec.filesystem("memory").pipe(target, fsspec.filesystem("memory").cat(target))
    else:
        np.save(folder / "3.npy", X[15:20])
    with pytest.raises(DataError, match=r"changed after it was first read \(it was written to\)"):
        list(rows.blocks())
    np.testing.assert_array_equal(pickle.loads(pickled).to_array(), X)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-3], "is truncated"),
        (lambda data: b"no" + data, "is not an .npy file"),
        (lambda data: data[:40], "cannot be read as .npy"),
    ],
)
def test_damaged_files_of_urls(damage, said):
    fsspec = pytest.importorskip("fsspec")
    url = f"memory://{uuid.uuid4()}/x.npy"
    with fsspec.open(url, "wb") as file:
        np.save(file, np.ones((4, 2)))
    memory = fsspec.filesystem("memory")
    memory.pipe(url, damage(memory.cat(url)))
    with pytest.raises(DataError, match=said):
        source(url)


def test_fortran_order_is_refused_for_urls():
    fsspec = pytest.importorskip("fsspec")
    url = f"memory://{uuid.uuid4()}/x.npy"
    with fsspec.open(url, "wb") as file:
        np.save(file, np.asfortranarray(RANDOM.normal(size=(4, 2))))
    with pytest.raises(DataError, match=r"is in Fortran order, .* save it in C order"):
        source(url)


def test_packages_that_are_missing(monkeypatch):
    pytest.importorskip("fsspec")
    with pytest.raises(DataError, match=r"nowhere://x\.npy: .*nowhere"):
        source("nowhere://x.npy")

    def missing(module):
        raise ModuleNotFoundError(name="fsspec")

    monkeypatch.setattr(_extras, "import_module", missing)
    with pytest.raises(ImportError, match=r"opening s3://b/x\.npy needs .* pip install"):
        source("s3://b/x.npy")
