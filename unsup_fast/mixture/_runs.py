"""Several runs from different starts, the lines that `verbose` prints, and warnings."""

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from unsup_fast.mixture._em import Iteration, Mixture, Problem, Run, iterate

NAMED = 10  # components that a warning names

Start = Callable[[], tuple[Mixture, dict[int, float]]]


def best(
    problem: Problem,
    start: Start,
    n_init: int,
    lower_bound: float = -np.inf,
    report: Callable[[Iteration], None] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Run:
    """Run EM `n_init` times and return the run of the largest likelihood.

    A KeyboardInterrupt ends the runs; it is returned in the result, or raised if no run has
    finished an iteration.

    Parameters
    ----------
    problem : Problem
    start : callable
        Returns the mixture that the next run starts from, and what was raised in it.
    n_init : int
    lower_bound : float
        See `iterate`.
    report : callable, optional
        Called with each iteration.
    say : callable
        Called with lines for the user.
    """
    best_run: Run | None = None
    for number in range(1, n_init + 1):
        try:
            say(f"Initialization {number - 1}")
            mixture, raised = start()
            run = iterate(problem, mixture, lower_bound, number, report)
        except KeyboardInterrupt as interrupt:
            if best_run is None:
                raise
            best_run.interrupt = interrupt
            return best_run
        run.raised = {k: (0, had) for k, had in raised.items()} | {
            k: (number, had) for k, (number, had) in run.raised.items() if k not in raised
        }
        outcome = "converged" if run.converged else "did not converge"
        say(f"Initialization {number - 1} {outcome}, lower bound {run.lower_bound:.9g}")
        if best_run is None or run.lower_bound > best_run.lower_bound:
            best_run = run
        if run.interrupt is not None:
            best_run.interrupt = run.interrupt
            break
    assert best_run is not None
    return best_run


def show(state: Iteration) -> None:
    """Print an iteration and how long the others may take at most."""
    remaining = (state.max_iter - state.iteration) * state.seconds / state.iteration
    print(
        f"  Iteration {state.iteration}, lower bound {state.lower_bound:.9g}, change "
        f"{state.change:.3g}, at most {remaining:.1f} s left"
    )


def warn(problem: Problem, run: Run, stacklevel: int) -> None:
    """Warn of a run that did not converge, of raised covariances, and of empty components."""
    if not run.converged and problem.max_iter > 0 and run.interrupt is None:
        warnings.warn(
            "Best performing initialization did not converge. Try different init parameters, or "
            "increase max_iter, tol, or check for degenerate data.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
    if run.raised:
        whose = "of " + _components(list(run.raised))
        if problem.rows.covariance_type == "tied":
            whose = "that all components share"
        first, (iteration, had) = next(iter(run.raised.items()))
        when = f"in iteration {iteration}" if iteration else "at the start"
        warnings.warn(
            f"The covariance {whose} stopped being positive definite and was raised just enough "
            f"(component {first} {when}, from a variance or an eigenvalue of the correlation of "
            f"{had:.3g}). Pass fewer components or a larger reg_covar than {problem.reg_covar:g}, "
            "or look for constant columns and repeated rows.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )
    empty = np.flatnonzero(run.mixture.weights == 0)
    if len(empty):
        warnings.warn(
            f"No row has a share in {_components(empty.tolist())}; pass fewer components, or "
            "look for repeated rows.",
            ConvergenceWarning,
            stacklevel=stacklevel,
        )


def _components(numbers: list[int]) -> str:
    names = ", ".join(str(k) for k in sorted(numbers)[:NAMED])
    more = f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
    return f"component{'s' if len(numbers) > 1 else ''} {names}{more}"
