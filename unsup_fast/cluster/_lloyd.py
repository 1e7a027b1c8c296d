"""Lloyd's algorithm: one run from starting centroids.

Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982). One iteration is
one pass over the rows, wherever they are (`_passes`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast._rows.directions import COST, unit_rows
from unsup_fast.cluster._checkpoint import Checkpoint, Progress
from unsup_fast.cluster._passes import Final, LazyLabels, Passes, Step
from unsup_fast.kernels._types import Array

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor


@dataclass(frozen=True, kw_only=True)
class LloydProblem:
    """What stays the same in all runs of one fit."""

    passes: Passes
    """The rows, and how they are labelled."""
    max_iter: int
    tol: float
    """Absolute: compared with the summed squared movement of the centroids."""
    metric: str = "euclidean"
    """With "cosine", rows are of unit length and centroids are normalised to it."""
    checkpoint: Checkpoint | None = None
    """Where finished iterations are saved."""
    tol_inertia: float | None = None
    """Relative: compared with the decrease of inertia over an iteration; None for never."""
    labels_at_end: bool = True
    """Whether a run ends with labels of its last centroids, or with those of its last iteration,
    which takes a pass less."""


@dataclass(frozen=True, kw_only=True)
class Iteration:
    """State after one iteration, which the `callback` of `fit` receives."""

    run: int
    """Index of the run among the `n_init` runs, from 1."""
    iteration: int
    """Iteration of this run, from 1."""
    max_iter: int
    inertia: float
    """Inertia of the centroids that the iteration started from."""
    n_changed: int
    """Rows whose label changed in this iteration."""
    center_shift: float
    """Sum over the centroids of their squared movement."""
    tol: float
    """The run stops when `center_shift` is no more than this."""
    seconds: float
    """Time since the run started."""
    centers: "ArrayOrTensor"
    """[K, D] centroids after the iteration, in the units of X; read-only."""
    labels: "ArrayOrTensor | LazyLabels"
    """[N] int32, read-only view; the next iteration overwrites it, so copy it to store it. With an
    engine, ``numpy.asarray`` gathers them."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """Result of one run. Centroids, labels and sizes are where the rows are; see `Rows.to_user`."""

    centers: "ArrayOrTensor"
    """[K, D], type of X and in its units."""
    labels: "ArrayOrTensor | LazyLabels | None"
    """[N] int32, of these centroids, or of those before the last iteration if the problem says so;
    None if the user interrupted twice."""
    sizes: "ArrayOrTensor | None"
    """[K] int64: rows of each cluster; None if rows were not labelled by these centroids."""
    inertia: float
    """Of these centroids, or of the last known ones if sizes is None."""
    inertia_history: Array
    """[n_iter] float64: inertia of the centroids at the start of each iteration."""
    n_changed_history: Array
    """[n_iter] int64: labels changed in each iteration."""
    reason: str
    """Why the run ended."""
    interrupt: KeyboardInterrupt | None
    """The user's Ctrl-C, for the caller to raise again."""


def lloyd(
    problem: LloydProblem,
    centers: Any,
    run: int = 1,
    report: Callable[[Iteration], None] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Iterate until no label changes, movement or inertia's decrease is within tol, or max_iter.

    A KeyboardInterrupt after the first finished iteration ends the run there, labels the rows
    once more, and is returned in the result; a second one skips the labelling. Before that it is
    raised.

    Parameters
    ----------
    problem : LloydProblem
    centers : ndarray or tensor of shape (K, D), type of X
        Starting centroids, where the rows are, divided by what the rows were divided by.
    run : int
        Number of the run, for `report`.
    report : callable, optional
        Called with an `Iteration` after each iteration.
    progress : Progress, optional
        The iteration of an earlier run to go on from; its centroids replace `centers`.
    """
    passes, rows, cost = problem.passes, problem.passes.rows, COST[problem.metric]
    inertias: list[float] = []
    changes: list[int] = []
    settled = False
    interrupt = None
    reason = f"max_iter={problem.max_iter} reached"
    start = perf_counter()
    iterations = range(1, problem.max_iter + 1)
    if progress is not None:
        inertias, changes = list(progress.inertias), list(progress.changes)
        centers, original = rows.to_device(progress.centers), rows.to_device(progress.original)
        settled = progress.settled
        iterations = iterations[len(inertias) :]
        if progress.reason and not progress.reason.startswith("max_iter"):
            iterations, reason = iterations[:0], progress.reason
        passes.resume(centers, rows.to_device(progress.before))
    else:
        if problem.metric == "cosine":
            centers = unit_rows(centers, name="init")
        passes.begin(centers)
    step: Step | None = None
    try:
        for iteration in iterations:
            settled, before = False, centers
            step = passes.step(centers, problem.max_iter - iteration)
            centers, original = step.centers, step.original
            # Without movement the new labels are those of the centroids: sums depend on the
            # labels alone, so this is the usual end of a run, and it saves a pass.
            settled = step.center_shift == 0.0
            inertias.append(cost * step.inertia)
            changes.append(step.n_changed)
            if report is not None:
                report(
                    Iteration(
                        run=run,
                        iteration=iteration,
                        max_iter=problem.max_iter,
                        inertia=inertias[-1],
                        n_changed=step.n_changed,
                        center_shift=step.center_shift,
                        tol=problem.tol,
                        seconds=perf_counter() - start,
                        centers=rows.to_callback(original),
                        labels=rows.to_callback(step.labels),
                    )
                )
            end = _end(problem, step, inertias)
            if problem.checkpoint is not None:
                problem.checkpoint.save(
                    Progress(
                        centers=rows.to_host(centers),
                        original=rows.to_host(original),
                        before=rows.to_host(before),
                        inertias=inertias,
                        changes=changes,
                        settled=settled,
                        reason=end or (reason if iteration == problem.max_iter else ""),
                    )
                )
            if end:
                reason = end
                break
    except KeyboardInterrupt as caught:
        if not inertias:
            raise
        interrupt, reason = caught, "interrupted"

    if not problem.labels_at_end and interrupt is None and step is not None:
        return Run(
            centers=original,
            labels=step.labels,
            sizes=None,
            inertia=inertias[-1],
            inertia_history=np.array(inertias),
            n_changed_history=np.array(changes, dtype=np.int64),
            reason=reason,
            interrupt=None,
        )
    final: Final | None = None
    try:
        final = passes.finish(centers, settled=settled, interrupted=interrupt is not None)
    except KeyboardInterrupt as caught:
        interrupt, reason = caught, "interrupted"
    return Run(
        centers=original,
        labels=None if final is None else final.labels,
        sizes=None if final is None else final.sizes,
        inertia=inertias[-1] if final is None else cost * final.inertia,
        inertia_history=np.array(inertias),
        n_changed_history=np.array(changes, dtype=np.int64),
        reason=reason,
        interrupt=interrupt,
    )


def _end(problem: LloydProblem, step: Step, inertias: Sequence[float]) -> str:
    """Return why a run ends after a step, or an empty str if it goes on."""
    if step.n_changed == 0:
        return "strict convergence"
    if step.center_shift <= problem.tol:
        return f"center shift {step.center_shift:.6g} within tolerance {problem.tol:.6g}"
    if stagnates(inertias, problem.tol_inertia):
        return f"decrease of inertia within tolerance {problem.tol_inertia:.6g}"
    return ""


def stagnates(inertias: Sequence[float], tol_inertia: float | None) -> bool:
    """Return whether inertia fell by no more than this share of itself over the last iteration."""
    if tol_inertia is None or len(inertias) < 2:
        return False
    before, now = inertias[-2:]
    return before - now <= tol_inertia * before
