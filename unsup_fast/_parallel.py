"""Work in threads: tasks whose results come in order, and blocks that are read ahead."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

from unsup_fast._types import Array
from unsup_fast.kernels import threads

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(
    run: Callable[[Task], Result],
    tasks: Iterable[Task],
    n_threads: int | None,
    name: str,
    *,
    one_in_blas: bool = False,
) -> Generator[Result, None, None]:
    """Yield the results of tasks in their order, whichever thread ran them.

    At most two results for each thread wait for the caller. The caller closes the generator
    (`contextlib.closing`), so that no task begins after it stops.

    Parameters
    ----------
    run : callable
        Returns the result of a task.
    tasks : iterable
    n_threads : int or None
        Threads to run; None for all.
    name : str
        The threads are named after it.
    one_in_blas : bool
        Whether the BLAS runs in one thread for each of ours until the generator is closed, so that
        results do not depend on their number.
    """
    workers = threads.effective(n_threads)
    waiting: deque[Future[Result]] = deque()
    with (
        threads.one_in_blas() if one_in_blas else nullcontext(),
        ThreadPoolExecutor(workers, f"unsup_fast-{name}") as pool,
    ):
        try:
            for task in tasks:
                waiting.append(pool.submit(run, task))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def ahead(blocks: Generator[Array, None, None]) -> Generator[Array, None, None]:
    """Yield the blocks, always with the next one being read.

    Two are in memory at a time, and the one that the consumer still holds. Errors of the reader
    are raised where its block would be.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="unsup_fast-blocks") as pool:
        following = pool.submit(next, blocks, None)
        try:
            while (block := following.result()) is not None:
                following = pool.submit(next, blocks, None)
                yield block
                del block
        finally:
            following.exception()  # a generator that runs cannot be closed
            blocks.close()
