"""Run tasks in several threads: results come in order, and Ctrl-C ends the tasks."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from unsup_fast.kernels import threads

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(
    run: Callable[[Task], Result], tasks: Iterable[Task], n_threads: int | None, name: str
) -> Generator[Result, None, None]:
    """Yield the results of tasks in their order, whichever thread ran them.

    At most two results for each thread wait for the caller. The caller closes the generator
    (`contextlib.closing`), so that no task begins after it stops. Threads are named after `name`.
    """
    workers = threads.effective(n_threads)
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, f"unsup_fast-{name}") as pool:
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
