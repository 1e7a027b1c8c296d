"""Several runs from different starts, and the lines that `verbose` prints."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast._rows import arrays
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

    A KeyboardInterrupt ends the runs; the result holds it, or it is raised if no run has finished
    an iteration.

    Parameters
    ----------
    iterate : callable
        Makes one run; called with the starting centroids, its number, and `report` or None.
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

    best_run: Run | None = None
    for number in range(1, n_init + 1):
        try:
            centers = start()
            if verbose:
                print(f"Initialization complete (run {number} of {n_init}).")
            run = iterate(centers, number, report if verbose or callback else None)
        except KeyboardInterrupt as interrupt:
            if best_run is None:
                raise
            return replace(best_run, interrupt=interrupt)
        if verbose:
            print(run.reason)
        if best_run is None or _improves(run, best_run):
            best_run = run
        if run.interrupt is not None:
            return replace(best_run, interrupt=run.interrupt)
    assert best_run is not None
    return best_run


def _improves(run: Run, best_run: Run) -> bool:
    """Return whether inertia is lower and the centroids differ.

    The inertia of the same clusters in another order may differ by rounding.
    """
    if run.inertia >= best_run.inertia or run.labels is None or best_run.labels is None:
        return False
    mine, theirs = _in_order(run.centers), _in_order(best_run.centers)
    return not np.array_equal(mine, theirs)


def _in_order(centers: Any) -> Array:
    """Return centroids [K, D] in lexicographic order."""
    rows: Array = arrays.on_host(centers)
    return rows[np.lexsort(rows.T[::-1])]


def _show(state: Iteration) -> None:
    remaining = (state.max_iter - state.iteration) * state.seconds / state.iteration
    print(
        f"Iteration {state.iteration}, inertia {state.inertia:.9g}, {state.n_changed} labels "
        f"changed, at most {remaining:.1f} s left"
    )
