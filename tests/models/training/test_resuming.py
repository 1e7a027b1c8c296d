"""Runs in other processes: killed and resumed ones, full disks, several processes at once."""

import csv
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from unsup_fast.models.training import checkpoint, scores  # noqa: E402
from unsup_fast.storage import tensors as files  # noqa: E402

SCRIPT = Path(__file__).with_name("toy_training.py")
KILLS = {
    "in_first_steps": ["step", 2],
    "in_a_step": ["step", 8],
    "while_writing": ["write", 45],
    "before_fsync": ["fsync", 4],
    "before_replace": ["replace", 3],
    "after_the_last_keep": ["save", 3],
}
STEPS = 14


def play(tmp_path, cases):
    script = tmp_path / "cases.json"
    script.write_text(json.dumps(cases))
    process = subprocess.run(
        [sys.executable, SCRIPT, script], capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr


def case(how, tmp_path, name, kind="plain", **more):
    run = {"kind": kind, "folder": str(tmp_path / name), "steps": STEPS, "decay": 4}
    return {"how": how, "run": run, **more}


def port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ended(folder):
    """Return the tensors, the step, the losses, the scores and the best weights of a run."""
    tensors, note = files.read(folder / checkpoint.FILE, kind=checkpoint.KIND, torch=True)
    best = {}
    if (folder / scores.FILE).exists():
        best, _ = files.read(folder / scores.FILE, kind=scores.KIND, torch=True)
    assert not list(folder.glob(".*"))
    logs = (log(folder / name) for name in ("metrics.csv", "scores.csv"))
    return {**tensors, **best}, note["step"], *logs


def log(path):
    if not path.exists():
        return []
    with path.open() as file:
        return [
            {key: value for key, value in row.items() if key not in ("seconds", RATE)}
            for row in csv.DictReader(file)
        ]


RATE = "examples_per_second"


def same(one, other):
    assert one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        torch.testing.assert_close(value, other[0][name], rtol=0, atol=0, msg=name)
    assert one[1:] == other[1:]


@pytest.fixture(scope="module", params=["plain", "gan", "game"])
def runs(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    play(
        folder,
        [
            case("undisturbed", folder, "undisturbed", request.param),
            case("hunted", folder, "hunted", request.param, times=3),
            *(case("killed", folder, name, request.param, kill=at) for name, at in KILLS.items()),
        ],
    )
    return folder


@pytest.mark.parametrize("name", ["hunted", *KILLS])
def test_a_killed_run_resumes_bit_for_bit(runs, name):
    whole = ended(runs / "undisturbed")
    assert whole[1] == STEPS
    assert [int(row["step"]) for row in whole[2]] == list(range(1, STEPS + 1))
    same(ended(runs / name), whole)


def test_full_disk_keeps_the_checkpoint(tmp_path):
    play(tmp_path, [case("cramped", tmp_path, "run")])
    assert ended(tmp_path / "run")[1] == 5
    message = (tmp_path / "run" / "error").read_text()
    assert "cannot save a checkpoint, and nothing was changed" in message


def test_processes_do_what_one_does(tmp_path):
    play(
        tmp_path,
        [
            case("undisturbed", tmp_path, "alone", "gan"),
            case("together", tmp_path, "gan", "gan", processes=2, port=port()),
            case("together", tmp_path, "stopped", "gan", processes=2, port=port(), stop=1),
            case("together", tmp_path, "plain", "plain", processes=2, port=port()),
        ],
    )
    for name in ("gan", "stopped", "plain"):
        first, second = (
            files.read(tmp_path / name / f"rank{i}.safetensors", kind="weights", torch=True)[0]
            for i in range(2)
        )
        same((first,), (second,))
    same(ended(tmp_path / "stopped"), ended(tmp_path / "gan"))
    alone, shared = (ended(tmp_path / name) for name in ("alone", "gan"))
    for name, value in alone[0].items():
        torch.testing.assert_close(shared[0][name], value, rtol=1e-4, atol=1e-6, msg=name)
    for one, other in zip(alone[2], shared[2], strict=True):
        for key in one:
            assert float(one[key]) == pytest.approx(float(other[key]), rel=1e-4)
