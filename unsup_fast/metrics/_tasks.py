"""Tasks that run in several threads, with the BLAS in one."""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing

from unsup_fast import _tasks
from unsup_fast._tasks import Result, Task
from unsup_fast.kernels import threads

Callback = Callable[[int, int], None]


def in_order(
    run: Callable[[Task], Result], tasks: Iterable[Task], n_threads: int | None
) -> Generator[Result, None, None]:
    """Yield the results of tasks in their order, as `unsup_fast._tasks.in_order` does.

    The BLAS runs in one thread for each of ours, so that results do not depend on their number; it
    has its threads again when this is closed.
    """
    results = _tasks.in_order(run, tasks, n_threads, "metrics")
    with threads.one_in_blas(), closing(results):
        yield from results
