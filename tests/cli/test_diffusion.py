"""`unsup-fast diffusion`: from pictures to a model, samples and scores."""

import csv
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
Image = pytest.importorskip("PIL.Image")
filelock = pytest.importorskip("filelock")

from safetensors.numpy import load_file  # noqa: E402

from unsup_fast.cli import run as command_line  # noqa: E402
from unsup_fast.cli.diffusion import pages  # noqa: E402
from unsup_fast.cli.training import samples  # noqa: E402
from unsup_fast.cli.training.progress import TrainingProgress  # noqa: E402
from unsup_fast.models import diffusion, training  # noqa: E402
from unsup_fast.models.networks import unet  # noqa: E402
from unsup_fast.models.training import checkpoint, metrics_log  # noqa: E402
from unsup_fast.storage import locks, records  # noqa: E402

SMALLEST = unet.Size(8, (1, 2), 1, ())
COURSE = ("--model-size", "tiny", "--patch", 1, "--batch-size", 16, "--warmup", 2)
FEW = (*COURSE, "--steps", 6, "--save-every", 2, "--sample-every", 4)


@pytest.fixture(autouse=True, scope="module")
def small():
    """Make networks so small, and samples so few, that a step takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(unet.SIZES, "tiny", SMALLEST)
        patch.setattr(samples, "ROW", 2)
        patch.setattr(pages, "STEPS", 3)
        patch.setattr(metrics_log.Throughput, "EVERY", 0)  # each step has its row
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory, small, save_shapes):
    path = tmp_path_factory.mktemp("finished")
    save_shapes(path / "shapes.npz")
    words = ["diffusion", "train", path / "shapes.npz", *FEW, "-o", path / "run", "--no-report"]
    assert command_line([*map(str, words), "-q"]) == 0
    return path / "run"


@pytest.fixture
def run(finished, tmp_path):
    """Return a copy of the directory of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def interrupt_at(monkeypatch):
    """Return a function that has a signal come while a step is done."""
    step = training.StepContext.optimizer_step

    def arm(number, what=signal.SIGINT):
        def stepped(self, *args):
            loss = step(self, *args)
            if self.index + 1 == number:
                os.kill(os.getpid(), what)
            return loss

        monkeypatch.setattr(training.StepContext, "optimizer_step", stepped)

    return arm


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def left_behind(run):
    """Return what two runs have equal if they agree bit for bit."""
    with (run / "metrics.csv").open(newline="") as file:
        losses = {row["step"]: row["loss"] for row in csv.DictReader(file)}
    return load_file(run / "model.safetensors"), load_file(run / "checkpoint.safetensors"), losses


def same(one, other):
    for first, second in zip(left_behind(one)[:2], left_behind(other)[:2], strict=True):
        assert first.keys() == second.keys()
        for name, value in first.items():
            np.testing.assert_array_equal(value, second[name], err_msg=name)
    assert left_behind(one)[2]["6"] == left_behind(other)[2]["6"]


def test_train(cli, shapes, tmp_path):
    ran = cli("diffusion", "train", shapes, *FEW, "-o", "run", "--title", "Some <shapes>")
    assert ran.status == 0, ran.err
    assert ran.err == ""
    for words in (
        "shapes.npz  40 pictures of 8 x 8, grey, 2 classes",
        "Stopped after 6 steps",
        "reached --steps 6",
        "unsup-fast diffusion sample run",
    ):
        assert words in ran.out
    run = tmp_path / "run"
    assert {path.name for path in run.iterdir()} == {
        "checkpoint.safetensors",
        "metrics.csv",
        "model.json",
        "model.safetensors",
        "report.html",
        "samples",
        "summary.json",
    }
    assert [path.name for path in sorted((run / "samples").iterdir())] == [
        "000004.png",
        "000006.png",
    ]
    assert size_of(run / "samples/000006.png") == (18, 18)  # 2 classes of 2, gaps of 2
    summary = json.loads((run / "summary.json").read_text())
    assert summary["command"] == "diffusion train"
    assert summary["data"]["shape"] == [40, 1, 8, 8]
    assert summary["data"]["classes"] == ["square", "stripe"]
    assert summary["parameters"]["batch_size"] == 16
    assert summary["result"]["steps"] == 6
    assert summary["result"]["loss"] > 0
    model = diffusion.load(run)
    assert model.config.classes == ("square", "stripe")
    weights = sum(weight.numel() for weight in model.network.parameters())
    assert summary["result"]["weights"] == weights


def test_report(cli, shapes, tmp_path):
    words = ["diffusion", "train", shapes, *FEW, "--sample-every", 1, "-o", "run"]
    assert cli(*words, "--title", "Some <shapes>").status == 0
    page = (tmp_path / "run/report.html").read_text()
    for words in (
        "Some &lt;shapes&gt;",
        "A tiny U-Net trained on shapes.npz: 40 pictures of 8 x 8 pixels, grey.",
        "2 classes: square, stripe.",
        "Loss (logarithmic)",
        "Examples a second",
        "After step 6",
        "From noise to picture",
        "stripe, from noise to picture",
        "diffusion.load(&#x27;run&#x27;)",
        "label=&#x27;stripe&#x27;, guidance=3.0",
    ):
        assert words in page
    assert page.count('src="data:image/png') == 6 + 2
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http://www.w3.org", "")


def test_the_built_in_digits(cli, tmp_path):
    words = ["diffusion", "train", "--data", "digits", *COURSE, "--steps", 1, "-o", "run"]
    ran = cli(*words, "--no-report")
    assert ran.status == 0, ran.err
    assert "1,797 pictures of 8 x 8, grey, 10 classes" in ran.out
    assert diffusion.load(tmp_path / "run").config.classes == tuple("0123456789")


def test_options_reach_the_model(cli, tmp_path, monkeypatch):
    taken = {}

    def train(data, folder, **options):
        taken.update(options, data=data, threads=torch.get_num_threads())
        raise KeyboardInterrupt

    monkeypatch.setattr(diffusion, "train", train, raising=False)
    np.save(tmp_path / "x.npy", np.zeros((20, 12, 8, 3), np.uint8))
    words = [
        "--network",
        "dit",
        "--model-size",
        "tiny",
        "--patch",
        4,
        "--objective",
        "flow_prediction",
    ]
    words += ["--schedule", "linear", "--steps", 9, "--batch-size", 4, "--learning-rate", 0.01]
    words += ["--warmup", 3, "--decay", 2, "--ema", 0.9, "--dropout", 0.25, "--flip"]
    words += ["--label-dropout", 0.3, "--seed", 7, "--device", "cpu", "--precision", "float32"]
    words += ["--save-every", 5, "--sample-every", 6, "--size", "8x16", "--channels", 1]
    words += ["--threads", 1]
    ran = cli("diffusion", "train", "x.npy", *words, "-o", "run")
    assert ran.status == 130
    assert "Interrupted before a step was finished: nothing is kept." in ran.out
    assert taken["data"].shape == (20, 1, 8, 16)
    assert taken["config"] == diffusion.Config(
        (1, 8, 16),
        network="dit",
        size="tiny",
        patch=4,
        dropout=0.25,
        objective="flow_prediction",
        schedule="linear",
    )
    assert taken["options"] == training.TrainConfig(
        steps=9,
        batch_size=4,
        learning_rate=0.01,
        warmup=3,
        decay=2,
        ema=0.9,
        seed=7,
        save_every=5,
        sample_every=6,
    )
    assert taken["labels"] is None
    assert taken["threads"] == 1
    assert not (tmp_path / "run").exists()
    assert (taken["flip"], taken["label_dropout"]) == (True, 0.3)
    assert (taken["precision"], taken["device"]) == ("float32", torch.device("cpu"))


@pytest.mark.parametrize(("number", "what"), [(1, signal.SIGINT), (3, signal.SIGTERM)])
def test_an_interrupted_run_goes_on_to_the_same_bits(
    cli, shapes, tmp_path, run, interrupt_at, monkeypatch, number, what
):
    interrupt_at(number, what)
    ran = cli("diffusion", "train", shapes, *FEW, "-o", "out")
    assert ran.status == 128 + what
    assert f"Interrupted; keeping step {number} " in ran.out
    assert (tmp_path / "out/report.html").exists()
    command = ran.out.splitlines()[-1]
    assert command.startswith("unsup-fast diffusion train ")
    assert command.endswith(" --resume")
    monkeypatch.setattr(training.StepContext, "optimizer_step", training.StepContext.optimizer_step)
    interrupt_at(0)
    ran = cli(*command.split()[1:])
    assert ran.status == 0, ran.err
    assert f"Going on after {number} step" in ran.out
    same(tmp_path / "out", run)


def test_a_killed_run_goes_on_to_the_same_bits(cli, shapes, tmp_path, run):
    words = ["diffusion", "train", shapes, *FEW, "-o", "out", "--no-report"]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # the bits depend on it
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, words)],
        cwd=tmp_path,
        env=os.environ | threads,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ran = cli(*words, "--resume")
    assert ran.status == 0, ran.err
    assert "Going on after 4 steps" in ran.out
    same(tmp_path / "out", run)


# The command, killed in its fifth step.
KILLED = """
import os, signal, sys
from unsup_fast import cli
from unsup_fast.cli.diffusion import pages
from unsup_fast.cli.training import samples
from unsup_fast.models import training
from unsup_fast.models.networks import unet
unet.SIZES["tiny"] = unet.Size(8, (1, 2), 1, ())
pages.STEPS = samples.ROW = 2
training.metrics_log.Throughput.EVERY = 0
step = training.StepContext.optimizer_step
def optimizer_step(self, *args):
    loss = step(self, *args)
    if self.index == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss
training.StepContext.optimizer_step = optimizer_step
cli.run(sys.argv[1:])
"""


def test_minutes(cli, shapes, tmp_path, run):
    words = ["diffusion", "train", shapes, *FEW, "-o", "out", "--no-report"]
    ran = cli(*words, "--minutes", 1e-9)
    assert ran.status == 0, ran.err
    assert "reached --minutes 1e-09" in ran.out
    assert "give a larger --minutes with --resume" in ran.out
    result = json.loads((tmp_path / "out/summary.json").read_text())["result"]
    assert 0 < result["steps"] <= 6
    ran = cli(*words, "--minutes", 1e-9, "--resume")
    assert ran.status == 2
    assert "are over already; pass a larger --minutes" in ran.err or "done already" in ran.err


def test_ctrl_c_when_time_is_over_counts_once(cli, shapes, tmp_path, monkeypatch):
    step, sent = TrainingProgress.step, []

    def stepped(self, *arguments):
        if not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))
        return step(self, *arguments)

    monkeypatch.setattr(TrainingProgress, "step", stepped)
    ran = cli("diffusion", "train", shapes, *FEW, "-o", "out", "--minutes", 1e-9)
    assert ran.status == 130, ran.err
    assert "Interrupted; keeping step" in ran.out
    assert (tmp_path / "out/checkpoint.safetensors").exists()


def test_another_run_is_left_alone(cli, shapes, run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with filelock.FileLock(run / locks.FILE):
        ran = cli("diffusion", "train", shapes, *FEW, "-o", "run", "--overwrite")
        (run / locks.FILE).unlink()
    assert ran.status != 0
    assert "another run writes here" in ran.err
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_the_model_stays_when_the_checkpoint_has_no_room(cli, shapes, tmp_path, monkeypatch):
    def full(folder, *_):
        raise OSError(errno.ENOSPC, "No space left on device", str(folder))

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save", full)
        ran = cli("diffusion", "train", shapes, *FEW, "-o", "out")
    assert ran.status != 0
    assert "No space left" in ran.err
    assert diffusion.load(tmp_path / "out").sample(1, steps=2).shape == (1, 1, 8, 8)


def test_a_run_without_a_checkpoint_is_not_resumed(cli, shapes, run):
    for name in ("checkpoint.safetensors", "model.safetensors", "model.json"):
        (run / name).unlink()
    ran = cli("diffusion", "train", shapes, *FEW, "-o", "run", "--resume")
    assert ran.status == 2
    assert "was stopped before its first checkpoint" in ran.err
    assert "pass --overwrite instead of --resume" in ran.err


def test_pictures_after_the_checkpoint_go(cli, shapes, run):
    later, draft = run / "samples/000009.png", run / "samples/.000008.png.0123abcd.tmp"
    for path in (later, draft):
        path.write_bytes(b"")
    words = ["diffusion", "train", shapes, *COURSE, "--steps", 8, "-o", "run", "--no-report"]
    assert cli(*words, "--resume").status == 0
    names = sorted(path.name for path in (run / "samples").iterdir())
    assert names == ["000004.png", "000006.png", "000008.png"]


def test_interrupted_while_the_model_is_read_back(cli, shapes, tmp_path, interrupt_at, monkeypatch):
    def stopped(*_, **__):
        raise KeyboardInterrupt(signal.SIGINT)

    interrupt_at(3)
    with monkeypatch.context() as patch:
        patch.setattr(diffusion, "load", stopped)
        ran = cli("diffusion", "train", shapes, *FEW, "-o", "out")
    assert ran.status == 130
    assert "the last checkpoint is kept" in ran.out
    assert "--resume" in ran.out
    assert (tmp_path / "out/checkpoint.safetensors").exists()


def test_a_finished_run_can_be_extended(cli, shapes, tmp_path, run):
    words = ["diffusion", "train", shapes, *COURSE, "--no-report"]
    assert cli(*words, "--steps", 3, "-o", "out").status == 0
    ran = cli(*words, "--steps", 3, "-o", "out", "--resume")
    assert ran.status == 2
    assert "3 steps are done already; pass a larger --steps" in ran.err
    assert cli(*words, "--steps", 6, "-o", "out", "--resume").status == 0
    same(tmp_path / "out", run)


@pytest.mark.parametrize("without", ["result", "report"])
def test_a_run_killed_after_its_last_step_gets_its_report(cli, shapes, run, without):
    if without == "result":
        summary = records.read(run / "summary.json", kind="summary")
        summary["result"] = None
        records.write(run / "summary.json", summary, kind="summary", what="the summary")
    before = {path: path.read_bytes() for path in run.glob("*.safetensors")}
    options = ["--no-report"] if without == "result" else []
    words = ["diffusion", "train", shapes, *FEW, "-o", "run", *options, "--resume"]
    ran = cli(*words)
    assert ran.status == 0, ran.err
    assert "Stopped after 6 steps" in ran.out
    assert json.loads((run / "summary.json").read_text())["result"]["steps"] == 6
    assert (run / "report.html").exists() == (without == "report")
    assert {path: path.read_bytes() for path in run.glob("*.safetensors")} == before
    ran = cli(*words)
    assert ran.status == 2
    assert "6 steps are done already; pass a larger --steps" in ran.err


@pytest.mark.parametrize(
    "name", ["checkpoint.safetensors", "summary.json", "metrics.csv", "model.safetensors"]
)
def test_flipped_bits_are_refused(cli, shapes, run, name):
    content = (run / name).read_bytes()
    positions = np.linspace(0, len(content) - 1, 12).astype(int)
    for position in positions:
        changed = bytearray(content)
        changed[position] ^= 1 << int(position % 8)
        (run / name).write_bytes(changed)
        words = ["diffusion", "train", shapes, *FEW, "-o", "run", "--resume"]
        if name == "model.safetensors":
            words = ["diffusion", "sample", "run", "-n", 1, "-o", "x.png"]
        ran = cli(*words)
        assert ran.status == 2
        assert ran.err.count("\n") == 1
        assert name in ran.err
    assert not (run / "report.html").exists()


def test_results_are_replaced_only_with_overwrite(cli, shapes, tmp_path, run):
    words = ["diffusion", "train", shapes, *COURSE, "--steps", 2, "-o", "run", "--no-report"]
    ran = cli(*words)
    assert ran.status == 2
    assert "holds results already" in ran.err
    assert "--overwrite or --resume" in ran.err
    assert json.loads((run / "summary.json").read_text())["result"]["steps"] == 6
    ran = cli(*words, "--overwrite")
    assert ran.status == 0, ran.err
    assert json.loads((run / "summary.json").read_text())["result"]["steps"] == 2
    assert [path.name for path in (run / "samples").iterdir()] == ["000002.png"]


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        ("seed", ["--seed", 1], "--seed = 0, not 1"),
        ("flip", ["--flip"], "--flip = False, not True"),
        ("precision", ["--precision", "float32"], "--precision = auto, not float32"),
        ("threads", ["--threads", 1], "--threads = unset, not 1"),
        ("size", ["--size", 16], "--size = unset, not 16x16"),
        ("pictures", [], "the pictures are others (pixels or labels differ)"),
        (
            "shape",
            [],
            "the pictures are others (their shape was [40, 1, 8, 8] and is [39, 1, 8, 8]",
        ),
        ("checkpoint", [], "is not a checkpoint, or is damaged"),
        ("summary", [], "summary.json: it is not a file that unsup_fast saved, or was changed by"),
        ("other", [], "holds no run of `diffusion train`"),
    ],
)
def test_resuming_something_else_is_refused(cli, shapes, tmp_path, run, change, words, said):
    arrays = dict(np.load(shapes))
    if change == "pictures":
        arrays["x"][0] = 0
    if change == "shape":
        arrays = {name: array[:39] for name, array in arrays.items()}
    np.savez(shapes, **arrays)
    if change == "checkpoint":
        content = (run / "checkpoint.safetensors").read_bytes()
        (run / "checkpoint.safetensors").write_bytes(content[:1000])
    if change == "summary":
        (run / "summary.json").write_text("{")
    if change == "other":
        record = {"command": "kmeans"}
        records.write(run / "summary.json", record, kind="summary", what="the summary")
    before = (run / "model.safetensors").read_bytes()
    command = ["diffusion", "train", shapes, *FEW, "--steps", 9, "-o", "run", *words]
    ran = cli(*command, "--resume")
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert (run / "model.safetensors").read_bytes() == before


@pytest.mark.parametrize("package", ["torch", "accelerate"])
def test_a_missing_package_is_one_line(cli, shapes, monkeypatch, package):
    from unsup_fast import _extras

    find = _extras.find_spec
    monkeypatch.setattr(_extras, "find_spec", lambda name: None if name == package else find(name))
    ran = cli("diffusion", "train", shapes, "-o", "out")
    assert ran.status == 2
    assert f"needs the package '{package}'" in ran.err
    assert "pip install 'unsup-fast[train]'" in ran.err
    assert ran.err.count("\n") == 1
