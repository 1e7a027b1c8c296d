"""Several runs from different starts, and the lines that `verbose` prints."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast import _arrays
from unsup_fast.cluster._lloyd import Iteration, Run

Array = npt.NDArray[Any]


def best(
    iterate: Callable[..., Run],
    start: Callable[[], Array],
    n_init: int,
    verbose: bool,
    callback: Callable[[Iteration], None] | None,
) -> Run:
    """Make `n_init` runs of Lloyd's algorithm and return the best.

    A KeyboardInterrupt ends the runs; it is handed back in the result, or raised if no run has
    finished an iteration.

    Parameters
    ----------
    iterate : callable
        Makes one run from the centroids that it is given, and its number, and `report` or None.
    start : callable
        Returns the starting centroids of the next run.
    n_init : int
    verbose : bool
        Whether to print each iteration.
    callback : callable, optional
        Called with each iteration, after it is printed.
    """

    def report(state: Iteration) -> None:
        if verbose:
            _show(state)
        if callback is not None:
            callback(state)

    found: Run | None = None
    for number in range(1, n_init + 1):
        try:
            centers = start()
            if verbose:
                print(f"Initialization complete (run {number} of {n_init}).")
            run = iterate(centers, number, report if verbose or callback else None)
        except KeyboardInterrupt as interrupt:
            if found is None:
                raise
            return replace(found, interrupt=interrupt)
        if verbose:
            print(run.reason)
        if found is None or _improves(run, found):
            found = run
        if run.interrupt is not None:
            return replace(found, interrupt=run.interrupt)
    assert found is not None
    return found


def _improves(run: Run, found: Run) -> bool:
    """Whether inertia is lower and the clustering another one, as in scikit-learn.

    The inertia of the same clusters under permuted labels may differ by rounding.
    """
    if run.inertia >= found.inertia or run.labels is None or found.labels is None:
        return False
    mine, theirs = _arrays.on_host(run.labels), _arrays.on_host(found.labels)
    partner = np.full(len(run.centers), -1)  # [K] label in `found` of each label in `run`
    partner[mine] = theirs
    return not np.array_equal(partner[mine], theirs)


def _show(state: Iteration) -> None:
    remaining = (state.max_iter - state.iteration) * state.seconds / state.iteration
    print(
        f"Iteration {state.iteration}, inertia {state.inertia:.9g}, {state.n_changed} labels "
        f"changed, at most {remaining:.1f} s left"
    )
