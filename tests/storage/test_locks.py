"""One run in a folder at a time."""

import contextvars
import errno
import os
import signal
import subprocess
import sys

import pytest

from unsup_fast.storage import locks

pytest.importorskip("filelock")
HOLDER = """
import sys, time
from pathlib import Path
from unsup_fast.storage import locks
with locks.exclusive(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_second_run_is_refused_and_a_killed_one_forgotten(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"locked\n"
        with (
            pytest.raises(BlockingIOError, match="another run writes here; wait for it"),
            locks.exclusive(tmp_path),
        ):
            pass
        process.send_signal(signal.SIGKILL)
    with locks.exclusive(tmp_path):
        assert os.listdir(tmp_path) == [locks.FILE]
    assert os.listdir(tmp_path) == []


def test_the_same_run_may_lock_again(tmp_path):
    link = tmp_path.with_name("link")
    link.symlink_to(tmp_path)

    def other():
        with pytest.raises(BlockingIOError), locks.exclusive(tmp_path):
            pass

    with locks.exclusive(tmp_path):
        with locks.exclusive(link):
            contextvars.Context().run(other)
        contextvars.Context().run(other)
    with locks.exclusive(tmp_path):  # after the end of the first run
        pass


@pytest.mark.filterwarnings("ignore:flock not supported:UserWarning")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_systems_without_locks(tmp_path, monkeypatch, code):
    def flock(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", flock)
    with locks.exclusive(tmp_path):
        (tmp_path / "result").touch()
    assert "result" in os.listdir(tmp_path)


def test_folders_that_cannot_be_written(tmp_path, monkeypatch):
    def refused(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refused)
    with locks.exclusive(tmp_path):
        pass
