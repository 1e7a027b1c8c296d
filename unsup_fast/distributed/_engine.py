"""What a fleet asks of the machinery that runs its holders: four verbs."""

from collections.abc import Callable
from typing import Any, Protocol

Handle = Any  # an engine's own word for a holder: a process, an actor
Pending = Any  # and for a reply that is still to come


class HolderLost(Exception):
    """A holder's process, its machine, or the link to it is gone."""


class EngineError(RuntimeError):
    """An engine cannot go on; the message says why and what to do."""


class NoWorkerLeft(EngineError):
    """No process is left that could take a lost holder's parts."""


class Engine(Protocol):
    """Runs holders: objects that stay in a process of their own and answer calls in order.

    An engine may be used for several fits one after the other.
    """

    @property
    def n_holders(self) -> int:
        """How many holders it runs: one a worker."""

    @property
    def n_parts(self) -> int:
        """How many parts to cut data into: results do not depend on it."""

    def make(self, index: int, create: Callable[[], Any]) -> Handle:
        """Return holder `index`, which ``create()`` makes in a process, in another if it was lost.

        Raises
        ------
        HolderLost
            If its process goes meanwhile.
        NoWorkerLeft
            If there is no process that could run it.
        """

    def send(self, handle: Handle, verb: str, arguments: tuple[Any, ...]) -> Pending:
        """Begin a call of a method of the holder, and return at once.

        Raises
        ------
        HolderLost
            If it is known to be gone.
        """

    def get(self, pending: Pending) -> Any:
        """Wait for a call, and return what the method does or raise what it raises.

        Replies that nobody asked for, as after Ctrl-C, are dropped.

        Raises
        ------
        HolderLost
            If the holder goes before it has answered.
        """

    def release(self, handle: Handle) -> None:
        """Free a holder, also one that was lost or is busy."""
