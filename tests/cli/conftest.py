"""Small data files, and the command line run in this process."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")


@dataclass
class Outcome:
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Run a command in `tmp_path`, and return its exit status and what it printed."""
    from unsup_fast.cli import run

    monkeypatch.chdir(tmp_path)

    def call(*words):
        capsys.readouterr()
        status = run([str(word) for word in words])
        return Outcome(status, *capsys.readouterr())

    return call


@pytest.fixture
def blobs():
    """Return 300 rows of 6 columns around 4 points, float32, and the point of each row."""
    random = np.random.default_rng(0)
    points = 8 * random.normal(size=(4, 6))
    classes = random.integers(4, size=300)
    return (points[classes] + random.normal(size=(300, 6))).astype(np.float32), classes


@pytest.fixture
def data(tmp_path, blobs):
    path = tmp_path / "data.npy"
    np.save(path, blobs[0])
    return path


@pytest.fixture
def hard(tmp_path):
    """Return a file of 3,000 uniform rows, on which k-means takes many iterations."""
    path = tmp_path / "hard.npy"
    np.save(path, np.random.default_rng(1).random((3000, 5), dtype=np.float32))
    return path


@pytest.fixture
def results():
    """Return a function that reads all that a run left behind."""
    from safetensors.numpy import load_file

    def read(directory):
        summary = json.loads((directory / "summary.json").read_text())
        return {
            "labels": np.load(directory / "labels.npy"),
            "model": load_file(directory / "model.safetensors"),
            "summary": summary,
        }

    return read


@pytest.fixture(scope="session")
def save_shapes():
    """Return a function that writes an .npz of 40 pictures [40, 8, 8], and the shape in each."""

    def save(path):
        random = np.random.default_rng(0)
        x = random.integers(0, 60, (40, 8, 8), dtype=np.uint8)
        y = np.array(["square", "stripe"])[random.integers(2, size=40)]
        x[y == "square", 2:6, 2:6] = 250
        x[y == "stripe", ::2] = 250
        np.savez(path, x=x, y=y)

    return save


@pytest.fixture
def shapes(tmp_path, save_shapes):
    path = tmp_path / "shapes.npz"
    save_shapes(path)
    return path
