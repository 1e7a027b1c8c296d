"""Several runs from different starts, the lines that `verbose` prints, and warnings."""

import warnings
from collections.abc import Callable

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from unsup_fast.mixture._data import Mixture
from unsup_fast.mixture._em import Iteration, MixtureProblem, MixtureRun, iterate

MAX_NAMES = 10  # components that a warning names

Start = Callable[[], tuple[Mixture, dict[int, float]]]


def best(
    problem: MixtureProblem,
    start: Start,
    n_init: int,
    lower_bound: float = -np.inf,
    report: Callable[[Iteration], None] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> MixtureRun:
    """Run EM `n_init` times and return the run of the largest likelihood.

    A KeyboardInterrupt ends the runs; it is returned in the result, or raised if no run has
    finished an iteration.

    Parameters
    ----------
    problem : MixtureProblem
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
    best_run: MixtureRun | None = None
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
        at_start = {k: (0, lowest) for k, lowest in raised.items()}
        run.raised = at_start | run.raised | at_start
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


def warn(problem: MixtureProblem, run: MixtureRun, stacklevel: int) -> None:
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
        if problem.data.covariance_type == "tied":
            whose = "that all components share"
        first, (iteration, lowest) = next(iter(run.raised.items()))
        when = f"in iteration {iteration}" if iteration else "at the start"
        warnings.warn(
            f"The covariance {whose} stopped being positive definite and was raised just enough "
            f"(component {first} {when}, from a variance or an eigenvalue of the correlation of "
            f"{lowest:.3g}). Pass fewer components or a larger reg_covar than "
            f"{problem.reg_covar:g}, or look for constant columns and repeated rows.",
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
    names = ", ".join(str(k) for k in sorted(numbers)[:MAX_NAMES])
    more = f" and {len(numbers) - MAX_NAMES} more" if len(numbers) > MAX_NAMES else ""
    return f"component{'s' if len(numbers) > 1 else ''} {names}{more}"
