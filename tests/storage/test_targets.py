"""Files of paths and URLs, which are written whole or not at all."""

import errno
import uuid
from pathlib import Path

import pytest

from unsup_fast._urls import Url
from unsup_fast.storage import targets


@pytest.fixture(params=["path", "file://", "memory://"])
def folder(request, tmp_path):
    """Return a folder as a path or a URL."""
    if request.param == "path":
        return tmp_path
    pytest.importorskip("fsspec")
    return Url(f"file://{tmp_path}" if request.param == "file://" else f"memory://{uuid.uuid4()}")


def names(folder):
    if isinstance(folder, Path):
        return sorted(path.name for path in folder.iterdir())
    return sorted(file.name for file in folder.files())


def half_written(target, error):
    with targets.replacing(target, "the numbers") as file:
        file.write(b"half")
        raise error


def test_a_file_is_written_and_read_again(folder):
    target = folder / "x.bin"
    for content in (b"first", b"", b"x" * 100_000):
        targets.write_bytes(target, content, "the numbers")
        assert targets.read_bytes(target) == content
        assert names(folder) == ["x.bin"]


def test_errors_leave_the_file_as_it_was(folder):
    target = folder / "x.bin"
    targets.write_bytes(target, b"before", "the numbers")
    for error in (ValueError("no"), KeyboardInterrupt(), OSError(errno.EIO, "damaged", "other")):
        with pytest.raises(type(error)) as raised:
            half_written(target, error)
        assert raised.value is error
        assert targets.read_bytes(target) == b"before"
        assert names(folder) == ["x.bin"]


def test_the_file_is_there_when_it_is_whole(folder):
    target = folder / "x.bin"
    targets.write_bytes(folder / "y.bin", b"y", "the numbers")
    with targets.replacing(target, "the numbers") as file:
        file.write(b"half")
        file.flush()
        assert not target.exists()
    assert target.exists()


def test_what_cannot_be_written_or_read(folder, tmp_path):
    with pytest.raises(FileNotFoundError):
        targets.read_bytes(folder / "x.bin")
    (tmp_path / "d").mkdir()
    if "memory" not in str(folder):
        for name in ("d", "none/x.bin"):
            said = "cannot save the numbers, and nothing was changed"
            with pytest.raises(OSError, match=said) as raised:
                targets.write_bytes(folder / name, b"x", "the numbers")
            assert str(raised.value.filename) == str(folder / name)
        assert names(folder) == (["d"] if isinstance(folder, Path) else [])


class Upload:
    """A file of an object store: nothing is there before `commit`."""

    def __init__(self, store, path):
        self.store, self.path, self.parts, self.is_closed = store, path, [], False

    def write(self, part):
        self.parts.append(part)

    def close(self):
        self.is_closed = True

    def commit(self):
        assert self.is_closed
        self.store[self.path] = b"".join(self.parts)

    def discard(self):
        self.parts = None


class Store:
    """An object store that completes or aborts uploads."""

    protocol = ("s3", "s3a")

    def __init__(self):
        self.files, self.uploads = {}, []

    def open(self, path, mode, autocommit):
        assert (mode, autocommit) == ("wb", False)
        self.uploads.append(Upload(self.files, path))
        return self.uploads[-1]


def test_uploads_are_completed_or_aborted(monkeypatch):
    store = Store()
    monkeypatch.setattr(Url, "location", property(lambda url: (store, url.text[5:])))
    target = Url("s3://bucket/x.bin")
    targets.write_bytes(target, b"whole", "the numbers")
    assert store.files == {"bucket/x.bin": b"whole"}
    with pytest.raises(ZeroDivisionError):
        half_written(target, ZeroDivisionError())
    assert store.files == {"bucket/x.bin": b"whole"}
    assert store.uploads[-1].parts is None
