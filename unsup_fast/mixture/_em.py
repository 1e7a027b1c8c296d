"""Expectation maximisation: one run from an initial mixture.

Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm", J. R.
Stat. Soc. B 39 (1977). An E-step and the sums of the M-step are one pass of `kernels.em`; all else
here is of the size of the mixture.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np

from unsup_fast._types import Array
from unsup_fast.kernels.em import EStep
from unsup_fast.mixture._covariance import positive_definite
from unsup_fast.mixture._data import Mixture, MixtureData

MIN_SHARE = 1e-290  # a sum of responsibilities below it has no digits left to divide by


@dataclass(frozen=True, kw_only=True)
class MixtureProblem:
    """Rows and parameters that all runs of one fit share."""

    data: MixtureData
    reg_covar: float
    tol: float
    max_iter: int


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """State after one iteration, as passed to the `callback` of `fit`."""

    run: int
    """Which of the `n_init` runs, from 1."""
    iteration: int
    """Iteration of this run, from 1."""
    max_iter: int
    lower_bound: float
    """Mean log-likelihood under the parameters that the iteration started from."""
    change: float
    """Increase of the lower bound; infinite in the first iteration."""
    tol: float
    """The run stops when `change` is less than this in magnitude."""
    seconds: float
    """Time since the run started."""
    weights: Array
    """[K] float64, after the iteration; read-only."""
    means: Array
    """[K, D] float64, after the iteration; read-only."""
    covariances: Array
    """Of the shape of `covariances_`, float64, after the iteration; read-only."""
    precisions_cholesky: Array
    """Of the shape of `precisions_cholesky_`, float64, after the iteration; read-only."""


@dataclass(kw_only=True)
class MixtureRun:
    """Result of one run."""

    mixture: Mixture
    lower_bound: float
    lower_bounds: list[float] = field(default_factory=list)
    converged: bool = False
    raised: dict[int, tuple[int, float]] = field(default_factory=dict)
    """For components whose covariance had to be raised: in which iteration first, and the lowest
    variance, or eigenvalue of the correlation, that it had."""
    interrupt: KeyboardInterrupt | None = None
    """The user's Ctrl-C, for the caller to raise again."""


def iterate(
    problem: MixtureProblem,
    mixture: Mixture,
    lower_bound: float = -np.inf,
    run: int = 1,
    report: Callable[[Iteration], None] | None = None,
) -> MixtureRun:
    """Iterate from a mixture until the mean log-likelihood changes by less than tol, or max_iter.

    A KeyboardInterrupt after the first finished iteration ends the run there and is returned in
    the result; before that it is raised.

    Parameters
    ----------
    problem : MixtureProblem
    mixture : Mixture
    lower_bound : float
        Mean log-likelihood of an earlier fit that this one continues.
    run : int
        Number of the run, for `report`.
    report : callable, optional
        Called with an `Iteration` after each iteration.
    """
    result = MixtureRun(mixture=mixture, lower_bound=lower_bound)
    start = perf_counter()
    try:
        for iteration in range(1, problem.max_iter + 1):
            current = result.mixture
            sums = problem.data.em(current)
            after, raised = maximize(problem, current, sums)
            before, bound = result.lower_bound, sums.log_likelihood / sums.weight
            change = 0.0 if bound == before else bound - before
            result.mixture, result.lower_bound = after, bound
            result.lower_bounds.append(bound)
            for k, lowest in raised.items():
                result.raised.setdefault(k, (iteration, lowest))
            result.converged = bool(abs(change) < problem.tol)
            if report is not None:
                report(
                    Iteration(
                        run=run,
                        iteration=iteration,
                        max_iter=problem.max_iter,
                        lower_bound=bound,
                        change=change,
                        tol=problem.tol,
                        seconds=perf_counter() - start,
                        weights=_read_only(after.weights),
                        means=_read_only(after.means),
                        covariances=_read_only(after.covariances),
                        precisions_cholesky=_read_only(after.factors),
                    )
                )
            if result.converged:
                break
    except KeyboardInterrupt as caught:
        if not result.lower_bounds:
            raise
        result.interrupt = caught
    return result


def maximize(
    problem: MixtureProblem, before: Mixture, sums: EStep
) -> tuple[Mixture, dict[int, float]]:
    """Return the mixture of an M-step from sums about the means before it.

    A component that no row has a share in keeps mean and covariance, and has no weight.

    Returns
    -------
    Mixture
    raised : dict of int to float
        See `_covariance.positive_definite`.
    """
    share, first, second = sums.resp_sums, sums.sums, sums.second
    assert share is not None
    assert first is not None
    assert second is not None
    kind, reg = problem.data.covariance_type, problem.reg_covar
    filled = share > MIN_SHARE  # [K]
    if not filled.any():
        return before, {}
    safe = np.where(filled, share, 1.0)
    moved = np.where(filled[:, None], first / safe[:, None], 0.0)  # [K, D]
    each = filled
    if kind == "full":
        covariances = second / safe[:, None, None] - moved[:, :, None] * moved[:, None, :]
        covariances += reg * np.eye(moved.shape[1])
        each = filled[:, None, None]
    elif kind == "tied":
        covariances = (second - (moved.T * share) @ moved) / share[filled].sum()
        covariances += reg * np.eye(moved.shape[1])
    elif kind == "diag":
        covariances = second / safe[:, None] - moved**2 + reg
        each = filled[:, None]
    else:
        covariances = (second / safe - (moved**2).sum(axis=1)) / moved.shape[1] + reg
    if kind != "tied" and not filled.all():
        covariances = np.where(each, covariances, before.covariances)
    covariances, factors, raised = positive_definite(
        covariances, kind, problem.data.min_variances, problem.data.eps
    )
    weights = np.where(filled, share, 0.0)
    mixture = Mixture(
        weights=weights / weights.sum(),
        means=before.means + moved,
        covariances=covariances,
        factors=factors,
    )
    return mixture, raised


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
