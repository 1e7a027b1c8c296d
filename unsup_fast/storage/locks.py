"""A lock on a folder, for as long as a process writes there."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from unsup_fast._extras import require

FILE = ".unsup-fast.lock"
# Device and inode of the folders that are locked in this context.
_LOCKED: ContextVar[frozenset[tuple[int, int]]] = ContextVar("_LOCKED", default=frozenset())


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock an existing folder against other runs; the same run may lock it again inside.

    The lock ends with the process, even if that is killed. On a file system without locks, filelock
    warns, and its file that names the process serves as the lock; a folder that cannot be written
    is not locked.

    Raises
    ------
    BlockingIOError
        If another run has locked it.
    ImportError
        If filelock is not installed.
    """
    filelock = require("filelock", "train", "a run in a folder")
    status = folder.stat()
    locked, this = _LOCKED.get(), (status.st_dev, status.st_ino)
    if this in locked:
        yield
        return
    path = Path(os.path.realpath(folder)) / FILE
    lock = filelock.FileLock(path, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BlockingIOError(
            errno.EAGAIN,
            "another run writes here; wait for it, or name another folder",
            str(folder),
        ) from None
    except (OSError, NotImplementedError):
        pass
    token = _LOCKED.set(locked | {this})
    try:
        yield
    finally:
        _LOCKED.reset(token)
        if lock.is_locked:
            # Removed while it is locked: a process that has opened it sees that and tries again.
            with suppress(OSError):
                path.unlink()
            lock.release()
