"""Pipes, sockets, devices and directories instead of files are refused in one line, unopened."""

import os
import socket

import numpy as np
import pytest

from unsup_fast import blocks, pictures
from unsup_fast.cluster import KMeans

KINDS = {
    "fifo": "a named pipe",
    "socket": "a socket",
    "null": "a character device",
}


@pytest.fixture(params=KINDS)
def special(request, tmp_path, monkeypatch):
    """Return a function that puts a special file at a name, and what it is called."""
    monkeypatch.chdir(tmp_path)

    def put(name):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        if request.param == "fifo":
            os.mkfifo(path)
        elif request.param == "socket":
            with socket.socket(socket.AF_UNIX) as bound:
                bound.bind(name)  # relative, as names of sockets are short
        else:
            path.symlink_to("/dev/zero")
        return path

    return put, KINDS[request.param]


USES = {
    "data": ("s.npy", ["kmeans", "s.npy", "-k", 2, "-o", "out"]),
    "archive": ("s.npz", ["pca", "s.npz", "-n", 2, "-o", "out"]),
    "csv": ("s.csv", ["gmm", "s.csv", "-k", 2, "-o", "out"]),
    "parquet": ("s.parquet", ["kmeans", "s.parquet", "-k", 2, "-o", "out"]),
    "feather": ("s.feather", ["kmeans", "s.feather", "-k", 2, "-o", "out"]),
    "weights": ("w.npy", ["kmeans", "d.npy", "-k", 2, "-o", "out", "--weights", "w.npy"]),
    "init": ("i.npy", ["kmeans", "d.npy", "-k", 2, "-o", "out", "--init", "i.npy"]),
    "text": ("t.txt", ["kmeans", "d.npy", "-k", 2, "-o", "out", "--text", "t.txt"]),
    "model": ("m", ["predict", "m", "d.npy", "-o", "out.npy"]),
    "model in a run": ("run/model.safetensors", ["transform", "run", "d.npy", "-o", "out.npy"]),
    "new rows": ("s.npy", ["predict", "model", "s.npy", "-o", "out.npy"]),
    "real": ("s.npy", ["fid", "s.npy", "d.npy"]),
    "fake": ("s.zip", ["kid", "d.npy", "s.zip"]),
    "inception": ("w.pth", ["fid", "d.npy", "d.npy", "--weights", "w.pth"]),
    "own network": ("w.pth", ["fid", "d.npy", "d.npy", "--features", "w.pth"]),
    "pictures": ("s.zip", ["diffusion", "train", "s.zip", "-o", "out"]),
    "diffusion run": ("run/model.safetensors", ["diffusion", "sample", "run", "-o", "g.png"]),
}


@pytest.mark.parametrize("use", USES)
def test_on_the_command_line(cli, special, tmp_path, use):
    put, kind = special
    name, words = USES[use]
    if words[:2] == ["diffusion", "train"]:
        pytest.importorskip("torch")
    X = np.random.default_rng(0).random((9, 4))
    np.save("d.npy", X)
    KMeans(2, n_init=1).fit(X).save("model")
    (tmp_path / "run").mkdir()
    put(name)
    ran = cli(*words)
    assert ran.status == 2
    assert ran.err.startswith(f"error: {name}: is {kind}; name a ")
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_in_python(special):
    put, kind = special
    with pytest.raises(OSError, match=kind):
        KMeans.load(put("model.safetensors"))
    with pytest.raises(blocks.DataError, match=kind):
        blocks.source(put("rows.parquet"))
    with pytest.raises(blocks.DataError, match=kind):
        pictures.load(put("pictures.zip"))


def test_among_pictures(special, tmp_path):
    """A folder is read without what is no file in it."""
    image = pytest.importorskip("PIL.Image")
    put, _ = special
    (tmp_path / "folder").mkdir()
    image.new("L", (4, 4), 7).save(tmp_path / "folder/b.png")
    put("folder/a.png")
    with pytest.warns(UserWarning, match="1 files were left out: a.png"):
        loaded = pictures.load(tmp_path / "folder")
    assert loaded.pixels.shape == (1, 3, 4, 4)
    with pytest.warns(UserWarning, match="1 files were left out: a.png"):
        source = pictures.images(tmp_path / "folder")
    assert [len(batch) for _, batch in source.batches()] == [1]


@pytest.mark.parametrize(
    "words",
    [
        ["kmeans", "d.npy", "-k", 2, "-o", "out", "--init", "folder.npy"],
        ["kmeans", "d.npy", "-k", 2, "-o", "out", "--weights", "folder.npy"],
        ["kmeans", "d.npy", "-k", 2, "-o", "out", "--text", "folder.npy"],
        ["kmeans", "folder.npy", "-k", 2, "-o", "out"],
        ["fid", "d.npy", "d.npy", "--weights", "folder.npy"],
    ],
)
def test_directories(cli, tmp_path, words):
    np.save(tmp_path / "d.npy", np.random.default_rng(0).random((9, 4)))
    (tmp_path / "folder.npy").mkdir()
    ran = cli(*words)
    assert (ran.status, ran.err.count("\n")) == (2, 1)
    assert "folder.npy: is a directory" in ran.err
    assert "; name a" in ran.err
