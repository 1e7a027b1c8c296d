"""`unsup-fast diffusion distill`: from a run to a student of few steps, and what it costs."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("PIL.Image")

from safetensors.numpy import load_file  # noqa: E402

from unsup_fast.cli import run as command_line  # noqa: E402
from unsup_fast.cli.diffusion import distill_pages, pages  # noqa: E402
from unsup_fast.cli.diffusion.distill_settings import (  # noqa: E402
    TEACHER_STEPS,
    DistillSettings,
)
from unsup_fast.cli.training import samples  # noqa: E402
from unsup_fast.models import diffusion, training  # noqa: E402
from unsup_fast.models.diffusion.distillation import quality  # noqa: E402
from unsup_fast.models.diffusion.distillation.run import METHODS, OPTIONS  # noqa: E402
from unsup_fast.models.networks import unet  # noqa: E402
from unsup_fast.models.training import metrics_log  # noqa: E402

SMALLEST = unet.Size(8, (1, 2), 1, ())
FEW = ("--train-steps", 8, "--teacher-steps", 8, "--steps", "2,4", "--batch-size", 8)
FEW = (*FEW, "--warmup", 2, "--save-every", 3, "--sample-every", 4, "--samples", 20)


@pytest.fixture(autouse=True, scope="module")
def small():
    """Make networks so small, and samples so few, that a step takes no time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(unet.SIZES, "tiny", SMALLEST)
        patch.setattr(samples, "ROW", 1)
        patch.setattr(pages, "STEPS", 2)
        patch.setattr(distill_pages, "TEACHER_STEPS", 5)
        patch.setattr(quality, "STEPS", (1, 2, 5))
        patch.setattr(metrics_log.Throughput, "EVERY", 0)  # each step has its row
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory, small):
    """Return the directory of a teacher and its distillation, and what the latter printed."""
    path = tmp_path_factory.mktemp("trained")
    train = ["train", "--data", "digits", "--model-size", "tiny", "--patch", 1, "--steps", 30]
    train += ["--batch-size", 8, "-o", path / "run", "--no-report", "-q"]
    assert command_line(["diffusion", *map(str, train)]) == 0
    words = ["diffusion", "distill", path / "run", *FEW, "-o", path / "fast"]
    with redirect_stdout(io.StringIO()) as printed:
        assert command_line([*map(str, words)]) == 0
    return path, printed.getvalue()


@pytest.fixture
def run(trained, tmp_path):
    """Copy the directories of a teacher and of its finished distillation."""
    shutil.copytree(trained[0] / "run", tmp_path / "run")
    return Path(shutil.copytree(trained[0] / "fast", tmp_path / "fast"))


def states(fast):
    """Return the arrays of the student, of those of each number of steps and of the checkpoint."""
    return {str(path.relative_to(fast)): load_file(path) for path in fast.glob("**/*.safetensors")}


def same(one, other):
    assert states(one).keys() == states(other).keys()
    for name, arrays in states(one).items():
        for key, array in arrays.items():
            expected = states(other)[name][key]
            np.testing.assert_array_equal(array, expected, err_msg=f"{name}: {key}")


def test_distill(trained):
    (path, printed), out = trained, trained[0] / "fast"
    for words in (
        "digits  1,797 pictures of 8 x 8, grey, 10 classes",
        "progressive to 2 or 4 steps of unet tiny, v_prediction",
        "Comparing student and teacher",
        "reached --train-steps 8",
        "students/",
        f"unsup-fast diffusion sample {out} --steps 4 -n 64 -o grid.png",
    ):
        assert words in printed
    assert "give a larger" not in printed
    assert {str(path.relative_to(out)) for path in out.glob("**/*") if path.is_file()} == {
        "checkpoint.safetensors",
        "distilled.json",
        "metrics.csv",
        "model.json",
        "model.safetensors",
        "report.html",
        "samples/000004.png",
        "samples/000008.png",
        "students/2/model.json",
        "students/2/model.safetensors",
        "students/4/model.json",
        "students/4/model.safetensors",
        "summary.json",
    }
    compared = json.loads((out / "distilled.json").read_text())
    assert [each["steps"] for each in compared["student"]] == [2, 4]
    assert [each["steps"] for each in compared["teacher"]] == [1, 2, 5]
    assert compared["n_samples"] == 20
    summary = json.loads((out / "summary.json").read_text())
    assert summary["command"] == "diffusion distill"
    assert summary["parameters"]["steps"] == [2, 4]
    assert summary["parameters"]["teacher"] == str(path / "run")
    assert summary["result"]["steps"] == 8
    assert diffusion.load(out).config.steps == 2


def test_report(run):
    page = (run / "report.html").read_text()
    for words in (
        "digits in 2, 4 steps",
        "A student of a tiny U-Net by progressive distillation, on digits",
        "Quality against steps",
        "Accuracy, %",
        "The price in time",
        "student, 2 steps",
        "student, 4 steps",
        "teacher, 5 steps",
        "steps=4)",
    ):
        assert words in page
    assert page.count("<svg") == 4
    assert page.count('src="data:image/png') == 3 + 2
    assert "http" not in page.replace("http://www.w3.org", "")


def test_samples_by_the_student_of_so_many_steps(cli, run, tmp_path):
    for words, steps in ((["--steps", 4], 4), ([], 2)):
        ran = cli("diffusion", "sample", "fast", "-n", 10, *words, "-o", f"{steps}.npz")
        assert ran.status == 0, ran.err
        assert f"ddim, {steps} steps" in ran.out
        expected = diffusion.load(run, steps=steps).sample(10, label=list(range(10)), seed=0)
        expected = ((expected.movedim(1, -1) + 1) * 127.5).numpy()
        saved = np.load(tmp_path / f"{steps}.npz")["samples"]
        np.testing.assert_allclose(saved, expected, atol=2)
    ran = cli("diffusion", "sample", "fast", "--steps", 3, "-o", "3.npz")
    assert ran.status == 2
    assert "--steps 3: fast has students of 2, 4 steps; pass one of these" in ran.err
    ran = cli("diffusion", "eval", "fast", "--data", "digits", "-n", 4, "--timesteps", 1, "--json")
    assert ran.status == 0, ran.err


def test_a_killed_run_resumes_to_the_same_bits(cli, run, tmp_path):
    words = ["diffusion", "distill", "run", *FEW, "-o", "out"]
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # the bits depend on it
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, *map(str, words)],
        cwd=tmp_path,
        env=os.environ | threads,
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "out/students/4/model.safetensors").exists()
    ran = cli(*words, "--no-report", "--resume")
    assert ran.status == 0, ran.err
    assert "Going on after 6 steps" in ran.out
    same(tmp_path / "out", run)
    one, other = (
        json.loads((path / "distilled.json").read_text()) for path in (tmp_path / "out", run)
    )
    for before, after in zip(one["student"], other["student"], strict=True):
        assert before["distance"] == after["distance"]


# The command, killed in its eighth step: in the second of two stages, after a checkpoint.
KILLED = """
import os, signal, sys
from unsup_fast import cli
from unsup_fast.cli.diffusion import pages
from unsup_fast.cli.training import samples
from unsup_fast.models import training
from unsup_fast.models.networks import unet
unet.SIZES["tiny"] = unet.Size(8, (1, 2), 1, ())
samples.ROW = 1
training.metrics_log.Throughput.EVERY = 0
step = training.StepContext.optimizer_step
def optimizer_step(self, *args):
    loss = step(self, *args)
    if self.index == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return loss
training.StepContext.optimizer_step = optimizer_step
cli.run(sys.argv[1:])
"""


def test_interrupted_while_comparing(cli, run, tmp_path, monkeypatch):
    for name in ("distilled.json", "report.html"):
        (run / name).unlink()
    before = states(run)
    words = ["diffusion", "distill", "run", *FEW, "-o", "fast"]
    with monkeypatch.context() as patch:
        patch.setattr(
            diffusion,
            "compare",
            lambda *_, **__: os.kill(os.getpid(), signal.SIGINT),
            raising=False,
        )
        ran = cli(*words, "--resume")
    assert ran.status == 130
    assert "The comparison and the report were left out." in ran.out
    command = ran.out.splitlines()[-1]
    assert command.startswith("unsup-fast diffusion distill run ")
    assert command.endswith(" --resume")
    ran = cli(*command.split()[1:])
    assert ran.status == 0, ran.err
    assert len(json.loads((run / "distilled.json").read_text())["student"]) == 2
    assert (run / "report.html").exists()
    assert states(run).keys() == before.keys()
    ran = cli(*command.split()[1:])
    assert ran.status == 2
    assert "8 steps are done already; pass --overwrite to begin anew" in ran.err


def test_minutes_end_before_a_student_is_finished(cli, run, tmp_path):
    words = ["diffusion", "distill", "run", *FEW, "-o", "out"]
    ran = cli(*words, "--minutes", 1e-9)
    assert ran.status == 0, ran.err
    assert "give a larger --minutes with --resume" in ran.out
    assert not (tmp_path / "out/distilled.json").exists()
    page = (tmp_path / "out/report.html").read_text()
    assert "teacher, 5 steps" in page
    assert "student, 2 steps" not in page
    assert cli(*words, "--no-report", "--resume").status == 0
    same(tmp_path / "out", run)


@pytest.mark.parametrize("method", ["tune", "distill"])
def test_one_student_for_all_steps(cli, run, tmp_path, method):
    words = ["--method", method, "--steps", "1,2", "--train-steps", 2, "--batch-size", 8]
    words += ["--samples", 20, "--guidance", "1,3"] if method == "distill" else ["--samples", 0]
    ran = cli("diffusion", "distill", "run", *words, "-o", "out")
    assert ran.status == 0, ran.err
    model = diffusion.load(tmp_path / "out")
    assert (model.config.sampler, model.config.steps) == ("consistency", 2)
    assert model.config.guidance == ((1.0, 3.0) if method == "distill" else None)
    page = (tmp_path / "out/report.html").read_text()
    assert "student, 1 step" in page
    assert ("guided with weight 2" in page) == (method == "distill")
    assert ("The comparison was left out: --samples 0" in page) == (method == "tune")
    ran = cli("diffusion", "sample", "out", "-n", 4, "-o", "g.png")
    assert "consistency, 2 steps" in ran.out


def test_options_reach_the_distillation(cli, run, monkeypatch):
    taken = {}

    def distill(model, data, folder, **options):
        taken.update(options, classes=model.config.classes, shape=data.shape)
        raise KeyboardInterrupt

    monkeypatch.setattr(diffusion, "distill", distill, raising=False)
    words = ["--method", "distill", "--steps", "4,1,2", "--guidance", 2.5, "--train-steps", 9]
    words += ["--batch-size", 4, "--learning-rate", 0.01, "--warmup", 3, "--decay", 2, "--flip"]
    words += ["--ema", 0.9, "--label-dropout", 0.3, "--seed", 7, "--device", "cpu"]
    words += ["--save-every", 5, "--sample-every", 6, "--precision", "float32"]
    ran = cli("diffusion", "distill", "run", *words, "-o", "out")
    assert ran.status == 130, ran.err
    assert taken["shape"] == (1797, 1, 8, 8)
    assert taken["labels"].shape == (1797,)
    assert (taken["method"], taken["steps"], taken["guidance"]) == ("distill", (1, 2, 4), 2.5)
    assert taken["teacher_steps"] == 32
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
    assert (taken["flip"], taken["label_dropout"], taken["precision"]) == (True, 0.3, "float32")


def test_defaults_are_those_of_the_library():
    settings = DistillSettings(teacher=Path("run"), out=Path("fast"))
    for name in ("batch_size", "learning_rate", "warmup", "decay", "ema", "seed"):
        assert getattr(settings, name) == getattr(OPTIONS, name), name
    assert settings.n_steps == OPTIONS.steps
    defaults = diffusion.distill.__kwdefaults__
    for name in ("method", "steps", "guidance", "label_dropout", "flip", "precision"):
        assert getattr(settings, name) == defaults[name], name
    assert defaults["teacher_steps"] == TEACHER_STEPS
    assert METHODS == ("progressive", "tune", "distill")


BAD = {
    "no run": (["no", "-o", "out"], "no: no such directory; name the directory of a run"),
    "no list": (["run", "-o", "out", "--steps", "few"], "--steps few: write numbers with commas"),
    "zero": (["run", "-o", "out", "--steps", "0,1"], "--steps 0,1: write numbers"),
    "no halves": (["run", "-o", "out", "--steps", "1,3"], "--steps 1,3: are not all halves of"),
    "the teacher's": (["run", "-o", "out", "--steps", "32"], "--steps 32: are not all halves"),
    "short": (["run", "-o", "out", "--train-steps", 9], "--train-steps 9: are too few for 5 st"),
    "many": (
        ["run", "-o", "out", "--teacher-steps", 2048],
        "--teacher-steps 2048: the model has 1,000 levels",
    ),
    "many tuned": (
        ["run", "-o", "out", "--method", "tune", "--steps", "2000"],
        "--steps 2000: the model has 1,000 levels",
    ),
    "method": (["run", "-o", "out", "--method", "magic"], "--method magic: is not one of"),
    "range": (
        ["run", "-o", "out", "--guidance", "1,4"],
        "--guidance 1,4: is a range, and --method progressive takes one weight",
    ),
    "order": (["run", "-o", "out", "--guidance", "4,1"], "--guidance 4,1: write the smaller"),
    "words": (["run", "-o", "out", "--guidance", "nan"], "--guidance nan: write a weight"),
    "tuned": (
        ["run", "-o", "out", "--method", "tune", "--guidance", 2],
        "--guidance: --method tune has no teacher to guide",
    ),
    "halved": (
        ["run", "-o", "out", "--method", "tune", "--teacher-steps", 8],
        "--teacher-steps 8: is for --method progressive",
    ),
    "decay": (["run", "-o", "out", "--decay", 3], "--decay 3: --method progressive decays in"),
    "samples": (["run", "-o", "out", "--samples", 1], "--samples 1: a distance needs two"),
    "key": (["run", "-o", "out", "--key", "x"], "--key: is for DATA; pass DATA too"),
    "two data": (["run", "x.npz", "--data", "digits", "-o", "out"], "DATA: name a file or folder"),
    "classes": (["run", "plain.npy", "-o", "out"], "plain.npy: its pictures have no classes"),
    "the teacher": (["run", "-o", "run", "--overwrite"], "-o run: the run would replace run/"),
    "finished": (["run", "-o", "fast"], "students/); name another directory"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(cli, run, tmp_path, name):
    np.save(tmp_path / "plain.npy", np.zeros((12, 8, 8), np.uint8))
    words, message = BAD[name]
    ran = cli("diffusion", "distill", *words)
    assert ran.status == 2
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert diffusion.load(tmp_path / "run").config.steps == 20


def test_a_model_that_cannot_be_distilled(cli, tmp_path):
    for name, objective in (("image", "sample"), ("eps", "epsilon")):
        config = diffusion.Config((1, 8, 8), size="tiny", patch=1, objective=objective)
        diffusion.Diffusion.build(config).save(tmp_path / name)
    np.save(tmp_path / "x.npy", np.zeros((12, 8, 8), np.uint8))
    words = ["--method", "tune", "--samples", 0, "-o", "out"]
    for name, message in (
        ("image", "--method tune: a model that was trained with --objective sample is no"),
        ("eps", "eps: the schedule's last levels have a signal of"),
    ):
        ran = cli("diffusion", "distill", name, "x.npy", *words)
        assert ran.status == 2
        assert message in ran.err
    ran = cli("diffusion", "distill", "image", *words)
    assert "image: its summary.json does not say what it was trained on" in ran.err
    ran = cli("diffusion", "distill", "image", "x.npy", "-o", "out", "--guidance", 2)
    assert "--guidance: the model of image has no classes" in ran.err


def test_the_pictures_of_the_teacher_are_the_default(cli, shapes, tmp_path):
    words = ["--model-size", "tiny", "--patch", 1, "--batch-size", 8, "--no-report", "-o"]
    train = ["diffusion", "train", "shapes.npz", "--steps", 1, "--size", "12x16", *words, "run"]
    assert cli(*train).status == 0
    distill = ["diffusion", "distill", "run", "--method", "tune", "--train-steps", 2]
    distill += ["--batch-size", 8, "--samples", 0, "--no-report", "-o"]
    ran = cli(*distill, "one")
    assert ran.status == 0, ran.err
    assert "shapes.npz  40 pictures of 12 x 16, grey, 2 classes" in ran.out
    ran = cli(*distill, "two", "shapes.npz")  # brought to the size of the model
    assert ran.status == 0, ran.err
    same(tmp_path / "one", tmp_path / "two")
    arrays = dict(np.load(shapes))
    arrays["x"][0] = 0
    np.savez(shapes, **arrays)
    ran = cli(*distill, "three")
    assert "run: was trained on other pictures than shapes.npz holds now" in ran.err
    ran = cli(*distill, "one", "--resume", "shapes.npz")
    assert ran.status == 2
    assert "one: cannot be resumed, the pictures are others" in ran.err
    shapes.rename(tmp_path / "moved.npz")
    ran = cli(*distill, "three")
    assert ran.status == 2
    assert "run: was trained on shapes.npz, which does not exist here; pass DATA" in ran.err


def test_another_teacher_is_refused(cli, run, tmp_path):
    diffusion.Diffusion.build(diffusion.load(tmp_path / "run").config).save(tmp_path / "run")
    (run / "distilled.json").unlink()
    ran = cli("diffusion", "distill", "run", *FEW, "-o", "fast", "--resume")
    assert ran.status == 2
    assert "fast: cannot be resumed, the teacher is another one" in ran.err


def test_overwriting_removes_the_students(cli, run, tmp_path):
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).random((9, 4), dtype=np.float32))
    words = ["kmeans", "rows.npy", "-k", 2, "--no-report", "-q", "-o", "fast"]
    assert "distilled.json" in cli(*words).err
    assert cli(*words, "--overwrite").status == 0
    assert not (run / "students").exists()
    assert not (run / "distilled.json").exists()
