"""A process that trains: alone in its folder, and asked to end by signals."""

import fcntl
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from unsup_fast import _replacing

# Device and number of the folders that are held where this runs.
HELD: ContextVar[frozenset[tuple[int, int]]] = ContextVar("HELD", default=frozenset())


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Make a folder, and hold it against a second run for as long as this process lives.

    Drafts that killed processes left there are removed. What holds a folder may hold it again
    within.

    Raises
    ------
    OSError
        If it cannot be made, or another run trains there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot make the folder of a run: {error.strerror}", str(folder)
        ) from None
    about = os.fstat(descriptor)
    held, this = HELD.get(), (about.st_dev, about.st_ino)
    try:
        try:
            if this not in held:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(
                error.errno,
                "another run trains here; wait for it, or use another folder",
                str(folder),
            ) from None
        except OSError:  # some file systems have no locks
            pass
        _replacing.remove_drafts(folder)
        before = HELD.set(held | {this})
        try:
            yield
        finally:
            HELD.reset(before)
    finally:
        os.close(descriptor)


class Stop(threading.Event):
    """An event that remembers the signal that set it.

    Attributes
    ----------
    number : int
        SIGINT if none came to this process.
    """

    number = int(signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Give an event that Ctrl-C or SIGTERM sets; a second one raises at once."""
    stopped = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(number: int, frame: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt(number)
        stopped.number = number
        stopped.set()

    before = {which: signal.getsignal(which) for which in (signal.SIGINT, signal.SIGTERM)}
    ours = [which for which, handler in before.items() if handler not in (None, signal.SIG_IGN)]
    try:
        for which in ours:
            signal.signal(which, stop)
        yield stopped
    finally:
        for which in ours:
            signal.signal(which, before[which])
