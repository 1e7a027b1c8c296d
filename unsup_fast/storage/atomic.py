"""Files that are replaced as a whole or not at all.

A file is written as a draft in the same directory, flushed to the disk and renamed. The writer
holds a lock on its draft, so `remove_drafts` can tell the draft of a killed process from that of a
running one; the system releases the lock of a process that ends, however it ends.
"""

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

# Our drafts, and those that the safetensors library writes.
DRAFT = re.compile(r"\..+\.[0-9a-f]{8}\.tmp|\.tmp[0-9A-Za-z]{6}")
LONGEST_NAME = 230  # bytes; file systems allow 255, and a draft's name is 14 longer than the file's


@contextmanager
def replacing(path: str | os.PathLike[str], what: str) -> Iterator[BinaryIO]:
    """Yield a file to write; it replaces `path` when the block ends without an error.

    Parameters
    ----------
    path : path-like
        A symbolic link stays, and the file it points to is replaced.
    what : str
        What is written, for error messages, such as "the model".

    Raises
    ------
    OSError
        If the file cannot be written. Nothing has changed then.
    """
    path = Path(os.path.realpath(path))
    drafts: list[Path] = []
    try:
        _check_replaceable(path)
        with _draft(path, drafts) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.replace(drafts[-1], path)
    except BaseException as error:
        for draft in drafts:
            with suppress(OSError):
                draft.unlink()
        if isinstance(error, OSError) and _concerns(error, path, drafts):
            raise OSError(error.errno, _advice(path, error, what), os.fspath(path)) from None
        raise
    _sync_directory(path.parent)


def write_bytes(path: str | os.PathLike[str], content: bytes, what: str) -> None:
    """Replace a file by `content`; see `replacing`."""
    with replacing(path, what) as file:
        file.write(content)


def remove_drafts(folder: str | os.PathLike[str], name: str | None = None) -> None:
    """Remove the drafts that killed processes left in a folder; those of running ones stay.

    On a file system without locks the two cannot be distinguished, and all drafts stay.

    Parameters
    ----------
    folder : path-like
        Nothing happens if it does not exist.
    name : str, optional
        Remove only the drafts of the file of this name.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            ours = DRAFT.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            if ours and (name is None or entry.name.startswith(f".{_stem(name)}.")):
                with suppress(OSError):
                    _remove_unlocked(entry.path)


def _remove_unlocked(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


@contextmanager
def _draft(path: Path, drafts: list[Path]) -> Iterator[BinaryIO]:
    """Create a draft of `path` and lock it; its path is appended to `drafts`."""
    while True:
        drafts.append(path.with_name(f".{_stem(path.name)}.{secrets.token_hex(4)}.tmp"))
        # Not tempfile: its files are readable by their owner alone, whatever the umask.
        with drafts[-1].open("xb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # another process is removing it in this very moment
            except OSError:
                pass  # a file system without locks
            if drafts[-1].exists():
                yield file
                return


def _stem(name: str) -> str:
    return name if len(os.fsencode(name)) <= LONGEST_NAME else name[: LONGEST_NAME // 4]


def _check_replaceable(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "Is a directory")
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is a device or a pipe; name a regular file")


def _concerns(error: OSError, path: Path, drafts: list[Path]) -> bool:
    """Return whether an error is about the file that is written, not one that is read meanwhile."""
    return error.filename is None or Path(os.fsdecode(error.filename)) in (path, *drafts)


def _sync_directory(directory: Path) -> None:
    # Best effort: the file is complete in any case; some file systems cannot sync a directory.
    with suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _advice(path: Path, error: OSError, what: str) -> str:
    reason = {
        errno.ENOENT: f"there is no directory '{path.parent}'; create it first",
        errno.ENOTDIR: f"'{path.parent}' is not a directory",
        errno.EACCES: f"the directory '{path.parent}' is not writable",
        errno.EROFS: f"'{path.parent}' is on a read-only file system",
        errno.EISDIR: "it is a directory; name a file",
        errno.ENOSPC: "the disk is full; free some space",
        errno.EDQUOT: "the disk quota is used up; free some space",
    }.get(error.errno or 0, str(error.strerror or error))
    return f"cannot save {what}, and nothing was changed: {reason}"
