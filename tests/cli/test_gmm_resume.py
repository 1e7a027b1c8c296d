"""Interrupted and killed fits of mixtures: going on ends in the same bits."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from unsup_fast.cli import checkpoint
from unsup_fast.cli.gmm import fits as mixtures
from unsup_fast.mixture import GaussianMixture

COURSE = ("-k", "2:5", "--n-init", 2, "--tol", 1e-4, "--max-iter", 8, "--no-report")


def same(one, other):
    np.testing.assert_array_equal(one["labels"], other["labels"])
    assert one["model"].keys() == other["model"].keys()
    for name, tensor in one["model"].items():
        np.testing.assert_array_equal(tensor, other["model"][name], err_msg=name)
    first, second = (untimed(run["summary"]["result"]) for run in (one, other))
    assert first == second


def untimed(result):
    fits = [{**fit, "seconds": 0} for fit in result["fits"]]
    return {**result, "seconds": 0, "fits": fits}


@pytest.fixture
def interrupt_at(monkeypatch):
    """Return a function that has a signal come after so many iterations of all fits."""

    def arm(number):
        fit, seen = mixtures._fit, []

        def fitted(model, X, weights, engine, callback, progress):
            def called(state):
                callback(state)
                seen.append(state)
                if len(seen) == number:
                    os.kill(os.getpid(), signal.SIGINT)

            fit(model, X, weights, engine, called, progress)

        monkeypatch.setattr(mixtures, "_fit", fitted)

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("weights", [False, True])
def test_resumed_run_is_the_uninterrupted_one(
    cli, hard, tmp_path, results, interrupt_at, monkeypatch, weights
):
    words = ["gmm", hard, *COURSE, "--covariance", "diag" if weights else "full"]
    if weights:
        np.save(tmp_path / "w.npy", np.random.default_rng(0).random(3000))
        words += ["--weights", "w.npy", "--standardize"]
    assert cli(*words, "-o", "straight").status == 0
    straight = results(tmp_path / "straight")
    assert len(straight["summary"]["result"]["fits"]) == 4
    command = [*words, "-o", "out"]
    for number in (1, 7, 8, 5, 20):  # some of these are the last of a start
        interrupt_at(number)
        ran = cli(*command)
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        assert ran.status == 130, ran.err
        assert (tmp_path / "out/checkpoint.safetensors").exists()
        command = ran.out.splitlines()[-1].split()[1:]
        assert command[-1] == "--resume"
    ran = cli(*command)
    assert ran.status == 0, ran.err
    assert "Going on after" in ran.out
    same(results(tmp_path / "out"), straight)
    assert not (tmp_path / "out/checkpoint.safetensors").exists()


def test_every_iteration_can_be_resumed_from(cli, data, tmp_path, results, monkeypatch):
    """Each checkpoint of a run, in turn, leads to the end of the run."""
    checkpoints, save = [], checkpoint.save

    def copied(path, *arguments):
        save(path, *arguments)
        checkpoints.append(path.read_bytes())

    monkeypatch.setattr(checkpoint, "save", copied)
    monkeypatch.setattr(checkpoint, "EVERY", 0.0)
    monkeypatch.setattr(checkpoint, "WRITING_SHARE", 0)
    words = ["gmm", data, "-k", "3:4", "--n-init", 2, "--init", "random", "--max-iter", 4]
    words += ["--no-report", "--quiet", "--tol", 0]
    assert cli(*words, "-o", "straight").status == 0
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert len(checkpoints) == 2 * 2 * 3 + 2  # all but the last of each start, and after each fit
    (tmp_path / "out").mkdir()
    for content in checkpoints:
        (tmp_path / "out/checkpoint.safetensors").write_bytes(content)
        ran = cli(*words, "-o", "out", "--resume")
        assert ran.status == 0, ran.err
        same(results(tmp_path / "out"), results(tmp_path / "straight"))


def test_an_interrupt_while_seeding_the_second_start(cli, hard, tmp_path, results, monkeypatch):
    fit, calls = mixtures._fit, []

    def fitted(model, *rest):
        calls.append(model)
        if len(calls) == 2:
            model.random_state.random_sample(5)
            os.kill(os.getpid(), signal.SIGINT)
        fit(model, *rest)

    words = ["gmm", hard, "-k", 3, "--n-init", 3, "--max-iter", 5, "--tol", 0, "--no-report"]
    assert cli(*words, "-o", "straight").status == 0
    monkeypatch.setattr(mixtures, "_fit", fitted)
    ran = cli(*words, "-o", "out")
    assert ran.status == 130
    assert "keeping iteration 5" in ran.out
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    ran = cli(*words, "-o", "out", "--resume")
    assert ran.status == 0, ran.err
    assert "Going on after 1 start" in ran.out
    same(results(tmp_path / "out"), results(tmp_path / "straight"))
    expected = GaussianMixture(3, n_init=3, max_iter=5, tol=0, random_state=0)
    with pytest.warns(match="did not converge"):
        expected.fit(np.load(hard))
    np.testing.assert_array_equal(
        results(tmp_path / "out")["model"]["means"], expected._mixture.means
    )


def test_interrupt_in_the_last_moment_is_no_interrupt(cli, hard, tmp_path, results, interrupt_at):
    words = ["gmm", hard, "-k", 3, "--max-iter", 4, "--tol", 0, "--no-report"]
    assert cli(*words, "-o", "straight").status == 0
    interrupt_at(4)
    assert cli(*words, "-o", "out").status == 0
    same(results(tmp_path / "out"), results(tmp_path / "straight"))


def test_a_full_disk_while_running_is_a_warning(cli, hard, monkeypatch):
    from unsup_fast.cli.errors import UserError

    def full(path, *rest):
        raise UserError(f"{path}: could not be written: No space left on device")

    monkeypatch.setattr(checkpoint, "save", full)
    ran = cli("gmm", hard, "-k", "2:4", "-o", "out", "--no-report")
    assert ran.status == 0
    assert ran.err.count("No space left on device") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-k", "2:6"], "-k = [2, 3, 4, 5], not [2, 3, 4, 5, 6]"),
        (["--seed", 1], "--seed = 0, not 1"),
        (["--covariance", "tied"], "--covariance = full, not tied"),
        (["--max-iter", 50], "--max-iter = 8, not 50"),
    ],
)
def test_resuming_something_else_is_refused(cli, hard, interrupt_at, monkeypatch, words, said):
    interrupt_at(3)
    assert cli("gmm", hard, *COURSE, "-o", "out").status == 130
    ran = cli("gmm", hard, *COURSE, *words, "-o", "out", "--resume")
    assert ran.status == 2
    assert said in ran.err


def test_a_killed_process(cli, tmp_path, results):
    np.save(tmp_path / "d.npy", np.random.default_rng(0).random((20_000, 12), dtype=np.float32))
    words = ["gmm", "d.npy", "-k", "3:15:6", "--tol", "0", "--max-iter", "25", "--threads", "1"]
    base = [sys.executable, "-c", KILLED, *words, "--no-report", "-o", "out"]
    with subprocess.Popen(base, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("iteration 4: k = 9"):
                break
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    assert (tmp_path / "out/checkpoint.safetensors").exists()
    ran = cli(*words, "--no-report", "-o", "out", "--resume")
    assert ran.status == 0, ran.err
    assert "Going on after 1 finished fit and iteration" in ran.out
    assert cli(*words, "--no-report", "-o", "straight").status == 0
    same(results(tmp_path / "out"), results(tmp_path / "straight"))


# The command, with a checkpoint and a line for each iteration.
KILLED = """
import sys
from unsup_fast import cli
from unsup_fast.cli import checkpoint, progress
checkpoint.EVERY = progress.LINE_EVERY = 0.0
checkpoint.WRITING_SHARE = 0
sys.exit(cli.run(sys.argv[1:]))
"""
