"""The line that `verbose` prints for each iteration."""

from collections.abc import Callable

from unsup_fast.cluster._lloyd import Iteration


def printer(n_runs: int) -> Callable[[Iteration], None]:
    """Return a function that prints an iteration of one of `n_runs` runs."""

    def show(state: Iteration) -> None:
        run = f"Run {state.run}: " if n_runs > 1 else ""
        remaining = (state.max_iter - state.iteration) * state.seconds / state.iteration
        print(
            f"{run}Iteration {state.iteration}, inertia {state.inertia:.9g}, "
            f"{state.n_changed} labels changed, at most {remaining:.1f} s left"
        )

    return show
