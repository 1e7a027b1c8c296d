"""`unsup-fast diffusion train` and `gan train` in two processes, which a launcher starts."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("PIL.Image")

from safetensors.torch import load_file  # noqa: E402

from unsup_fast import pictures  # noqa: E402
from unsup_fast.cli.diffusion.settings import TrainSettings  # noqa: E402
from unsup_fast.cli.training import folder, processes  # noqa: E402
from unsup_fast.models import diffusion, gan, training  # noqa: E402

ONE_CORE = {
    "OMP_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "GLOO_SOCKET_IFNAME": "lo" if sys.platform == "linux" else "lo0",
}
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
        env={**os.environ, **ONE_CORE},
        capture_output=True,
        text=True,
        timeout=250,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--shards", 6), "--shards 6: must be a power of two"),
        (("--shards", 16), "--shards 16: must divide --batch-size 8"),
    ],
)
def test_shards_that_do_not_divide_a_batch(cli, shapes, words, message):
    ran = cli("diffusion", "train", shapes, *COURSE, *words, "-o", "run")
    assert ran.status == 2
    assert message in ran.err


class Refused(Exception):
    pass


@pytest.mark.parametrize(
    ("index", "own", "others", "raised"),
    [
        (0, True, [True, True], Refused),  # the first of several speaks
        (1, True, [True, True], processes.AbandonedError),
        (1, True, [False, True], Refused),
        (0, False, [False, True], processes.AbandonedError),
        (1, False, [False, False], None),
    ],
)
def test_all_processes_leave_with_one_message(monkeypatch, index, own, others, raised):
    sent = []

    def gather(failed):
        sent.extend(failed)
        return others

    monkeypatch.setattr("accelerate.utils.gather_object", gather)

    def run():
        with processes.Group(index=index, size=2).agreeing():
            if own:
                raise Refused

    if raised is None:
        run()
    else:
        with pytest.raises(raised):
            run()
    assert sent == [own]


@pytest.mark.parametrize(
    ("restarts", "result", "checkpoint", "changed"),
    [
        ("0", None, True, {}),
        ("1", None, True, {"resume": True}),
        ("1", None, False, {"overwrite": True}),
        ("1", {}, True, {}),  # a finished run is left alone
    ],
)
def test_torchrun_goes_on_with_what_it_has_begun(
    monkeypatch, tmp_path, shapes, restarts, result, checkpoint, changed
):
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", restarts)
    settings = TrainSettings(data=shapes, out=tmp_path)
    assert processes.restarted(settings, "diffusion train") == settings
    if checkpoint:
        (tmp_path / "checkpoint.safetensors").touch()
    summary = {"command": "diffusion train", "parameters": {}, "data": {}, "result": result}
    folder.write_summary(tmp_path, summary)
    assert processes.restarted(settings, "diffusion train") == replace(settings, **changed)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def check_same(run, python):
    """Compare the tensors of two runs, bit for bit."""
    for name in ("model.safetensors", "checkpoint.safetensors"):
        ours, expected = load_file(run / name), load_file(python / name)
        assert ours.keys() == expected.keys()
        for key, value in expected.items():
            torch.testing.assert_close(ours[key], value, rtol=0, atol=0, msg=key)


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
    check_same(run, tmp_path / "python")


def test_two_processes_train_a_gan(shapes, tmp_path, one_thread):
    words = ("gan", "train", shapes, "--model-size", "tiny", "--batch-size", 8, "--latent", 4)
    words += ("--shards", 2, "--steps", 3, "--warmup", 2, "--r1", 0.5, "--flip")
    ran = launched(tmp_path, *words, "-o", "run", "--no-report", "--threads", 1)
    assert ran.returncode == 0, ran.stderr
    data = pictures.load(shapes)
    gan.train(
        data.pixels,
        tmp_path / "python",
        labels=data.labels,
        config=gan.Config(data.pixels.shape[1:], classes=data.classes, size="tiny", latent=4),
        options=gan.train_config("r3gan", steps=3, batch_size=8, warmup=2, shards=2),
        recipe=replace(gan.FAMILIES["r3gan"], r1=0.5),
        flip=True,
        device="cpu",
        progress=False,
    )
    check_same(tmp_path / "run", tmp_path / "python")
