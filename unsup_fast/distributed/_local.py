"""Holders in processes of this machine, each started as a program of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cloudpickle

from unsup_fast.distributed._engine import HolderLost
from unsup_fast.distributed._worker import NUMBER
from unsup_fast.kernels import threads

PROGRAM = "from unsup_fast.distributed._worker import main; main()"
CLOSED = 5.0  # seconds that a process may take to end


@dataclass(kw_only=True, eq=False)
class Process:
    """A holder's process and the connection to it."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    sent: int = 0
    """Number of the last call."""
    creation: int = 0
    """Number of the call that makes its holder."""
    answered: int = 0
    """Number of the last reply."""


class Call(NamedTuple):
    """A call that was sent."""

    holder: Process
    number: int


@dataclass(frozen=True, kw_only=True)
class LocalEngine:
    """Runs each holder in a process of its own on this machine.

    A process that a fit leaves idle serves the next one. All of them end with this process or by
    `close`, which a ``with`` statement calls. Ctrl-C does not reach them; it reaches the caller.
    """

    n_holders: int
    n_parts: int
    n_threads: int
    idle: list[Process] = field(default_factory=list)
    """Processes without a holder."""

    def __enter__(self) -> "LocalEngine":
        """Return the engine."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the idle processes."""
        self.close()

    def make(self, index: int, create: Callable[[], Any]) -> Process:
        """Make holder `index` in an idle process, or start one.

        The holders of a fleet start side by side: what goes wrong in one is raised by the first
        call's `get`.
        """
        handle = self.idle.pop() if self.idle else self._started()
        handle.creation = self.send(handle, "", (create,)).number
        return handle

    def send(self, handle: Process, verb: str, arguments: tuple[Any, ...]) -> Call:
        """Begin a call; see `Engine.send`. Without a verb, make another holder."""
        number = (handle.sent + 1).to_bytes(NUMBER, "big")
        message = number + cloudpickle.dumps((verb, arguments))
        try:
            handle.connection.send_bytes(message)
        except OSError as error:
            raise HolderLost(str(error)) from error
        handle.sent += 1
        return Call(handle, handle.sent)

    def get(self, pending: Call) -> Any:
        """Wait for a reply; see `Engine.get`."""
        holder = pending.holder
        while True:
            try:
                message = holder.connection.recv_bytes()
            except (EOFError, OSError) as error:
                raise HolderLost("its process ended") from error
            holder.answered = int.from_bytes(message[:NUMBER], "big")
            failed, reply = cloudpickle.loads(message[NUMBER:])
            if failed and holder.answered in (pending.number, holder.creation):
                raise reply
            if holder.answered == pending.number:
                return reply

    def release(self, handle: Process) -> None:
        """Free a holder; its process stays for the next one, unless it is busy or gone."""
        if handle.answered == handle.sent:
            try:
                self.get(self.send(handle, "", (None,)))
            except HolderLost:
                pass
            else:
                self.idle.append(handle)
                return
        _end(handle)

    def close(self) -> None:
        """End the idle processes."""
        while self.idle:
            _end(self.idle.pop())

    def _started(self) -> Process:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(theirs.fileno())],
                env={**os.environ, "OMP_NUM_THREADS": str(self.n_threads)},
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # so that Ctrl-C does not reach it
            )
        return Process(process=process, connection=Connection(ours.detach()))


def _end(handle: Process) -> None:
    handle.connection.close()
    handle.process.terminate()
    try:
        handle.process.wait(CLOSED)
    except subprocess.TimeoutExpired:
        handle.process.kill()
        handle.process.wait()


def local(
    n_holders: int, *, n_threads: int | None = None, n_parts: int | None = None
) -> LocalEngine:
    """Return an engine that divides the data among processes of this machine.

    Parameters
    ----------
    n_holders : int
        Number of processes.
    n_threads : int, optional
        Threads of each process; None divides those of this process among them.
    n_parts : int, optional
        Parts that data are cut into; None for one a process.

    Raises
    ------
    ValueError
        If `n_holders` is no number of processes.
    """
    if n_holders < 1:
        raise ValueError(f"n_holders={n_holders} is not a number of processes; pass an int >= 1")
    each = max(1, threads.effective(None) // n_holders) if n_threads is None else n_threads
    return LocalEngine(n_holders=n_holders, n_threads=each, n_parts=n_parts or n_holders)
