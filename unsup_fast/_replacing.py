"""Files that take the place of others whole, or not at all."""

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

DRAFT = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


def replace(path: str | os.PathLike[str], content: bytes, what: str) -> None:
    """Write `content` beside `path` and move it there; on failure nothing has changed.

    Raises
    ------
    OSError
        If that fails; it says why, of `what`, such as "the model".
    """
    replace_by(path, lambda file: file.write(content), what)


def replace_by(
    path: str | os.PathLike[str], write: Callable[[BinaryIO], object], what: str
) -> None:
    """Do as `replace` does with what `write` puts into the file that it is given."""
    path = Path(os.path.realpath(path))  # a symbolic link keeps pointing where it did
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        # Not tempfile: its files are readable by their owner alone, whatever the umask.
        with draft.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError):
            raise OSError(error.errno, _advice(path, error, what), os.fspath(path)) from None
        raise
    _sync_directory(path.parent)


def remove_drafts(folder: str | os.PathLike[str]) -> None:
    """Remove what killed processes had begun to write in a folder that no other writes in."""
    for path in Path(folder).iterdir():
        if DRAFT.fullmatch(path.name):
            path.unlink(missing_ok=True)


def _sync_directory(directory: Path) -> None:
    # Best effort: the file is whole either way, and some file systems cannot sync a directory.
    with contextlib.suppress(OSError):
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
