"""Bad input ends in one line that says what and where, and nothing saved is lost."""

import os
import resource
import subprocess
import sys

import numpy as np
import pytest

from unsup_fast.cli.kmeans import fitting

GOOD = np.arange(40, dtype=np.float32).reshape(10, 4)


def with_value(value):
    X = GOOD.copy()
    X[7, 2] = value
    return X


def write_npy(name, array):
    return lambda folder: np.save(folder / name, array)


def write(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def truncated(name):
    def make(folder):
        np.save(folder / "whole.npy", GOOD)
        content = (folder / "whole.npy").read_bytes()
        (folder / name).write_bytes(content[:-40])

    return make


def truncated_archive(folder):
    np.savez(folder / "whole.npz", a=GOOD, b=GOOD)
    (folder / "d.npz").write_bytes((folder / "whole.npz").read_bytes()[:-60])


def truncated_parquet(folder):
    parquet({"a": np.arange(10.0)})(folder)
    content = (folder / "d.parquet").read_bytes()
    (folder / "d.parquet").write_bytes(content[:-20])


def parquet(columns):
    def make(folder):
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), folder / "d.parquet")

    return make


def pickled(folder):
    np.save(folder / "d.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)


def pickled_archive(folder):
    np.savez(folder / "d.npz", a=np.array([[{"a": 1}, None]], dtype=object))


CASES = {
    "nan": (write_npy("d.npy", with_value(np.nan)), "d.npy", "d.npy: row 7, column 2 is nan"),
    "infinite": (write_npy("d.npy", with_value(-np.inf)), "d.npy", "row 7, column 2 is -inf"),
    "no file": (lambda folder: None, "d.npy", "d.npy: no such file"),
    "directory": (lambda folder: (folder / "d.npy").mkdir(), "d.npy", "d.npy: is a directory"),
    "other kind": (
        write("d.txt", b"1 2"),
        "d.txt",
        "is not a .npy, .npz, .csv, .tsv, .parquet, .arrow or .feather file",
    ),
    "no bytes": (write("d.npy", b""), "d.npy", "d.npy: is empty (0 bytes)"),
    "not npy": (write("d.npy", b"something else"), "d.npy", "is not an .npy file"),
    "cut npy": (truncated("d.npy"), "d.npy", "d.npy: is truncated"),
    "cut header": (write("d.npy", b"\x93NUMPY\x01\x00v\x00{'de"), "d.npy", "is truncated"),
    "pickled": (pickled, "d.npy", "holds Python objects, which are never unpickled"),
    "no rows": (write_npy("d.npy", GOOD[:0]), "d.npy", "d.npy: has no values (shape 0 x 4)"),
    "no columns": (write_npy("d.npy", GOOD[:, :0]), "d.npy", "has no values (shape 10 x 0)"),
    "one dimension": (write_npy("d.npy", GOOD[0]), "d.npy", "rows x columns are needed"),
    "five dimensions": (write_npy("d.npy", GOOD.reshape(10, 1, 1, 2, 2)), "d.npy", "10 x 1 x 1"),
    "complex": (write_npy("d.npy", GOOD + 1j), "d.npy", "holds complex64"),
    "strings": (write_npy("d.npy", GOOD.astype("U8")), "d.npy", "holds <U8"),
    "too few rows": (write_npy("d.npy", GOOD[:2]), "d.npy", "has 2 rows, fewer than -k 3"),
    "pickled in npz": (pickled_archive, "d.npz", "array 'a' holds Python objects"),
    "cut npz": (truncated_archive, "d.npz", "is not an .npz archive, or is truncated"),
    "no npz": (write("d.npz", b"PK??"), "d.npz", "is not an .npz archive, or is truncated"),
    "csv nan": (
        write("d.csv", b"a,b\n1,2\n3,nan\n5,6\n"),
        "d.csv",
        "d.csv: row 1, column 'b' is missing",
    ),
    "csv infinite": (write("d.csv", b"a,b\n1,2\n3,inf\n"), "d.csv", "row 1, column 'b' is inf"),
    "csv word": (
        write("d.csv", b"a,b\n1,2\n3,4\n5,x7\n"),
        "d.csv",
        "d.csv: row 2, column 'b' is 'x7', not a number",
    ),
    "csv late word": (
        write("d.csv", b"a,b\n" + b"1,2\n" * 400_000 + b"5,oops\n"),
        "d.csv",
        "d.csv: row 400000, column 'b' is 'oops', not a number",
    ),
    "csv short line": (write("d.csv", b"a,b\n1,2\n3\n"), "d.csv", "d.csv: Row #3: Expected 2"),
    "csv header only": (write("d.csv", b"a,b\n"), "d.csv", "d.csv: has no rows"),
    "csv empty": (write("d.csv", b""), "d.csv", "d.csv: is empty"),
    "csv text only": (write("d.csv", b"a\nx\ny\n"), "d.csv", "no column of numbers, only a"),
    "csv open quote": (
        write("d.csv", b'a,t\n1,x\n2,"y\n3,z\n'),
        "d.csv",
        "d.csv: a quote that opens a value is never closed",
    ),
    "csv twice": (write("d.csv", b"a,a\n1,2\n"), "d.csv", "2 columns are called 'a'"),
    "csv not text": (write("d.csv", b"\xff\xfe\x00"), "d.csv", "is not UTF-8 text"),
    "cut parquet": (truncated_parquet, "d.parquet", "is not a Parquet file, or is truncated"),
    "parquet nan": (
        parquet({"a": [1.0, 2.0, float("nan")]}),
        "d.parquet",
        "d.parquet: row 2, column 'a' is nan",
    ),
    "parquet null": (parquet({"a": [1.0, None, 2.0]}), "d.parquet", "row 1, column 'a' is missing"),
    "parquet uneven": (
        parquet({"v": [[1.0, 2.0], [3.0, 4.0], [5.0]]}),
        "d.parquet",
        "row 2, column 'v' has 1 values, row 0 has 2",
    ),
    "parquet null in list": (
        parquet({"v": [[1.0, 2.0], [3.0, None]]}),
        "d.parquet",
        "row 1, column 'v' lacks value number 1",
    ),
    "parquet nan in list": (
        parquet({"v": [[1.0, 2.0], [3.0, float("nan")]]}),
        "d.parquet",
        "row 1, column 'v', value 1 is nan",
    ),
    "parquet lists and numbers": (
        parquet({"id": [1, 2], "v": [[1.0], [2.0]]}),
        "d.parquet",
        "choose with --columns",
    ),
    "parquet text": (parquet({"t": ["a", "b"]}), "d.parquet", "no column of numbers, only t"),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_data(cli, tmp_path, name):
    make, path, said = CASES[name]
    make(tmp_path)
    ran = cli("kmeans", path, "-k", 3, "-o", "out")
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert ran.out == ""
    assert not (tmp_path / "out").exists()


OPTIONS = {
    "no clusters": (["-k", 0], "-k 0: at least one cluster is needed"),
    "k not a number": (["-k", "ten"], "-k ten: is not a number of clusters"),
    "columns of npy": (
        ["-k", 2, "--columns", "a"],
        "columns are for .csv, .parquet, .arrow and .feather",
    ),
    "key of npy": (["-k", 2, "--key", "a"], "a key is for .npz"),
    "algorithm": (["-k", 2, "--algorithm", "magic"], "is not one of auto, lloyd, elkan"),
    "metric": (["-k", 2, "--metric", "l1"], "--metric l1: is not one of euclidean, cosine"),
    "threads": (["-k", 2, "--threads", 0], "--threads"),
    "tolerance": (["-k", 2, "--tol", -1], "--tol"),
    "tolerance nan": (["-k", 2, "--tol", "nan"], "--tol"),
    "iterations": (["-k", 2, "--max-iter", 0], "--max-iter"),
    "init file": (["-k", 2, "--init", "no.npy"], "no.npy: no such file"),
    "init shape": (["-k", 2, "--init", "data.npy"], "has shape (10, 4); (2, 4) is needed"),
    "weights file": (["-k", 2, "--weights", "no.npy"], "--weights no.npy: no such file"),
    "weights shape": (["-k", 2, "--weights", "data.npy"], "10 weights are needed"),
    "weights below zero": (["-k", 2, "--weights", "w.npy"], "the weight of row 3 is -1.0"),
    "weights all zero": (
        ["-k", 2, "--weights", "z.npy"],
        "the weight of every row is 0",
    ),
    "text too short": (["-k", 2, "--text", "short.txt"], "has 3 lines, data.npy has 10 rows"),
    "no text": (["-k", 2, "--text", "no.txt"], "no.txt: no such file"),
    "images": (["-k", 2, "--images", "2x3"], "--images 2x3: is 6 values, rows have 4"),
    "images unreadable": (["-k", 2, "--images", "2by2"], "write HxW or HxWxC"),
    "both": (["-k", 2, "--overwrite", "--resume"], "exclude each other"),
    "out is a file": (["-k", 2, "-o", "data.npy"], "data.npy: is a file; name a directory"),
    "out under a file": (["-k", 2, "-o", "data.npy/out"], "cannot be written to"),
    "option": (["-k", 2, "--nonsense"], "No such option"),
    "no k": ([], "-k"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_bad_options(cli, tmp_path, name):
    np.save(tmp_path / "data.npy", GOOD)
    np.save(tmp_path / "w.npy", np.where(np.arange(10) == 3, -1.0, 1.0))
    np.save(tmp_path / "z.npy", np.zeros(10))
    (tmp_path / "short.txt").write_text("one\ntwo\nthree\n")
    words, said = OPTIONS[name]
    before = sorted(tmp_path.iterdir())
    ran = cli("kmeans", "data.npy", "-o", "out", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


TABLE_OPTIONS = {
    "no such column": (["--columns", "a,z"], "has no column 'z'; it has a, b, t"),
    "text column": (["--columns", "a,t"], "row 0, column 't' is 'x', not a number"),
    "empty name": (["--columns", "a,,b"], "has an empty name"),
    "twice": (["--columns", "a,a"], "2 columns are called 'a'"),
    "weights column": (["--weights", "t"], "row 0, column 't' is 'x', not a number"),
    "no weights column": (["--weights", "z"], "has no column 'z'"),
}


@pytest.mark.parametrize("name", TABLE_OPTIONS)
def test_bad_columns(cli, tmp_path, name):
    (tmp_path / "d.csv").write_text("a,b,t\n1,2,x\n3,4,y\n5,7,z\n")
    words, said = TABLE_OPTIONS[name]
    ran = cli("kmeans", "d.csv", "-k", 2, "-o", "out", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_archive_of_several_arrays_needs_a_key(cli, tmp_path):
    np.savez(tmp_path / "d.npz", a=GOOD, b=GOOD, c=np.arange(3))
    ran = cli("kmeans", "d.npz", "-k", 2, "-o", "out")
    assert ran.status == 2
    assert "holds a 10 x 4, b 10 x 4, c 3; choose one with --key" in ran.err
    ran = cli("kmeans", "d.npz", "-k", 2, "-o", "out", "--key", "z")
    assert "has no array 'z'" in ran.err
    assert cli("kmeans", "d.npz", "-k", 2, "-o", "out", "--key", "b").status == 0


COMMANDS = {"pca": ["-n", 2], "gmm": ["-k", 2]}
FEW = {"too few rows", "csv nan"}  # said of kmeans in other words, or of a file of few rows


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", [name for name in CASES if name not in FEW])
def test_bad_data_of_other_commands(cli, tmp_path, name, command):
    make, path, said = CASES[name]
    make(tmp_path)
    ran = cli(command, path, *COMMANDS[command], "-o", "out")
    assert ran.status == 2
    assert said in ran.err or "pass -" in ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


OTHER_OPTIONS = {
    "pca no number": (["pca", "-n", "many"], "-n many: write a number of axes as in 50"),
    "pca zero": (["pca", "-n", 0], "-n 0: write a number"),
    "pca one and more": (["pca", "-n", 1.5], "-n 1.5: write a number"),
    "pca nan": (["pca", "-n", "nan"], "-n nan: write a number"),
    "pca too many": (["pca", "-n", 5], "-n 5: data.npy has 10 rows of 4 columns; pass -n 4"),
    "pca too many for arpack": (["pca", "-n", 4, "--solver", "arpack"], "pass -n 3 or less"),
    "pca share for arpack": (["pca", "-n", 0.5, "--solver", "arpack"], "needs a number of axes"),
    "pca solver": (["pca", "-n", 2, "--solver", "x"], "--solver x: is not one of auto, "),
    "pca images": (["pca", "-n", 2, "--images", "2x3"], "is 6 values, rows have 4"),
    "pca no n": (["pca"], "-n"),
    "gmm no number": (["gmm", "-k", "many"], "-k many: write a number as in 32, or a range"),
    "gmm zero": (["gmm", "-k", 0], "-k 0: write a number"),
    "gmm backwards": (["gmm", "-k", "5:2"], "-k 5:2: ends before it begins"),
    "gmm four parts": (["gmm", "-k", "1:2:3:4"], "-k 1:2:3:4: write"),
    "gmm too many": (["gmm", "-k", "2:11"], "has 10 rows, fewer than -k 11; pass -k 10 or less"),
    "gmm covariance": (["gmm", "-k", 2, "--covariance", "x"], "is not one of full, tied, diag"),
    "gmm criterion": (["gmm", "-k", 2, "--criterion", "x"], "--criterion x: is not one of bic"),
    "gmm init": (["gmm", "-k", 2, "--init", "x"], "--init x: is not one of kmeans, "),
    "gmm tolerance": (["gmm", "-k", 2, "--tol", -1], "--tol"),
    "gmm reg covar": (["gmm", "-k", 2, "--reg-covar", -1], "--reg-covar"),
    "gmm weights": (["gmm", "-k", 2, "--weights", "no.npy"], "--weights no.npy: no such file"),
    "gmm no k": (["gmm"], "-k"),
}


@pytest.mark.parametrize("name", OTHER_OPTIONS)
def test_bad_options_of_other_commands(cli, tmp_path, name):
    np.save(tmp_path / "data.npy", GOOD)
    (command, *words), said = OTHER_OPTIONS[name]
    ran = cli(command, "data.npy", "-o", "out", *words)
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data.npy"]


def test_one_row_has_no_axes_and_no_mixture(cli, tmp_path):
    np.save(tmp_path / "d.npy", GOOD[:1])
    ran = cli("pca", "d.npy", "-n", 1, "-o", "out")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "has one row, and so no variance" in ran.err
    ran = cli("gmm", "d.npy", "-k", 1, "-o", "out")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "has one row; a mixture needs two" in ran.err
    np.save(tmp_path / "d.npy", GOOD[:3])
    ran = cli("pca", "d.npy", "-n", "mle", "-o", "out")
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "fewer than its 4 columns" in ran.err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_directory(cli, tmp_path):
    np.save(tmp_path / "d.npy", GOOD)
    (tmp_path / "out").mkdir(mode=0o500)
    ran = cli("kmeans", "d.npy", "-k", 2, "-o", "out")
    assert ran.status == 2
    assert "cannot be written to: Permission denied" in ran.err


def test_too_little_room_is_seen_before_the_fit(cli, tmp_path, monkeypatch):
    from unsup_fast.cli import run_folder

    np.save(tmp_path / "d.npy", GOOD)
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(run_folder.shutil, "disk_usage", lambda path: usage)
    ran = cli("kmeans", "d.npy", "-k", 2, "-o", "out")
    assert ran.status == 2
    assert "the disk has 1 kB left, the results need about 8.39 MB" in ran.err
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_loses_nothing_saved(tmp_path):
    """A limit on the size of files simulates a full disk; the old results stay whole."""
    np.save(tmp_path / "d.npy", np.random.default_rng(0).random((50_000, 2), dtype=np.float32))
    words = [sys.executable, "-m", "unsup_fast", "kmeans", "d.npy", "-k", "3", "-o", "out"]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    ran = subprocess.run(
        [*words, "--overwrite", "--seed", "1"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        preexec_fn=limit,
    )
    assert ran.returncode == 2
    assert "labels.npy: cannot save labels.npy, and nothing was changed: " in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_file_that_becomes_shorter_during_the_fit(cli, hard, monkeypatch):
    step = fitting.Fitting.step

    def then_cut(self, state):
        step(self, state)
        if state.iteration == 2:
            os.truncate(hard, 4096)

    monkeypatch.setattr(fitting.Fitting, "step", then_cut)
    ran = cli("kmeans", hard, "-k", 30, "--init", "random", "--tol", 0, "-o", "run", "--quiet")
    assert ran.status == 2
    assert ran.err.startswith(f"error: {hard}: became shorter while it was read")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("command", ["kmeans -k 3", "gmm -k 2", "pca -n 2"])
def test_a_huge_number_of_threads(cli, data, command):
    words = [*command.split(), data, "-o", "run", "--quiet", "--no-report", "--threads"]
    ran = cli(*words, 10**9)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "--threads" in ran.err
    ran = cli(*words, 4096)
    assert (ran.status, ran.err) == (0, "")
