"""Files are replaced as a whole or not at all; drafts of killed processes go, others stay."""

import errno
import os
import subprocess
import sys

import pytest

from unsup_fast.storage import atomic

KILLED = """
import os, signal, sys
from unsup_fast.storage import atomic
with atomic.replacing(sys.argv[1], "the file") as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"before")
    return path


def test_a_file_is_replaced(path):
    atomic.write_bytes(path, b"after", "the file")
    assert path.read_bytes() == b"after"
    assert os.listdir(path.parent) == ["file"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("x"), OSError(errno.EIO, "x")])
def test_nothing_changes_on_an_error(path, error):
    def fail():
        with atomic.replacing(path, "the file") as file:
            file.write(b"half")
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_bytes() == b"before"
    assert os.listdir(path.parent) == ["file"]


def test_errors_about_other_files_are_not_renamed(path):
    with (
        pytest.raises(FileNotFoundError, match=r"data\.npy"),
        atomic.replacing(path, "the file") as file,
    ):
        file.write((path.parent / "data.npy").read_bytes())


def test_long_names(tmp_path):
    for name in ("a" * 255, "ü" * 127):
        atomic.write_bytes(tmp_path / name, b"x", "the file")
        atomic.remove_drafts(tmp_path, name)
    assert len(os.listdir(tmp_path)) == 2


def test_devices_and_pipes_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/null"):
        with pytest.raises(OSError, match="it is a device or a pipe; name a regular file"):
            atomic.write_bytes(path, b"x", "the file")
    with pytest.raises(IsADirectoryError, match="it is a directory; name a file"):
        atomic.write_bytes(tmp_path, b"x", "the file")


def test_a_killed_process_leaves_a_draft_that_is_removed(path):
    killed = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert killed.returncode == -9
    (draft,) = (other for other in path.parent.iterdir() if other != path)
    assert draft.name.startswith(".file.")
    atomic.remove_drafts(path.parent, "other")
    assert draft.exists()
    with atomic.replacing(path, "the file") as file:  # the draft of a process that is running
        file.write(b"after")
        atomic.remove_drafts(path.parent)
        assert not draft.exists()
    assert path.read_bytes() == b"after"


def test_only_drafts_are_removed(tmp_path):
    names = [".file.tmp", ".file.0123abc.tmp", "file.0123abcd.tmp", ".tmpabc", ".notes"]
    drafts = [".file.0123abcd.tmp", ".model.safetensors.ffffffff.tmp", ".tmpAb3xYz"]
    for name in names + drafts:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".folder.0123abcd.tmp").mkdir()
    (tmp_path / ".link.0123abcd.tmp").symlink_to(tmp_path / ".notes")
    atomic.remove_drafts(tmp_path)
    left = {*names, ".folder.0123abcd.tmp", ".link.0123abcd.tmp"}
    assert set(os.listdir(tmp_path)) == left
    atomic.remove_drafts(tmp_path / "missing")
