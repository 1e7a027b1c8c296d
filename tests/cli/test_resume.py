"""Interrupted runs: nothing is lost, and going on ends in the same bits."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from unsup_fast.cli.kmeans import fitting

COURSE = ("-k", 20, "--tol", 0)


@pytest.fixture
def interrupt_at(monkeypatch):
    """Return a function that has a signal come while iteration `number` is taken note of."""

    def arm(number, what=signal.SIGINT):
        take = fitting.Fitting._take

        def taken(self, state):
            take(self, state)
            if self.snapshot.iteration == number:
                os.kill(os.getpid(), what)

        monkeypatch.setattr(fitting.Fitting, "_take", taken)

    yield arm
    monkeypatch.undo()


def same(one, other):
    np.testing.assert_array_equal(one["labels"], other["labels"])
    assert one["model"].keys() == other["model"].keys()
    for name, tensor in one["model"].items():
        np.testing.assert_array_equal(tensor, other["model"][name], err_msg=name)
    for name, value in one["summary"]["result"].items():
        if name != "seconds":
            assert value == other["summary"]["result"][name], name


@pytest.mark.parametrize("weights", [False, True])
@pytest.mark.parametrize("moment", ["first", "middle", "before last"])
def test_resumed_run_is_the_uninterrupted_one(
    cli, hard, tmp_path, results, interrupt_at, monkeypatch, moment, weights
):
    words = ["kmeans", hard, *COURSE]
    if weights:
        np.save(tmp_path / "w.npy", np.random.default_rng(0).random(3000))
        words += ["--weights", "w.npy"]
    assert cli(*words, "-o", "straight").status == 0
    straight = results(tmp_path / "straight")
    total = straight["summary"]["result"]["iterations"]
    assert total > 10
    number = {"first": 1, "middle": total // 2, "before last": total - 1}[moment]
    interrupt_at(number)
    ran = cli(*words, "-o", "out")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert ran.status == 130
    assert f"keeping iteration {number}" in ran.out
    command = ran.out.splitlines()[-1]
    assert command.startswith("unsup-fast kmeans ")
    assert command.endswith(" --resume")
    part = results(tmp_path / "out")
    assert part["summary"]["result"]["iterations"] == number
    assert part["summary"]["result"]["stopped"] == "interrupted"
    assert (tmp_path / "out/report.html").exists()
    ran = cli(*command.split()[1:])
    assert ran.status == 0, ran.err
    same(results(tmp_path / "out"), straight)
    assert not (tmp_path / "out/checkpoint.safetensors").exists()


@pytest.mark.parametrize("number", [2, 9, 30])
def test_resumed_run_on_data_that_invites_shortcuts(
    cli, tmp_path, results, interrupt_at, monkeypatch, number
):
    """What an implementation carries from pass to pass to save work must not show."""
    random = np.random.default_rng(3)
    X = random.random((20_000, 6)) @ random.normal(size=(6, 40)) + 0.05 * random.random(
        (20_000, 40)
    )
    np.save(tmp_path / "wide.npy", X.astype(np.float32))
    words = ["kmeans", "wide.npy", "-k", 100, "--tol", 0, "--init", "random"]
    assert cli(*words, "-o", "straight").status == 0
    interrupt_at(number)
    assert cli(*words, "-o", "out").status == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert cli(*words, "-o", "out", "--resume").status == 0
    same(results(tmp_path / "out"), results(tmp_path / "straight"))


def test_several_interrupts(cli, hard, tmp_path, results, interrupt_at, monkeypatch):
    words = ["kmeans", hard, *COURSE]
    assert cli(*words, "-o", "straight").status == 0
    for number, more in ((3, []), (5, ["--resume"]), (6, ["--resume"])):
        interrupt_at(number)
        assert cli(*words, "-o", "out", *more).status == 130
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
    assert cli(*words, "-o", "out", "--resume").status == 0
    same(results(tmp_path / "out"), results(tmp_path / "straight"))


@pytest.mark.parametrize("labelled", [True, False])
def test_interrupt_in_the_last_moment_is_no_interrupt(
    cli, hard, tmp_path, results, interrupt_at, monkeypatch, labelled
):
    words = ["kmeans", hard, *COURSE]
    assert cli(*words, "-o", "straight").status == 0
    straight = results(tmp_path / "straight")
    interrupt_at(straight["summary"]["result"]["iterations"])
    if not labelled:  # as after a second Ctrl-C
        fit = fitting.KMeans.fit

        def unlabelled(self, X, **options):
            try:
                fit(self, X, **options)
            finally:
                del self.labels_, self.cluster_sizes_

        monkeypatch.setattr(fitting.KMeans, "fit", unlabelled)
    ran = cli(*words, "-o", "out")
    assert ran.status == 0, ran.err
    same(results(tmp_path / "out"), straight)


def test_sigterm_saves_too(cli, hard, interrupt_at):
    interrupt_at(2, signal.SIGTERM)
    ran = cli("kmeans", hard, *COURSE, "-o", "out")
    assert ran.status == 143
    assert "keeping iteration 2" in ran.out


def test_interrupt_while_seeding_leaves_nothing(cli, hard, tmp_path, monkeypatch):
    def fit(self, X, **options):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    monkeypatch.setattr(fitting.KMeans, "fit", fit)
    ran = cli("kmeans", hard, *COURSE, "-o", "out", "--overwrite")
    assert ran.status == 130
    assert "nothing is kept" in ran.out
    assert "--overwrite" not in ran.out.splitlines()[-1]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("converged", [False, True])
def test_interrupt_while_reporting_leaves_the_report_out(
    cli, hard, tmp_path, results, interrupt_at, monkeypatch, converged
):
    from unsup_fast import report as pages

    def report(content):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)

    words = ["kmeans", hard, *COURSE]
    assert cli(*words, "-o", "straight").status == 0
    monkeypatch.setattr(pages, "kmeans", report)
    if not converged:
        interrupt_at(3)
    ran = cli(*words, "-o", "out")
    assert ran.status == 130
    assert not (tmp_path / "out/report.html").exists()
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    if converged:
        same(results(tmp_path / "out"), results(tmp_path / "straight"))
    else:
        assert cli(*words, "-o", "out", "--resume").status == 0
        same(results(tmp_path / "out"), results(tmp_path / "straight"))
        assert (tmp_path / "out/report.html").exists()


def test_checkpoints_while_running(cli, hard, tmp_path, monkeypatch):
    from unsup_fast.cli import checkpoint

    saved = []
    save = checkpoint.save

    def count(path, snapshot, *rest):
        saved.append(snapshot.iteration)
        save(path, snapshot, *rest)

    monkeypatch.setattr(checkpoint, "save", count)
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "WRITING_SHARE", 0)
    assert cli("kmeans", hard, *COURSE, "-o", "out").status == 0
    assert saved == list(range(1, len(saved) + 1))
    assert len(saved) > 10


def test_a_full_disk_while_running_is_a_warning(cli, hard, tmp_path, monkeypatch):
    from unsup_fast.cli import checkpoint
    from unsup_fast.cli.errors import UserError

    def full(path, *rest):
        raise UserError(f"{path}: could not be written: No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    ran = cli("kmeans", hard, *COURSE, "-o", "out")
    assert ran.status == 0
    assert ran.err.count("No space left on device") == 1


@pytest.mark.parametrize(
    ("change", "words", "said"),
    [
        ("clusters", ["-k", 21, "--tol", 0], "-k = 20, not 21"),
        ("seed", [*COURSE, "--seed", 1], "--seed = 0, not 1"),
        ("tolerance", ["-k", 20], "--tol = 0.0, not 0.0001"),
        ("metric", [*COURSE, "--metric", "cosine"], "--metric = euclidean, not cosine"),
        ("data", [*COURSE], "the data file is another one"),
        ("time", [*COURSE], "it was modified since"),
    ],
)
def test_resuming_something_else_is_refused(
    cli, hard, tmp_path, interrupt_at, monkeypatch, change, words, said
):
    interrupt_at(2)
    assert cli("kmeans", hard, *COURSE, "-o", "out").status == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    before = (tmp_path / "out/checkpoint.safetensors").read_bytes()
    if change == "data":
        np.save(hard, np.load(hard)[:2900])
    if change == "time":
        os.utime(hard, (1, 1))
    ran = cli("kmeans", hard, *words, "-o", "out", "--resume")
    assert ran.status == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert (tmp_path / "out/checkpoint.safetensors").read_bytes() == before


def test_nothing_to_resume(cli, data):
    ran = cli("kmeans", data, "-k", 3, "-o", "out", "--resume")
    assert ran.status == 2
    assert "no checkpoint to resume" in ran.err
    assert cli("kmeans", data, "-k", 3, "-o", "out").status == 0
    ran = cli("kmeans", data, "-k", 3, "-o", "out", "--resume")
    assert "its run has finished" in ran.err


def test_damaged_checkpoint(cli, data, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/checkpoint.safetensors").write_bytes(b"nonsense")
    ran = cli("kmeans", data, "-k", 3, "-o", "out", "--resume")
    assert ran.status == 2
    assert "is not a checkpoint, or is damaged" in ran.err


def test_real_signal_to_a_real_process(tmp_path, results):
    np.save(tmp_path / "d.npy", np.random.default_rng(0).random((60_000, 16), dtype=np.float32))
    words = ["kmeans", "d.npy", "-k", "400", "--init", "random", "--tol", "0", "--max-iter", "60"]
    words += ["--threads", "1"]
    base = [sys.executable, "-m", "unsup_fast", *words, "-o"]
    with subprocess.Popen(
        [*base, "out"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("iteration 1:"):
                break
        process.send_signal(signal.SIGINT)
        sent = time.monotonic()
        out, err = process.communicate(timeout=30)
        took = time.monotonic() - sent
    assert process.returncode == 130, err
    assert err == ""
    assert took < 10  # about one second on an idle machine
    assert out.splitlines()[-1].endswith("--resume")
    for more in (["out", "--resume"], ["straight"]):
        subprocess.run([*base, *more], cwd=tmp_path, check=True, capture_output=True)
    same(results(tmp_path / "out"), results(tmp_path / "straight"))


@pytest.mark.parametrize("number", ["last but one", "middle"])
def test_resumed_run_keeps_scale_and_tol_inertia(
    cli, hard, tmp_path, results, interrupt_at, monkeypatch, number
):
    words = ["kmeans", hard, "-k", 20, "--tol", 0, "--standardize", "--no-report"]
    words += ["--tol-inertia", "2e-4"]
    assert cli(*words, "-o", "straight").status == 0
    straight = results(tmp_path / "straight")
    total = straight["summary"]["result"]["iterations"]
    assert straight["summary"]["result"]["stopped"].endswith("--tol-inertia")
    assert total > 4
    # After the last but one, the first iteration of the resumed run is the one to stop at.
    interrupt_at(total - 1 if number == "last but one" else total // 2)
    assert cli(*words, "-o", "out").status == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    for changed in (words[:-2], [word for word in words if word != "--standardize"]):
        ran = cli(*changed, "-o", "out", "--resume")
        assert ran.status == 2
        assert "was made with --" in ran.err
    assert cli(*words, "-o", "out", "--resume").status == 0
    same(results(tmp_path / "out"), straight)
