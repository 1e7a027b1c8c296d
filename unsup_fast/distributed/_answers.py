"""The object that an engine's actor is: it has a holder and answers calls for it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import cloudpickle
from threadpoolctl import ThreadpoolController

from unsup_fast.kernels import threads


class Reply(NamedTuple):
    """What a call of a holder came to."""

    failed: bool
    value: Any
    """The result, or the exception if the call failed."""


class Answers:
    """A holder in a process of Dask or Ray.

    Errors of the holder are values here, so that errors of the engine are not taken for them.

    Parameters
    ----------
    n_threads : int
        Threads of a holder that names none; workers' own limits are for tasks.
    """

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        self._holder: Any = None
        self._count = 0

    def create(self, create: Callable[[], Any] | bytes) -> Reply:
        """Make the holder; what makes it may be pickled."""
        return self._replied(lambda: self._set(unpickled(create)))

    def answer(self, number: int, verb: str, arguments: tuple[Any, ...] | bytes) -> Reply | None:
        """Call a method of the holder.

        Parameters
        ----------
        number : int
            How many calls there were before.
        verb : str
            Name of the method.
        arguments : tuple or bytes
            As they are, or pickled, so that errors of unpickling are the holder's.

        Returns
        -------
        Reply or None
            None if the call is not the one that is due, as when an engine runs a lost actor again:
            the state is not what the caller takes it for.
        """
        if self._holder is None or number != self._count:
            return None
        self._count += 1
        return self._replied(lambda: self._called(verb, unpickled(arguments)))

    def _set(self, create: Callable[[], Any]) -> None:
        threads.allowed()  # loads the compiled module, which the controller then sees
        self._pools = ThreadpoolController().select(internal_api=["unsup_fast", "openmp"])
        with self._pools.limit(limits=self._n_threads):
            self._holder = create()

    def _called(self, verb: str, arguments: tuple[Any, ...]) -> Any:
        with self._pools.limit(limits=self._n_threads):
            return getattr(self._holder, verb)(*arguments)

    def _replied(self, call: Callable[[], Any]) -> Reply:
        try:
            return Reply(failed=False, value=call())
        except Exception as error:  # whatever it is, the caller raises it
            return Reply(failed=True, value=error)


def unpickled(value: Any) -> Any:
    """Return a value that may be pickled."""
    return cloudpickle.loads(value) if isinstance(value, bytes) else value


def value_of(reply: Reply) -> Any:
    """Return the result of a call, or raise its exception."""
    if reply.failed:
        raise reply.value
    return reply.value
