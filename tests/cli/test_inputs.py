"""An output that is an input is refused, whatever its name, and the input stays."""

import os
import shutil

import numpy as np
import pytest

from unsup_fast.cli import files
from unsup_fast.cli.errors import UserError

FLAGS = ["--quiet", "--no-report"]


def refused(ran, *said):
    assert ran.status == 2, ran
    assert ran.err.count("\n") == 1
    for text in said:
        assert text in ran.err


@pytest.fixture
def fitted(cli, data, tmp_path):
    """Return the directory of a PCA, which holds coordinates."""
    assert cli("pca", data, "-n", 2, "-o", "fi", *FLAGS).status == 0
    return tmp_path / "fi"


@pytest.mark.parametrize("flag", [[], ["--overwrite"]])
@pytest.mark.parametrize(
    "command", [["kmeans", "-k", 2], ["gmm", "-k", 2], ["pca", "-n", 1]], ids=lambda c: c[0]
)
def test_data_among_the_results(cli, fitted, command, flag):
    name, *options = command
    before = {path.name: path.read_bytes() for path in fitted.iterdir()}
    ran = cli(name, "fi/coordinates.npy", *options, "-o", "fi", *FLAGS, *flag)
    refused(ran, "fi" if not flag else "which it reads as DATA; name another directory")
    assert {path.name: path.read_bytes() for path in fitted.iterdir()} == before


@pytest.mark.parametrize("alias", ["symbolic link", "hard link", "spelling", "link of the folder"])
def test_data_by_another_name(cli, data, tmp_path, alias):
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(data, out / "labels.npy")
    read = tmp_path / "other.npy"
    if alias == "symbolic link":
        read.symlink_to(out / "labels.npy")
    elif alias == "hard link":
        os.link(out / "labels.npy", read)
    elif alias == "spelling":
        read = tmp_path / "out" / ".." / "out" / "labels.npy"
    else:
        (tmp_path / "again").symlink_to(out)
        read = tmp_path / "again" / "labels.npy"
    before = read.read_bytes()
    ran = cli("kmeans", read, "-k", 2, "-o", "out", "--overwrite", *FLAGS)
    refused(ran, "which it reads as DATA")
    assert read.read_bytes() == before


@pytest.mark.parametrize("option", ["--init", "--weights", "--text"])
def test_other_inputs_among_the_results(cli, data, tmp_path, option):
    (tmp_path / "out").mkdir()
    path = tmp_path / "out" / ("report.html" if option == "--text" else "coordinates.npy")
    if option == "--text":
        path.write_text("line\n" * 300)
    else:
        np.save(path, np.ones(300) if option == "--weights" else np.load(data)[:3])
    ran = cli("kmeans", data, "-k", 3, option, path, "-o", "out", "--overwrite", *FLAGS)
    refused(ran, f"which it reads as {option}")
    assert path.exists()


def test_data_in_the_folder_under_another_name(cli, data, tmp_path):
    (tmp_path / "out").mkdir()
    shutil.copy(data, tmp_path / "out/rows.npy")
    for _ in range(2):
        ran = cli("kmeans", "out/rows.npy", "-k", 2, "-o", "out", "--overwrite", *FLAGS)
        assert ran.status == 0, ran.err


@pytest.mark.parametrize("command", ["predict", "transform"])
def test_files_that_are_read(cli, data, tmp_path, command):
    assert cli("kmeans", data, "-k", 2, "-o", "run", *FLAGS).status == 0
    os.link(tmp_path / "run/model.safetensors", tmp_path / "model.npy")
    before = data.read_bytes()
    ran = cli(command, "run", data, "-o", data, "--overwrite", "-q")
    refused(ran, "data.npy: is read as DATA, and would be replaced; name another file")
    assert data.read_bytes() == before
    ran = cli(command, "run", data, "-o", "model.npy", "--overwrite", "-q")
    refused(ran, "model.npy: is read as MODEL")
    if command == "predict":
        shutil.copy(data, tmp_path / "a.distances.npy")
        ran = cli("predict", "run", "a.distances.npy", "--distances", "-o", "a.npy", "--overwrite")
        refused(ran, "a.distances.npy: is read as DATA")


@pytest.mark.parametrize("command", ["fid", "kid", "prdc"])
def test_scores(cli, data, tmp_path, command):
    for name in ("a.json", "b.json"):
        os.link(data, tmp_path / name)
    ran = cli(command, data, "x.npy", "--features", "none", "-o", "a.json", "--overwrite")
    refused(ran, "a.json: is read as REAL")


def test_statistics(cli, data, tmp_path):
    words = ["fid", data, data, "--features", "none"]
    assert cli(*words, "--save-statistics", "s.npz").status == 0
    words = ["fid", "s.npz", data, "--features", "none", "--overwrite"]
    refused(cli(*words, "--save-statistics", "s.npz"), "--save-statistics s.npz: is read as REAL")


def test_pictures(cli, tmp_path):
    photos = tmp_path / "photos"
    (photos / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(photos)
    for out in ("photos", "photos/run", "photos/deep/run", "link", "link/new/run"):
        ran = cli("diffusion", "train", "photos", "-o", out)
        refused(ran, "is in the folder DATA photos, so results would become data")
    (tmp_path / "run/samples").mkdir(parents=True)
    (tmp_path / "run/samples/000001.png").touch()
    for read in ("run/samples", "run/samples/000001.png"):
        ran = cli("diffusion", "train", read, "-o", "run", "--overwrite")
        refused(ran, "the run would replace run/samples")
    assert not (photos / "run").exists()
    assert (tmp_path / "run/samples/000001.png").exists()


def test_files_in_folders_that_are_read(tmp_path):
    read = files.inputs_of(DATA=tmp_path)
    for name in ("x.parquet", "x.png"):
        with pytest.raises(UserError, match="so it would become data"):
            files.check_not_read(tmp_path / name, "-o", read)
    files.check_not_read(tmp_path / "x.json", "-o", read)
    files.check_not_read(tmp_path.parent / "x.png", "-o", read)


def test_files_of_a_run(cli, tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("model.json", "summary.json", "metrics.csv"):
        (tmp_path / "run" / name).touch()
        os.link(tmp_path / "run" / name, tmp_path / f"{name}.png")
        ran = cli("diffusion", "sample", "run", "-o", f"{name}.png", "--overwrite")
        refused(ran, f"{name}.png: is read as RUN")
    words = ["diffusion", "eval", "run", "--data", "digits", "-o"]
    refused(cli(*words, "run/summary.json", "--overwrite"), "summary.json: is read as RUN")
