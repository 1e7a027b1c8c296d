"""Damaged and forged checkpoints of k-means and mixtures end in one line, never another model."""

import json
import shutil

import numpy as np
import pytest

from unsup_fast.cli import results as written
from unsup_fast.storage import tensors

FLAGS = ("--quiet", "--no-report")
COMMANDS = {
    "kmeans": ["kmeans", "-k", 5, "--tol", 0, "--seed", 1],
    "gmm": ["gmm", "-k", "2:3", "--n-init", 2, "--max-iter", 4, "--tol", 0, "--init", "random"],
}
KINDS = {"kmeans": "k-means checkpoint", "gmm": "mixture checkpoint"}


@pytest.fixture(params=COMMANDS)
def name(request):
    return request.param


@pytest.fixture
def resume(cli, hard, tmp_path, name, monkeypatch):
    """Return a function that resumes a run, which was stopped before its results were written."""
    first, *options = COMMANDS[name]
    words = [first, hard, *options, "-o", "out", *FLAGS]

    def stop(*_):
        raise KeyError

    with monkeypatch.context() as patch:
        patch.setattr(written, "write_labels", stop)
        with pytest.raises(KeyError):
            cli(*words)
    return lambda: cli(*words, "--resume")


@pytest.fixture
def path(resume, tmp_path):
    return tmp_path / "out/checkpoint.safetensors"


def refused(ran):
    assert ran.status == 2
    assert ran.err.count("\n") == 1
    assert "is not a checkpoint, or is damaged" in ran.err
    assert ran.err.endswith("; pass --overwrite to begin anew\n")
    assert len(ran.err) < 700


def test_flipped_bits(resume, path):
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    positions = [0, 3, 7, 8, 40, header // 2, header - 1, header, len(content) - 1]
    positions += np.random.default_rng(0).integers(len(content), size=20).tolist()
    for position in positions:
        changed = bytearray(content)
        changed[position] ^= 1 << (position % 8)
        path.write_bytes(changed)
        refused(resume())
    path.write_bytes(content[:-1])
    refused(resume())
    path.write_bytes(content)
    assert resume().status == 0


def change(path, name, function):
    arrays, note = tensors.read(path, kind=KINDS[name])
    function(arrays, note["state"], note)
    tensors.write(path, arrays, note, kind=KINDS[name], what="the file")


def fill(name, index, value):
    return lambda arrays, state, note: arrays[name].__setitem__(index, value)


KMEANS = [
    lambda arrays, state, note: note.pop("state"),
    lambda arrays, state, note: note.update(state=[1]),
    lambda arrays, state, note: note.update(parameters=3),
    lambda arrays, state, note: note.update(data=None),
    lambda arrays, state, note: state.pop("iteration"),
    lambda arrays, state, note: state.update(iteration=-1),
    lambda arrays, state, note: state.update(iteration=10**30),
    lambda arrays, state, note: state.update(iteration=2.0),
    lambda arrays, state, note: state.update(iteration="2" * 10**6),
    lambda arrays, state, note: state.update(seconds="long"),
    lambda arrays, state, note: state.update(seconds=-1.0),
    lambda arrays, state, note: arrays.pop("labels"),
    lambda arrays, state, note: arrays.update(more=np.ones(1)),
    lambda arrays, state, note: arrays.update(centers=np.ones((5, 4), np.float32)),
    lambda arrays, state, note: arrays.update(centers=np.ones((5, 5), np.float64)),
    lambda arrays, state, note: arrays.update(labels=arrays["labels"][:9]),
    lambda arrays, state, note: arrays.update(labels=arrays["labels"].astype(np.int64)),
    lambda arrays, state, note: arrays.update(inertias=np.ones(0)),
    fill("centers", 0, np.nan),
    fill("labels", 0, 5),
    fill("labels", 0, -1),
    fill("inertias", 0, np.inf),
    fill("changes", 0, -1),
]
GMM = [
    lambda arrays, state, note: state.pop("records"),
    lambda arrays, state, note: state.update(records=3),
    lambda arrays, state, note: state["records"].append({"x": 1}),
    lambda arrays, state, note: state["records"].append(state["records"][0]),
    lambda arrays, state, note: state["records"][0].update(bic="low"),
    lambda arrays, state, note: state["records"][0].update(iterations=None),
    lambda arrays, state, note: state["records"][0].update(components=9),
    lambda arrays, state, note: state.update(records=[]),
    lambda arrays, state, note: state.update(starts=7),
    lambda arrays, state, note: state.update(starts=1),
    lambda arrays, state, note: state.update(generator={"key": [1]}),
    lambda arrays, state, note: state.update(generator="x"),
    lambda arrays, state, note: state.update(seconds=None),
    lambda arrays, state, note: state.update(best=1),
    lambda arrays, state, note: state.pop("best"),
    lambda arrays, state, note: arrays.pop("best.means"),
    lambda arrays, state, note: arrays.update({"best.weights": np.ones(())}),
    lambda arrays, state, note: arrays.update({"best.weights": np.ones(7)}),
    lambda arrays, state, note: arrays.update({"best.means": np.ones((2, 9))}),
    lambda arrays, state, note: arrays.update({"best.lower_bounds": np.ones(0)}),
    lambda arrays, state, note: arrays.update({"best.lower_bounds": np.ones(99)}),
    lambda arrays, state, note: arrays.update(more=np.ones(1)),
    fill("best.factors", 0, 0),
    fill("best.weights", 0, -1),
    fill("best.means", 0, np.nan),
]


def test_forged_checkpoints(resume, path, name):
    content = path.read_bytes()
    for function in {"kmeans": KMEANS, "gmm": GMM}[name]:
        path.write_bytes(content)
        change(path, name, function)
        refused(resume())


def test_a_checkpoint_of_the_other_command(resume, path, name, tmp_path):
    arrays, note = tensors.read(path, kind=KINDS[name])
    other = {"kmeans": "gmm", "gmm": "kmeans"}[name]
    tensors.write(path, arrays, note, kind=KINDS[other], what="the file")
    refused(resume())


def test_forged_facts_are_refused_in_one_line(resume, path, name):
    content = path.read_bytes()
    for part in ("parameters", "data"):
        for value in (None, [], "x" * 10**6, {"deep": [[[1]]]}, 10**300):
            path.write_bytes(content)
            change(
                path,
                name,
                lambda a, s, note, p=part, v=value: note[p].update(dict.fromkeys(note[p], v)),
            )
            ran = resume()
            assert ran.status == 2
            assert ran.err.count("\n") == 1
            assert len(ran.err) < 1000


def test_models_in_one_line(cli, data, tmp_path):
    assert cli("kmeans", data, "-k", 3, "-o", "run", *FLAGS).status == 0
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    path = tmp_path / "copy/model.safetensors"
    content = path.read_bytes()
    for position in np.linspace(0, len(content) - 1, 30).astype(int):
        changed = bytearray(content)
        changed[position] ^= 4
        path.write_bytes(changed)
        ran = cli("predict", "copy", data, "-o", "labels.npy")
        assert ran.status == 2
        assert ran.err.count("\n") == 1
    assert not (tmp_path / "labels.npy").exists()


def test_the_summary_has_a_checksum(cli, data, tmp_path):
    from unsup_fast.storage import records

    assert cli("kmeans", data, "-k", 3, "-o", "run", *FLAGS).status == 0
    path = tmp_path / "run/summary.json"
    assert records.read(path, kind="summary")["command"] == "kmeans"
    assert json.loads(path.read_text())["result"]["converged"] is True
