"""Lloyd's algorithm: one run from starting centroids.

Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982). One iteration is
one pass of `kernels.assign`; everything else here is of size K x D.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast._rows import scaling
from unsup_fast._rows.directions import COST, directions, rounding, unit_rows
from unsup_fast.cluster._pruning import Passes, Step

Array = npt.NDArray[Any]


VANISHED = float(np.finfo(np.float64).tiny)  # replaces a movement whose squares underflow to zero


@dataclass(frozen=True)
class Problem:
    """What stays the same in all runs of one fit."""

    passes: Passes
    """The rows, their weights and shift, and how they are assigned."""
    max_iter: int
    tol: float
    """Absolute: compared with the summed squared movement of the centroids."""
    metric: str = "euclidean"
    """With "cosine", rows are of unit length and centroids are normalised to it."""
    scale: Array | None = None
    """[D], type of X: what the columns of the rows were divided by; None if they were not."""
    tol_inertia: float | None = None
    """Relative: compared with the decrease of inertia over an iteration; None for never."""


@dataclass(frozen=True)
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
    centers: Array
    """[K, D] centroids after the iteration, in the units of X; read-only."""
    labels: Array
    """[N] int32, read-only view; the next iteration overwrites it, so copy it to store it."""


@dataclass(frozen=True)
class Run:
    """Result of one run."""

    centers: Array
    """[K, D], type of X and in its units."""
    labels: Array | None
    """[N] int32, of these centroids; None if the user interrupted twice."""
    sizes: Array
    """[K] int64: rows of each cluster."""
    inertia: float
    """Of these centroids, or of the last known ones if labels is None."""
    inertia_history: Array
    """[n_iter] float64: inertia of the centroids at the start of each iteration."""
    n_changed_history: Array
    """[n_iter] int64: labels changed in each iteration."""
    reason: str
    """Why the run ended."""
    interrupt: KeyboardInterrupt | None
    """The user's Ctrl-C, for the caller to raise again."""


def lloyd(
    problem: Problem,
    centers: Array,
    run: int = 1,
    report: Callable[[Iteration], None] | None = None,
) -> Run:
    """Iterate until no label changes, movement or inertia's decrease is within tol, or max_iter.

    A KeyboardInterrupt after the first finished iteration ends the run there, labels the rows
    once more, and is returned in the result; a second one skips the labelling. Before that it is
    raised.

    Parameters
    ----------
    problem : Problem
    centers : ndarray of shape (K, D), type of X
        Starting centroids, divided by the scale of the problem.
    run : int
        Number of the run, for `report`.
    report : callable, optional
        Called with an `Iteration` after each iteration.
    """
    labels = np.full(problem.passes.X.shape[0], -1, dtype=np.int32)  # [N]
    inertias: list[float] = []
    changes: list[int] = []
    settled = False
    interrupt = None
    reason = f"max_iter={problem.max_iter} reached"
    start = perf_counter()
    problem.passes.begin()
    if problem.metric == "cosine":
        centers = unit_rows(centers, name="init")
    cost = COST[problem.metric]
    try:
        for iteration in range(1, problem.max_iter + 1):
            settled = False
            ahead = problem.max_iter - iteration
            step = problem.passes.step(centers, labels, ahead, sums=problem.metric == "cosine")
            centers, original, center_shift = _moved(problem, centers, labels, step)
            # Without movement the new labels are those of the centroids: sums depend on the
            # labels alone, so this is the usual end of a run, and it saves a pass.
            settled = center_shift == 0.0
            inertias.append(cost * step.inertia)
            changes.append(step.n_changed)
            if report is not None:
                report(
                    Iteration(
                        run,
                        iteration,
                        problem.max_iter,
                        inertias[-1],
                        step.n_changed,
                        center_shift,
                        problem.tol,
                        perf_counter() - start,
                        _read_only(original),
                        _read_only(labels),
                    )
                )
            if step.n_changed == 0:
                reason = "strict convergence"
                break
            if center_shift <= problem.tol:
                reason = f"center shift {center_shift:.6g} within tolerance {problem.tol:.6g}"
                break
            if stagnates(inertias, problem.tol_inertia):
                reason = f"decrease of inertia within tolerance {problem.tol_inertia:.6g}"
                break
    except KeyboardInterrupt as caught:
        if not inertias:
            raise
        interrupt, reason = caught, "interrupted"

    final_labels: Array | None = labels
    inertia, sizes = step.inertia, np.zeros(0)
    try:
        inertia, sizes = problem.passes.finish(centers, labels, settled)
    except KeyboardInterrupt as caught:
        interrupt, reason, final_labels = caught, "interrupted", None
    return Run(
        original,
        final_labels,
        sizes.astype(np.int64),
        cost * inertia,
        np.array(inertias),
        np.array(changes, dtype=np.int64),
        reason,
        interrupt,
    )


def _read_only(array: Array) -> Array:
    view = array.view()
    view.flags.writeable = False
    return view


def stagnates(inertias: Sequence[float], tol_inertia: float | None) -> bool:
    """Return whether inertia fell by no more than this share of itself over the last iteration."""
    if tol_inertia is None or len(inertias) < 2:
        return False
    before, now = inertias[-2:]
    return before - now <= tol_inertia * before


def _moved(
    problem: Problem, centers: Array, labels: Array, step: Step
) -> tuple[Array, Array, float]:
    """Return the centroids after the iteration, the same in the units of X, and their movement.

    The movement is the sum over the centroids of its square.
    """
    if step.means is not None:
        updated, movement_tot = step.means, step.movement or movement(centers, step.means)
    else:
        updated = _updated(problem, centers, labels, step)
        movement_tot = movement(centers, updated)
    if problem.scale is None:
        return updated, updated, movement_tot
    original, updated = scaling.rounded(updated, problem.scale)
    return updated, original, movement(centers, updated)


def movement(before: Array, after: Array) -> float:
    """Return the sum of squared movement, which is 0 only if no centroid [K, D] moved."""
    squares = float(((after.astype(np.float64) - before) ** 2).sum())
    return VANISHED if squares == 0.0 and not np.array_equal(after, before) else squares


def _updated(problem: Problem, centers: Array, labels: Array, step: Step) -> Array:
    """Return the weighted means of the clusters, or their directions, in the type of X."""
    sums, weights = step.sums, step.weights
    assert sums is not None
    assert weights is not None
    if not weights.all():
        sums, weights = _relocated(problem, centers, labels, sums, weights)
    origin = 0.0 if problem.passes.shift is None else problem.passes.shift.astype(np.float64)
    filled = weights > 0
    means = origin + sums / np.where(filled, weights, 1.0)[:, None]  # [K, D] float64
    if problem.metric == "cosine":
        means = directions(means, centers)
    updated: Array = means.astype(centers.dtype)
    if not filled.all():
        # A cluster that stays empty sits on the heaviest one, where it gains no rows as long as
        # its index is the higher of the two; otherwise it stays where it is.
        empty, heaviest = np.flatnonzero(~filled), int(weights.argmax())
        above = empty > heaviest
        updated[empty[above]] = updated[heaviest]
        updated[empty[~above]] = centers[empty[~above]]
    return updated


def _relocated(
    problem: Problem, centers: Array, labels: Array, sums: Array, weights: Array
) -> tuple[Array, Array]:
    """Return sums and weights with a far row moved into each empty cluster.

    The rows farthest from their centroids leave their old clusters; their neighbours follow in
    the next iteration. Nothing moves if every row lies on its centroid, which happens if there
    are fewer distinct rows than clusters. A row without weight founds no cluster: it counts as
    absent (scikit-learn may choose it, and the cluster then stays empty).
    """
    passes = problem.passes
    distances = passes.distances(centers, labels)
    if passes.sample_weight is not None:
        distances[passes.sample_weight == 0] = 0
    if problem.metric == "cosine":  # the direction of equal rows may differ from them by rounding
        distances[distances <= rounding(passes.X) ** 2] = 0
    if distances.max() == 0:
        return sums, weights
    sums, weights = sums.copy(), weights.copy()
    empty = np.flatnonzero(weights == 0)
    # The order of scikit-learn, ties included.
    farthest = np.argpartition(distances, -len(empty))[: -len(empty) - 1 : -1]
    if passes.sample_weight is not None:
        farthest = farthest[passes.sample_weight[farthest] != 0]
    rows = passes.take(farthest).astype(np.float64)
    if passes.shift is not None:
        rows -= passes.shift.astype(np.float64)
    for cluster, row, values in zip(empty, farthest, rows, strict=False):
        weight = 1.0 if passes.sample_weight is None else float(passes.sample_weight[row])
        sums[labels[row]] -= values * weight
        sums[cluster] = values * weight
        weights[labels[row]] -= weight
        weights[cluster] = weight
    return sums, weights
