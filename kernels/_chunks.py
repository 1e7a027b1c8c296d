"""Chunks of work shared among Python threads, for functions that release the interpreter's lock.

Portable implementations cut their rows into chunks that do not depend on the number of threads, and
merge what they computed in order, so results do not depend on it either.
"""

from collections.abc import Callable
from threading import Lock, Thread
from typing import Generic, TypeVar

Result = TypeVar("Result")


def run(work: Callable[[int], object], n_chunks: int, n_threads: int) -> None:
    """Call ``work(i)`` once for each chunk i.

    Threads are started in each call: none is left idle, and a forked child lacks none. Where the
    system refuses them the others do all the work. The calling thread takes part, so Ctrl-C ends a
    call when the chunks that are being worked on are done.

    Parameters
    ----------
    work : callable
        A Numba function compiled with ``nogil=True``, or NumPy on large arrays. NumPy's `errstate`
        has to be set inside.
    n_chunks : int
    n_threads : int
        Threads to use, at least 1.

    Raises
    ------
    BaseException
        The first error of a chunk, when all threads have stopped.
    """
    chunks = iter(range(n_chunks))
    errors: list[BaseException] = []

    def share() -> None:
        try:
            for chunk in chunks:
                if errors:
                    return
                work(chunk)
        except BaseException as error:
            errors.append(error)

    helpers = []
    for _ in range(min(n_threads, n_chunks) - 1):
        helper = Thread(target=share, daemon=True)
        try:
            helper.start()
        except RuntimeError:
            break
        helpers.append(helper)
    share()
    while any(helper.is_alive() for helper in helpers):
        try:
            for helper in helpers:
                helper.join()
        except KeyboardInterrupt as error:
            errors.append(error)
    if errors:
        raise errors[0]


class InOrder(Generic[Result]):
    """Results of chunks, merged in the order of the chunks whichever ends first.

    No thread waits for another one: who has the result that comes next merges it and all that
    follow it.

    Parameters
    ----------
    merge : callable
        Adds a result to the total; one thread at a time calls it.
    """

    def __init__(self, merge: Callable[[Result], object]) -> None:
        self._merge = merge
        self._lock = Lock()
        self._results: dict[int, Result] = {}
        self._next = 0

    def put(self, chunk: int, result: Result) -> None:
        """Take the result of a chunk."""
        with self._lock:
            self._results[chunk] = result
            while self._next in self._results:
                self._merge(self._results.pop(self._next))
                self._next += 1
