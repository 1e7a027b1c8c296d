"""The process of a training run: it locks its folder, and signals end it after a step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from unsup_fast.storage import atomic, locks


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Create a folder and lock it against other runs; remove drafts of killed processes.

    Raises
    ------
    OSError
        If the folder cannot be created, or another run writes there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            error.errno, f"cannot make the folder of a run: {error.strerror}", str(folder)
        ) from None
    with locks.exclusive(folder):
        atomic.remove_drafts(folder)
        yield


class Stop(threading.Event):
    """An event that remembers the signal that set it.

    Attributes
    ----------
    number : int
        SIGINT if this process received no signal.
    """

    number = int(signal.SIGINT)


@contextmanager
def interruptible() -> Iterator[Stop]:
    """Yield an event that Ctrl-C or SIGTERM sets; a second signal raises at once."""
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
