"""Expectation maximisation: one run from an initial mixture.

Dempster, Laird & Rubin, "Maximum likelihood from incomplete data via the EM algorithm", J. R.
Stat. Soc. B 39 (1977). An E-step and the sums of the M-step are one pass of `kernels.em`; all else
here is of the size of the mixture.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast.kernels.em import EStep
from unsup_fast.mixture._covariance import factored
from unsup_fast.mixture._passes import Rows

Array = npt.NDArray[Any]

FEWEST = 1e-290  # a sum of responsibilities below it has no digits left to divide by


@dataclass(frozen=True)
class Mixture:
    """Parameters in float64."""

    weights: Array
    """[K]"""
    means: Array
    """[K, D]"""
    covariances: Array
    factors: Array
    """Of the precisions, as `kernels.em` takes them."""


@dataclass(frozen=True)
class Problem:
    """Rows and parameters that all runs of one fit share."""

    rows: Rows
    reg_covar: float
    tol: float
    max_iter: int


@dataclass(frozen=True)
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


@dataclass
class Run:
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
    problem: Problem,
    mixture: Mixture,
    lower_bound: float = -np.inf,
    run: int = 1,
    report: Callable[[Iteration], None] | None = None,
) -> Run:
    """Iterate from a mixture until the mean log-likelihood changes by less than tol, or max_iter.

    A KeyboardInterrupt after the first finished iteration ends the run there and is returned in
    the result; before that it is raised.

    Parameters
    ----------
    problem : Problem
    mixture : Mixture
    lower_bound : float
        Mean log-likelihood of an earlier fit that this one continues.
    run : int
        Number of the run, for `report`.
    report : callable, optional
        Called with an `Iteration` after each iteration.
    """
    result = Run(mixture, lower_bound)
    start = perf_counter()
    try:
        for iteration in range(1, problem.max_iter + 1):
            current = result.mixture
            sums = problem.rows.em(current.weights, current.means, current.factors)
            after, raised = maximised(problem, current, sums)
            before, bound = result.lower_bound, sums.log_likelihood / sums.weight
            change = 0.0 if bound == before else bound - before
            result.mixture, result.lower_bound = after, bound
            result.lower_bounds.append(bound)
            for k, had in raised.items():
                result.raised.setdefault(k, (iteration, had))
            result.converged = bool(abs(change) < problem.tol)
            if report is not None:
                report(
                    Iteration(
                        run,
                        iteration,
                        problem.max_iter,
                        bound,
                        change,
                        problem.tol,
                        perf_counter() - start,
                        _read_only(after.weights),
                        _read_only(after.means),
                        _read_only(after.covariances),
                        _read_only(after.factors),
                    )
                )
            if result.converged:
                break
    except KeyboardInterrupt as caught:
        if not result.lower_bounds:
            raise
        result.interrupt = caught
    return result


def maximised(problem: Problem, before: Mixture, sums: EStep) -> tuple[Mixture, dict[int, float]]:
    """Return the mixture of an M-step from sums about the means before it.

    A component that no row has a share in keeps mean and covariance, and has no weight.

    Returns
    -------
    Mixture
    raised : dict of int to float
        See `_covariance.factored`.
    """
    share, first, second = sums.resp_sums, sums.sums, sums.second
    assert share is not None
    assert first is not None
    assert second is not None
    kind, reg = problem.rows.covariance_type, problem.reg_covar
    filled = share > FEWEST  # [K]
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
    rows = problem.rows
    covariances, factors, raised = factored(covariances, kind, rows.least, rows.eps)
    weights = np.where(filled, share, 0.0)
    return Mixture(weights / weights.sum(), before.means + moved, covariances, factors), raised


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view
