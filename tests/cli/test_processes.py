"""`unsup-fast diffusion train` in two processes, which a launcher starts."""

import json
import os
import socket
import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("PIL.Image")

from safetensors.torch import load_file  # noqa: E402

from unsup_fast import pictures  # noqa: E402
from unsup_fast.cli.errors import UserError  # noqa: E402
from unsup_fast.cli.training import processes  # noqa: E402
from unsup_fast.models import diffusion, training  # noqa: E402

COURSE = ("--network", "dit", "--model-size", "tiny", "--patch", 4, "--batch-size", 8)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def launched(cwd, *words):
    """Run a command in two processes by `accelerate launch`."""
    launch = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", 2)
    # Where there is no GPU accelerate's --multi_gpu starts processes on the CPU.
    launch += ("--num_machines", 1, "--mixed_precision", "no", "--dynamo_backend", "no")
    launch += ("--main_process_port", free_port(), "--module", "unsup_fast")
    return subprocess.run(
        [sys.executable, *map(str, launch), *map(str, words)],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=250,
    )


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_two_processes_train_what_python_trains(shapes, tmp_path, one_thread):
    words = ("diffusion", "train", shapes, *COURSE, "--shards", 2, "--steps", 3, "--warmup", 2)
    ran = launched(tmp_path, *words, "-o", "run", "--no-report", "--threads", 1)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("2 processes") == ran.stdout.count("Stopped after 3 steps") == 1
    run = tmp_path / "run"
    assert json.loads((run / "summary.json").read_text())["result"]["steps"] == 3
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    data = pictures.load(shapes)
    config = diffusion.Config(
        data.pixels.shape[1:], classes=data.classes, network="dit", size="tiny", patch=4
    )
    diffusion.train(
        data.pixels,
        tmp_path / "python",
        labels=data.labels,
        config=config,
        options=training.TrainConfig(steps=3, batch_size=8, warmup=2, shards=2),
        device="cpu",
        progress=False,
    )
    for name in ("model.safetensors", "checkpoint.safetensors"):
        ours, expected = load_file(run / name), load_file(tmp_path / "python" / name)
        assert ours.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(ours[key], value, rtol=0, atol=0, msg=key)
