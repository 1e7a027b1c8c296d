"""Runs in other processes: killed and resumed ones, full disks, several processes at once."""

import csv
import json
import os
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
VARIABLES = {
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
    # Else processes that torchrun starts again find the addresses of those before them.
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
}


def play(tmp_path, cases, *launcher):
    """Run cases one after the other, by Python or by a launcher that Python runs."""
    script = tmp_path / "cases.json"
    script.write_text(json.dumps(cases))
    process = subprocess.Popen(
        [sys.executable, *launcher, SCRIPT, script],
        env={**os.environ, **VARIABLES},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, errors = process.communicate(timeout=560)
    except BaseException:
        process.terminate()  # a launcher ends what it has started
        process.wait()
        raise
    assert process.returncode == 0, errors


def case(how, tmp_path, name, kind="plain", options=None, **more):
    run = {"kind": kind, "folder": str(tmp_path / name), "steps": STEPS, "decay": 4}
    return {"how": how, "run": {**run, **(options or {})}, **more}


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


HALF = {"steps": STEPS // 2, "decay": 0}
WHOLE = {"decay": 0}
SHARDS = {"shards": 8, "batch_size": 16, **WHOLE}


# torchrun imports torch five times, and the runs start 28 processes: a minute of a core each.
patient = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Runs of one, two and four processes; "grows" and "shrinks" resume with another number."""
    folder = tmp_path_factory.mktemp("several")

    def alone(name, kind, options=None):
        return case("undisturbed", folder, name, kind, options)

    def together(name, kind, options=None, processes=2, **more):
        return case(
            "together", folder, name, kind, options, processes=processes, port=port(), **more
        )

    cases = [
        alone("alone", "gan"),
        together("gan", "gan"),
        together("stopped", "gan", stop=1),
        together("plain", "plain"),
        alone("whole", "gan", WHOLE),
        alone("grows", "gan", HALF),
        together("grows", "gan", WHOLE),
        together("shrinks", "gan", HALF),
        alone("shrinks", "gan", WHOLE),
    ]
    for kind in ("parted", "parted_gan"):
        cases += [
            alone(f"{kind}-1", kind, SHARDS),
            together(f"{kind}-2", kind, SHARDS),
            together(f"{kind}-4", kind, SHARDS, processes=4),
            alone(f"{kind}-grows", kind, {**SHARDS, **HALF}),
            together(f"{kind}-grows", kind, SHARDS),
        ]
    play(folder, cases)
    return folder


@patient
def test_processes_do_what_one_does(several):
    for name in ("gan", "stopped", "plain"):
        first, second = (
            files.read(several / name / f"rank{i}.safetensors", kind="weights", torch=True)[0]
            for i in range(2)
        )
        same((first,), (second,))
    same(ended(several / "stopped"), ended(several / "gan"))
    close(ended(several / "gan"), ended(several / "alone"))


def close(one, other):
    for name, value in other[0].items():
        torch.testing.assert_close(one[0][name], value, rtol=1e-4, atol=1e-6, msg=name)
    for row, expected in zip(one[2], other[2], strict=True):
        for key in expected:
            assert float(row[key]) == pytest.approx(float(expected[key]), rel=1e-4)


@patient
@pytest.mark.parametrize("name", ["grows", "shrinks"])
def test_a_run_resumes_with_another_number_of_processes(several, name):
    close(ended(several / name), ended(several / "whole"))


@patient
@pytest.mark.parametrize("kind", ["parted", "parted_gan"])
@pytest.mark.parametrize("name", ["2", "4", "grows"])
def test_shards_are_the_same_bits_on_any_number_of_processes(several, kind, name):
    alone = ended(several / f"{kind}-1")
    assert len(alone[2]) == STEPS
    same(ended(several / f"{kind}-{name}"), alone)


@patient
def test_torchrun_restarts_a_killed_process(several, tmp_path):
    """The other process ends too, and both go on from the checkpoint, to the same bits."""
    kill = [1, 8]  # the process 1, in its ninth step
    play(
        tmp_path,
        [case("launched", tmp_path, "killed", "gan", kill=kill)],
        *("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"),
        *("--max-restarts", "1", "--monitor-interval", "0.1"),
    )
    assert (tmp_path / "killed" / "killed-at-8").exists()
    same(ended(tmp_path / "killed"), ended(several / "gan"))
