"""Holders in processes of this machine, each started as a program of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cloudpickle

from unsup_fast.distributed._engine import HolderLost
from unsup_fast.kernels import threads

CLOSED = 5.0  # seconds that a process may take to end


@dataclass(kw_only=True)
class Process:
    """A holder's process and the connection to it."""

    process: "subprocess.Popen[bytes]"
    connection: Connection
    sent: int = 0
    """Number of the last call."""


class Call(NamedTuple):
    """A call that was sent."""

    holder: Process
    number: int


@dataclass(frozen=True, kw_only=True)
class LocalEngine:
    """Runs each holder in a process of its own on this machine.

    The processes end with this one. Ctrl-C does not reach them; it reaches the caller, who releases
    them.
    """

    n_holders: int
    n_threads: int

    def make(self, index: int, create: Callable[[], Any]) -> Process:
        """Start a process, and make holder `index` in it."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "unsup_fast.distributed._worker", str(theirs.fileno())],
                env={**os.environ, "OMP_NUM_THREADS": str(self.n_threads)},
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # so that Ctrl-C does not reach it
            )
        handle = Process(process=process, connection=Connection(ours.detach()))
        self.get(self.send(handle, "", (create,)))
        return handle

    def send(self, handle: Process, verb: str, arguments: tuple[Any, ...]) -> Call:
        """Begin a call; see `Engine.send`."""
        handle.sent += 1
        message = cloudpickle.dumps((handle.sent, verb, arguments))
        try:
            handle.connection.send_bytes(message)
        except OSError as error:
            raise HolderLost(str(error)) from error
        return Call(handle, handle.sent)

    def get(self, pending: Call) -> Any:
        """Wait for a reply; see `Engine.get`."""
        while True:
            try:
                number, failed, reply = cloudpickle.loads(pending.holder.connection.recv_bytes())
            except (EOFError, OSError) as error:
                raise HolderLost("its process ended") from error
            if number == pending.number:
                if failed:
                    raise reply
                return reply

    def release(self, handle: Process) -> None:
        """End a holder's process."""
        handle.connection.close()
        handle.process.terminate()
        try:
            handle.process.wait(CLOSED)
        except subprocess.TimeoutExpired:
            handle.process.kill()
            handle.process.wait()


def local(n_holders: int, *, n_threads: int | None = None) -> LocalEngine:
    """Return an engine that divides the data among processes of this machine.

    Parameters
    ----------
    n_holders : int
        Number of processes.
    n_threads : int, optional
        Threads of each process; None divides those of this process among them.
    """
    if n_holders < 1:
        raise ValueError(f"n_holders={n_holders} is not a number of processes; pass an int >= 1")
    each = max(1, threads.effective(None) // n_holders) if n_threads is None else n_threads
    return LocalEngine(n_holders=n_holders, n_threads=each)
