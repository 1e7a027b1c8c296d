"""Commands on folders, patterns and URLs."""

import json
import uuid

import numpy as np
import pandas as pd
import pytest

QUICK = ["--threads", 1, "--no-report", "-q"]


@pytest.fixture
def folder(tmp_path, blobs):
    """Return a folder of three .npy files, and their rows in one file next to it."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for number, rows in zip((2, 9, 10), np.split(blobs[0], 3), strict=True):
        np.save(folder / f"e-{number}.npy", rows)
    np.save(tmp_path / "whole.npy", blobs[0])
    return folder


@pytest.fixture(params=["parts", "parts/*.npy", "file://", "memory://"])
def data(request, folder):
    """Return the name of the data on a command line."""
    if request.param == "file://":
        pytest.importorskip("fsspec")
        return f"file://{folder}/e-*.npy"
    if request.param == "memory://":
        memory = pytest.importorskip("fsspec").filesystem("memory")
        url = f"memory://{uuid.uuid4()}"
        for path in folder.iterdir():
            memory.pipe(f"{url}/{path.name}", path.read_bytes())
        return url
    return request.param


def test_commands_on_several_files(cli, tmp_path, data):
    for command, words in (("kmeans", ["-k", 3]), ("pca", ["-n", 2]), ("gmm", ["-k", 2])):
        for name, out in (("whole.npy", "expected"), (data, "out")):
            ran = cli(command, name, *words, "-o", out, "--overwrite", *QUICK)
            assert ran.status == 0, ran.err
        for path in (tmp_path / "expected").glob("*.npy"):
            np.testing.assert_array_equal(np.load(tmp_path / "out" / path.name), np.load(path))
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["data"]["file"] == data
    assert summary["data"]["notes"] == ["Rows of 3 .npy files."]
    assert ("version" in summary["data"]) == ("://" in data)
    assert ("mtime_ns" in summary["data"]) == ("://" not in data)
    for name, out in (("whole.npy", "e.npy"), (data, "p.npy")):
        ran = cli("predict", "out", name, "-o", out)
        assert ran.status == 0, ran.err
    np.testing.assert_array_equal(np.load(tmp_path / "e.npy"), np.load(tmp_path / "p.npy"))


def test_a_fingerprint_tells_changed_files(cli, data, folder):
    from unsup_fast._urls import file_of
    from unsup_fast.blocks import source
    from unsup_fast.cli.checkpoint import fingerprint

    before = fingerprint(file_of(data), source(data))
    assert before == fingerprint(file_of(data), source(data))
    if "memory" in data:
        import fsspec

        memory = fsspec.filesystem("memory")
        memory.pipe(f"{data}/e-9.npy", memory.cat(f"{data}/e-9.npy"))
    else:
        np.save(folder / "e-9.npy", np.load(folder / "e-9.npy"))
    assert before != fingerprint(file_of(data), source(data))


def test_errors_name_the_data(cli, folder):
    pytest.importorskip("fsspec")
    for data, said in {
        "parts/z*": "parts/z*: matches no file",
        "memory://nothing/here.npy": "memory://nothing/here.npy: no such file",
        "memory://nothing/*.npy": "memory://nothing/*.npy: matches no file",
        "nowhere://x.npy": "nowhere://x.npy: ",
    }.items():
        ran = cli("kmeans", data, "-k", 2, "-o", "out", *QUICK)
        assert ran.status == 2
        assert ran.err.startswith(f"error: {said}")


def test_results_are_not_written_among_the_data(cli, folder):
    ran = cli("kmeans", "parts", "-k", 2, "-o", "out", *QUICK)
    assert ran.status == 0
    for name in ("parts", "parts/*.npy"):
        ran = cli("predict", "out", name, "-o", "parts/e-9.npy", "--overwrite")
        assert ran.status == 2
        assert "-o parts/e-9.npy: is read as DATA" in ran.err or "would become data" in ran.err
    ran = cli("predict", "out", "parts", "-o", "parts/labels.csv")
    assert ran.status == 2
    assert "is in the folder DATA parts, so it would become data" in ran.err


def test_a_model_of_a_table_reads_a_folder_of_tables(cli, tmp_path, blobs):
    (tmp_path / "tables").mkdir()
    frame = pd.DataFrame(blobs[0], columns=list("abcdef"))
    for number in range(3):
        part = frame[100 * number :][:100]
        part[list("fedcba")].to_csv(tmp_path / f"tables/{number}.csv", index=False)
    frame.to_parquet(tmp_path / "whole.parquet")
    assert cli("kmeans", "whole.parquet", "-k", 3, "-o", "out", *QUICK).status == 0
    labels = pd.read_parquet(tmp_path / "out/labels.parquet")["label"].to_numpy()
    ran = cli("predict", "out", "tables/*.csv", "-o", "p.npy")
    assert ran.status == 0, ran.err
    np.testing.assert_array_equal(np.load(tmp_path / "p.npy"), labels)
