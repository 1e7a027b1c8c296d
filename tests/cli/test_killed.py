"""Killed runs: drafts go, reports come, and a second run in a folder is refused."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from unsup_fast import report
from unsup_fast.cli import results as written
from unsup_fast.storage import locks

filelock = pytest.importorskip("filelock")
COURSE = ("-k", 5, "--tol", 0, "--quiet")
SECONDS = ("seconds", "fits")


class Killed(BaseException):
    """Replaces SIGKILL where it does not matter that a signal can be caught."""


@pytest.fixture
def plain_report(monkeypatch):
    """Write an empty page instead of a report, whose drawing takes a second."""
    for name in ("kmeans", "gmm"):
        monkeypatch.setattr(report, name, lambda *_: "<html></html>")


@pytest.fixture
def kill_in(monkeypatch):
    """Return a function that ends the next run when it calls a function for the first time."""

    def arm(module, name):
        inner, armed = getattr(module, name), [True]

        def called(*arguments, **options):
            if armed:
                armed.clear()
                raise Killed
            return inner(*arguments, **options)

        monkeypatch.setattr(module, name, called)

    return arm


def same(one, other):
    np.testing.assert_array_equal(one["labels"], other["labels"])
    for name, array in one["model"].items():
        np.testing.assert_array_equal(array, other["model"][name], err_msg=name)
    first, second = (
        {key: value for key, value in run["summary"]["result"].items() if key not in SECONDS}
        for run in (one, other)
    )
    assert first == second


@pytest.mark.parametrize("moment", ["write_labels", "write_text"])
@pytest.mark.parametrize(
    "words",
    [
        ["kmeans", *COURSE],
        ["kmeans", *COURSE, "--max-iter", 3],
        ["kmeans", *COURSE, "--max-iter", 1],
        ["kmeans", "-k", 1, "--quiet"],
        ["gmm", "-k", 2, "--quiet", "--max-iter", 3],
        ["gmm", "-k", "1:3", "--quiet", "--n-init", 2],
    ],
    ids=lambda words: " ".join(map(str, words)),
)
def test_a_run_killed_after_its_last_step_gets_its_report(
    cli, hard, tmp_path, results, plain_report, kill_in, words, moment
):
    assert cli(*words[:1], hard, *words[1:], "-o", "straight", "--no-report").status == 0
    command = [words[0], hard, *words[1:], "-o", "out"]
    kill_in(written, moment)
    with pytest.raises(Killed):
        cli(*command)
    assert not (tmp_path / "out/report.html").exists()
    ran = cli(*command, "--resume")
    assert ran.status == 0, ran.err
    same(results(tmp_path / "out"), results(tmp_path / "straight"))
    assert (tmp_path / "out/report.html").exists()
    there, expected = (set(os.listdir(tmp_path / name)) for name in ("out", "straight"))
    assert there == expected | {"report.html"}


def test_a_longer_run_resumes_from_the_last_iteration(cli, hard, tmp_path, results):
    words = ["kmeans", hard, *COURSE, "--no-report"]
    assert cli(*words, "-o", "straight", "--max-iter", 5).status == 0
    assert cli(*words, "-o", "out", "--max-iter", 3).status == 0
    ran = cli(*words, "-o", "out", "--max-iter", 3, "--resume")
    assert ran.status == 2
    assert "3 iterations are done already; pass a larger --max-iter" in ran.err
    assert cli(*words, "-o", "out", "--max-iter", 5, "--resume").status == 0
    same(results(tmp_path / "out"), results(tmp_path / "straight"))


# The command, killed while the file that is named first reaches the disk.
KILLED = """
import os, signal, sys
from unsup_fast import cli
fsync = os.fsync
def kill(number):
    if sys.argv[1] in os.readlink(f"/proc/self/fd/{number}"):
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(number)
os.fsync = kill
sys.exit(cli.run(sys.argv[2:]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_drafts_of_a_killed_run_are_removed(cli, data, tmp_path, results):
    words = ["kmeans", data, "-k", 3, "--quiet", "--no-report", "-o", "out"]
    killed = [sys.executable, "-c", KILLED, ".model.", *map(str, words)]
    assert subprocess.run(killed, cwd=tmp_path, check=False).returncode == -9
    left = set(os.listdir(tmp_path / "out"))
    assert any(name.startswith(".model.safetensors.") for name in left)
    draft = next(name for name in left if name.endswith(".tmp"))
    for flag in ("--resume", "--overwrite"):
        (tmp_path / "out" / draft).touch()
        (tmp_path / "out/.tmpAb3xYz").touch()
        ran = cli(*words, flag)
        assert ran.status == 0, ran.err
        assert not [name for name in os.listdir(tmp_path / "out") if name.startswith(".")]
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / draft).touch()
    assert cli(*words[:-1], "new").status == 0
    assert not [name for name in os.listdir(tmp_path / "new") if name.startswith(".")]
    (tmp_path / ".labels.npy.0123abcd.tmp").touch()
    (tmp_path / ".other.npy.0123abcd.tmp").touch()
    assert cli("predict", "out", data, "-o", "labels.npy").status == 0
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == [
        ".other.npy.0123abcd.tmp"
    ]


@pytest.mark.parametrize("command", [["kmeans", "-k", 2], ["gmm", "-k", 2], ["pca", "-n", 2]])
def test_a_second_run_in_a_folder_is_refused(cli, data, tmp_path, command):
    name, *options = command
    words = [name, data, *options, "-o", "out", "--quiet", "--no-report"]
    assert cli(*words).status == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    with filelock.FileLock(tmp_path / "out" / locks.FILE):
        ran = cli(*words, "--overwrite")
        assert ran.status == 2
        assert "error: out: another run writes here; wait for it, or name another" in ran.err
        assert ran.err.count("\n") == 1
        (tmp_path / "out" / locks.FILE).unlink()
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert cli(*words, "--overwrite").status == 0


def test_json_is_json(tmp_path):
    path = tmp_path / "summary.json"
    summary = {"result": {"inertia": float("inf"), "shares": [float("nan"), 1.0]}}
    written.write_summary(path, summary)

    def refuse(name):
        raise ValueError(name)

    for text in (path.read_text(), written.as_json(summary)):
        parsed = json.loads(text, parse_constant=refuse)
        assert parsed["result"] == {"inertia": None, "shares": [None, 1.0]}
