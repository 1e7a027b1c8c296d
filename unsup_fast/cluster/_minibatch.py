"""Mini-batch k-means: centroids that move with random samples of the rows.

Sculley, "Web-scale k-means clustering", WWW 2010. Each step assigns a few rows with one pass of
`kernels.assign` and moves a centroid to the mean of all rows assigned to it so far. The
draws and the rules for stopping and for clusters that get no rows are scikit-learn's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from unsup_fast._rows import scaling
from unsup_fast._rows.directions import COST, directions
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._batches import Draws
from unsup_fast.kernels.assign import assign

Array = npt.NDArray[Any]

ROWS_PER_CLUSTER = 10  # rows seen for each cluster until rarely used ones are reassigned again


@dataclass(frozen=True)
class Means:
    """Running means of the rows assigned to each cluster."""

    values: Array
    """[K, D] float64."""
    counts: Array
    """[K] float64: total weight of these rows."""
    centers: Array
    """[K, D] float64: the means, or their directions if the metric is "cosine"."""


@dataclass(frozen=True)
class Step:
    """State after one mini-batch, which the `callback` of `MiniBatchKMeans.fit` receives."""

    step: int
    """From 1."""
    n_steps: int
    """Most steps of the fit."""
    inertia: float
    """Mean squared (or cosine) distance of the batch to the centroids before the step."""
    smoothed_inertia: float
    """Exponentially weighted average of `inertia` from the second step on; NaN in the first."""
    n_reassigned: int
    """Rarely used centroids that were moved to rows of the batch."""
    center_shift: float
    """Sum over the centroids of their squared movement."""
    tol: float
    """If positive, the fit stops when `center_shift` is no more than this."""
    seconds: float
    """Time since the first step began."""
    centers: Array
    """[K, D] centroids after the step, type of X and in its units; read-only."""


@dataclass(frozen=True)
class Plan:
    """What stays the same in all steps of one fit."""

    batch_size: int
    n_steps: int
    reassignment_ratio: float
    tol: float
    """Absolute: compared with the summed squared movement of the centroids; 0 for never."""
    max_no_improvement: int | None
    shift: Array | None
    """[D], type of X: subtracted from the rows; None for CSR."""
    metric: str
    n_threads: int
    scale: Array | None = None
    """[D], type of X: what the columns of the rows were divided by; None if they were not."""


@dataclass(frozen=True)
class Run:
    """Result of all steps."""

    means: Means
    n_steps: int
    n_since_reassign: int
    """Rows seen since the last reassignment."""
    mean_inertia: float
    """Smoothed mean squared (or cosine) distance of the batches."""
    interrupt: KeyboardInterrupt | None
    """The user's Ctrl-C, for the caller to raise again."""


def beginning(centers: Array) -> Means:
    """Return centroids that no row has been assigned to."""
    exact = centers.astype(np.float64)
    return Means(values=exact, counts=np.zeros(len(centers)), centers=exact)


def continued(
    centers: Array, values: Array, counts: Array, metric: str, scale: Array | None = None
) -> Means:
    """Return the means that an earlier step left; `centers` themselves if they were changed.

    Parameters
    ----------
    centers : ndarray of shape (K, D)
        In the units of X.
    values : ndarray of shape (K, D), float64
        Running means of the divided rows.
    counts : ndarray of shape (K,), float64
    metric : str
    scale : ndarray of shape (D,), optional
        What columns are divided by.
    """
    before = centers.astype(np.float64)
    if scale is not None:
        before /= scale
    if values.shape == centers.shape:
        exact = _centers(values, before, metric)
        if np.array_equal(_original(exact.astype(centers.dtype), scale), centers):
            return Means(values=values, counts=counts, centers=exact)
    return Means(values=before, counts=counts, centers=before)


def _original(centers: Array, scale: Array | None) -> Array:
    return centers if scale is None else scaling.rounded(centers, scale)[0]


def _centers(values: Array, before: Array, metric: str) -> Array:
    return directions(values, before) if metric == "cosine" else values


def run(
    rows: Rows,
    draw: Draws,
    plan: Plan,
    centers: Array,
    random_state: np.random.RandomState,
    report: Callable[[Step], None] | None,
    verbose: bool,
) -> Run:
    """Make steps from `centers` until inertia stops improving or `plan.n_steps` are done.

    A KeyboardInterrupt after the first finished step ends the run there and is returned in the
    result; before that it is raised.

    Parameters
    ----------
    rows : Rows
    draw : Draws
    plan : Plan
    centers : ndarray of shape (K, D), type of X
    random_state : RandomState
        One draw of uniform numbers a step, and one permutation if centroids are reassigned.
    report : callable, optional
        Called with a `Step` after each step.
    verbose : bool
        Whether to print each step.
    """
    means = beginning(centers)
    share = min(1.0, 2.0 * plan.batch_size / (rows.n_rows + 1))
    smoothed = shift = np.nan
    lowest = np.inf
    done = since = stale = 0
    interrupt = None
    start = perf_counter()
    try:
        for number in range(1, plan.n_steps + 1):
            batch = rows.take(draw(random_state, plan.batch_size))
            due, since = is_due(means, since + plan.batch_size)
            ratio = plan.reassignment_ratio if due else 0.0
            moved, total, n_reassigned = step(
                means=means,
                batch=batch,
                sample_weight=None,
                shift=plan.shift,
                metric=plan.metric,
                reassignment_ratio=ratio,
                random_state=random_state,
                n_threads=plan.n_threads,
            )
            inertia = total / plan.batch_size
            if plan.tol > 0 or report is not None:
                shift = float(((moved.centers - means.centers) ** 2).sum())
            # The first batch measures the start alone, so the average begins with the second.
            smoothed = inertia if number <= 2 else smoothed * (1 - share) + inertia * share
            means, done = moved, number
            if verbose:
                _show(number, plan.n_steps, inertia, smoothed, n_reassigned)
            if report is not None:
                report(
                    Step(
                        step=number,
                        n_steps=plan.n_steps,
                        inertia=inertia,
                        smoothed_inertia=smoothed if number > 1 else np.nan,
                        n_reassigned=n_reassigned,
                        center_shift=shift,
                        tol=plan.tol,
                        seconds=perf_counter() - start,
                        centers=_read_only(
                            _original(means.centers.astype(centers.dtype), plan.scale)
                        ),
                    )
                )
            if number == 1:
                continue
            lowest, stale = (smoothed, 0) if smoothed < lowest else (lowest, stale + 1)
            reason = None
            if plan.tol > 0 and shift <= plan.tol:
                reason = "small centers change"
            elif plan.max_no_improvement is not None and stale >= plan.max_no_improvement:
                reason = "lack of improvement in inertia"
            if reason is not None:
                if verbose:
                    print(f"Converged ({reason}) at step {number}/{plan.n_steps}")
                break
    except KeyboardInterrupt as caught:
        if done == 0:
            raise
        interrupt = caught
    return Run(
        means=means,
        n_steps=done,
        n_since_reassign=since,
        mean_inertia=smoothed,
        interrupt=interrupt,
    )


def is_due(means: Means, since: int) -> tuple[bool, int]:
    """Return whether a step reassigns centroids, and the rows seen since one did.

    It does while a cluster has no rows, and whenever enough rows have been seen.
    """
    due = bool((means.counts == 0).any()) or since >= ROWS_PER_CLUSTER * len(means.counts)
    return due, 0 if due else since


def step(
    means: Means,
    batch: Any,
    sample_weight: Array | None,
    shift: Array | None,
    metric: str,
    reassignment_ratio: float,
    random_state: np.random.RandomState,
    n_threads: int,
) -> tuple[Means, float, int]:
    """Move the centroids by one batch.

    Parameters
    ----------
    means : Means
    batch : ndarray or CSR matrix of shape (B, D)
    sample_weight : ndarray of shape (B,), type of the batch, optional
    shift : ndarray of shape (D,), type of the batch, or None for CSR
    metric : {"euclidean", "cosine"}
        With "cosine", rows are of unit length.
    reassignment_ratio : float
        Centroids with less than this share of the largest count move to rows of the batch.
    random_state : RandomState
    n_threads : int

    Returns
    -------
    Means
        The new ones; the old are not changed.
    float
        Inertia of the batch to the centroids before the step.
    int
        How many centroids were reassigned.
    """
    assigned = assign(
        batch,
        means.centers.astype(batch.dtype),
        sample_weight=sample_weight,
        shift=shift,
        n_threads=n_threads,
    )
    assert assigned.sums is not None
    assert assigned.weights is not None
    filled = assigned.weights > 0
    gained = np.where(filled, assigned.weights, 0.0)  # [K]
    counts = means.counts + gained
    rate = np.divide(1.0, counts, out=np.zeros_like(counts), where=filled)
    # c + (sum_i w_i (x_i - s) - w (c - s)) / count, with w the weight of the batch in the cluster
    values = means.values - (0.0 if shift is None else shift.astype(np.float64))  # [K, D]
    values *= -gained[:, None]
    values += assigned.sums
    values *= rate[:, None]
    values += means.values
    n_reassigned = 0
    if reassignment_ratio > 0:
        weighty = None if sample_weight is None else np.flatnonzero(sample_weight)
        n_reassigned = _reassign(values, counts, batch, weighty, reassignment_ratio, random_state)
    centers = _centers(values, means.centers, metric)
    new = Means(values=values, counts=counts, centers=centers)
    return new, COST[metric] * assigned.inertia, n_reassigned


def _reassign(
    values: Array,
    counts: Array,
    batch: Any,
    weighty: Array | None,
    ratio: float,
    random_state: np.random.RandomState,
) -> int:
    """Move rarely used centroids to random rows, in place; return how many.

    At most one for every two rows moves. A moved centroid gets the smallest count of the others,
    so that it is not moved again at once. `weighty` are the rows that may be chosen, None for all.
    """
    allowed = batch.shape[0] if weighty is None else len(weighty)
    rare = counts < ratio * counts.max()
    rare[counts.argmax()] = False
    if rare.sum() > 0.5 * allowed:
        # In the type of the rows: equal counts fall in scikit-learn's order.
        rare[np.argsort(counts.astype(batch.dtype))[int(0.5 * allowed) :]] = False
    n_rare = int(rare.sum())
    if n_rare:
        chosen = random_state.choice(
            allowed if weighty is None else weighty, size=n_rare, replace=False
        )
        rows = batch[chosen]
        values[rare] = rows.toarray() if sp.issparse(rows) else rows
        counts[rare] = counts[~rare].min()
    return n_rare


def _show(number: int, n_steps: int, inertia: float, smoothed: float, n_reassigned: int) -> None:
    line = f"Minibatch step {number}/{n_steps}: mean batch inertia: {inertia}"
    if number > 1:
        line += f", ewa inertia: {smoothed}"
    print(line)
    if n_reassigned:
        print(f"Reassigning {n_reassigned} cluster centers.")


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array
