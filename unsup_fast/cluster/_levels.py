"""Hierarchical k-means: the clusters of a level are split by fits of their own.

The first level is a fit with few clusters. Each of its clusters gets clusters of the next level
according to its size, and these are fitted to its rows alone. With k clusters above K, an iteration
over N rows takes about N (k + K / k) distances where a flat one takes N K. In the end all rows
are compared with all K centroids (`fit`).

Nister & Stewenius, "Scalable recognition with a vocabulary tree", CVPR 2006, section 3; clusters
allotted by size as in faiss's `two_level_clustering`.
"""

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import _is_arraylike_not_scalar

from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster import _runs
from unsup_fast.cluster._fleet_members import FleetMembers
from unsup_fast.cluster._input import Prepared
from unsup_fast.cluster._lloyd import Iteration, LloydProblem, Run, lloyd
from unsup_fast.cluster._members import HostMembers, Members
from unsup_fast.cluster._passes import LazyLabels
from unsup_fast.cluster._passes_of import passes_of
from unsup_fast.cluster._splits import ROWS_PER_CLUSTER, Plan, fits
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array

FULL_ITERATIONS = 1  # over all rows and all clusters, after the levels
LARGEST_SEED = np.iinfo(np.int32).max


class Hierarchy(NamedTuple):
    """The clusters of the last level, before any iteration over all of them."""

    centers: Array
    """[K, D], type of X, in the units of the rows."""
    parents: Array
    """[K] int32: cluster of the level above."""
    labels: Array | LazyLabels | None
    """[N] int32: nearest centroid among those of the row's parent, -1 for rows without weight;
    None if nothing needs them."""


def check(estimator: Any, checkpoint: str | PathLike[str] | None) -> tuple[int, ...] | None:
    """Return the clusters of each level of a `KMeans`, or None if it has no levels.

    Raises
    ------
    ValueError
        If `levels` are no such numbers, or do not go with another parameter or argument of `fit`.
    """
    if estimator.levels is None:
        return None
    levels: list[Any] = list(estimator.levels)
    n_clusters = estimator.n_clusters
    named = f"levels={levels}"
    if not levels or not all(isinstance(k, Integral) and int(k) >= 1 for k in levels):
        raise ValueError(
            f"{named} must be the clusters of the levels above the last, as in levels=[64]; pass "
            "levels=None for a flat fit"
        )
    if sorted(levels) != levels or levels[-1] > n_clusters:
        raise ValueError(
            f"{named} must not decrease nor exceed n_clusters={n_clusters}, the clusters of the "
            "last level"
        )
    if _is_arraylike_not_scalar(estimator.init):
        raise ValueError(
            f"{named} and an array as init exclude each other: each level chooses its own start; "
            "pass init='k-means++' or levels=None"
        )
    if estimator.n_init not in ("auto", 1):
        raise ValueError(f"{named} and n_init={estimator.n_init} exclude each other; pass n_init=1")
    if checkpoint is not None:
        raise ValueError(
            f"{named} and checkpoint exclude each other: levels have none, and a single iteration "
            "follows; pass checkpoint=None or levels=None"
        )
    return (*(int(k) for k in levels), n_clusters)


def fit(
    estimator: Any,
    levels: tuple[int, ...],
    prepared: Prepared,
    problem: LloydProblem,
    random_state: np.random.RandomState,
    callback: Callable[[Iteration], None] | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[Run, Any]:
    """Fit level after level, then iterate once over all rows and clusters.

    A KeyboardInterrupt before that iteration is finished is raised; a later one is in the result.

    Parameters
    ----------
    estimator : KMeans
    levels : tuple
        As `check` returns them.
    prepared : Prepared
    problem : LloydProblem
        That of a flat fit.
    random_state : RandomState
    callback : callable, optional
        Called with the last iteration.
    progress : callable, optional
        Called after each fit of a level with the clusters of all levels fitted so far, and in all.

    Returns
    -------
    run : Run
        The last iteration.
    parents : ndarray or tensor of shape (K,), int32
        Cluster of the level above that each cluster was split from.

    Raises
    ------
    ValueError
        If the rows are on a GPU, if too few of them have weight, or if an engine has so few that
        k-means++ would choose among all of them, and not a sample.
    """
    rows, verbose = prepared.rows, bool(estimator.verbose)
    if rows.device is not None:
        raise ValueError(
            f"levels={list(estimator.levels)} are computed on the CPU; pass device='cpu', or "
            "levels=None for a flat fit on the GPU"
        )
    least = ROWS_PER_CLUSTER * levels[0]
    if isinstance(rows, FleetRows) and estimator.init == "k-means++" and rows.n_rows <= least:
        raise ValueError(
            f"levels={list(estimator.levels)} with init='k-means++' and an engine need more than "
            f"{least} rows, and {rows.name} has {rows.n_rows}; pass init='k-means||' or 'random', "
            "or leave engine out"
        )
    plan = Plan(
        levels=levels,
        init=estimator.init,
        max_iter=problem.max_iter,
        tol=estimator.tol,
        tol_inertia=problem.tol_inertia,
        metric=problem.metric,
        may_prune=estimator.algorithm != "lloyd",
    )
    hierarchy = grow(rows, plan, random_state, verbose=verbose, progress=progress)
    passes = passes_of(
        rows,
        metric=plan.metric,
        scale=prepared.scale,
        may_prune=plan.may_prune,
        guess=hierarchy.labels,
    )
    last = replace(problem, passes=passes, max_iter=FULL_ITERATIONS)

    def iterate(centers: Array, number: int, report: Callable[[Iteration], None] | None) -> Run:
        return lloyd(last, centers, number, report)

    run = _runs.best(iterate, lambda: hierarchy.centers, 1, verbose, callback)
    return run, rows.to_user(hierarchy.parents)


def grow(
    rows: Rows,
    plan: Plan,
    random_state: np.random.RandomState,
    *,
    verbose: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Hierarchy:
    """Fit level after level; the parameters are those of `fit`.

    A level draws one seed for each cluster of the level above, ``random_state.randint(2**31 - 1)``
    in order, so a fit depends on the index of its cluster and not on other fits. From a
    ``RandomState`` of that seed a fit draws its sample, if there is one, and then its start.
    """
    members = _all(rows)
    parents = np.zeros(1, dtype=np.int32)
    prunable = isinstance(rows, FleetRows) or (rows.is_in_memory and rows.shift is not None)
    done, total = 0, sum(plan.levels)
    for number, n_clusters in enumerate(plan.levels, 1):
        sizes = members.sizes
        n_parents = len(sizes)
        shares = allot(members.weights, n_clusters, sizes)
        first = np.concatenate([[0], np.cumsum(shares)])
        seeds = random_state.randint(LARGEST_SEED, size=n_parents)
        centers = np.empty((n_clusters, rows.n_columns), dtype=rows.dtype)
        origins: dict[int, Array] = {}
        labels: dict[int, Array] = {}
        last = number == len(plan.levels)
        these = replace(plan, labels_at_end=not last)
        for parent, fitted in fits(rows, members, shares, seeds, these):
            centers[first[parent] : first[parent + 1]] = fitted.centers
            if fitted.labels is None:
                origins[parent] = fitted.origin
            else:
                labels[parent] = fitted.labels
            done += int(shares[parent])
            if progress is not None:
                progress(done, total)
        if prunable or not last:
            members = members.divided(centers, first, origins, labels)
        if verbose:
            print(f"Level {number} of {len(plan.levels)} complete: {n_clusters} clusters.")
        parents = np.repeat(np.arange(n_parents, dtype=np.int32), shares)
    return Hierarchy(centers=centers, parents=parents, labels=members.labels if prunable else None)


def _all(rows: Rows) -> Members:
    """Return all rows with weight as one cluster."""
    if isinstance(rows, FleetRows):
        return FleetMembers.of(rows)
    return HostMembers.of(rows)


def allot(sizes: Array, total: int, most: Array) -> Array:
    """Share clusters out by size: by the largest remainder, within bounds.

    Parameters
    ----------
    sizes : ndarray of shape (C,)
        Rows of each cluster, or their weight.
    total : int
        Clusters to share out, no fewer than there are sizes above 0.
    most : ndarray of shape (C,)
        Most clusters of each: its rows.

    Returns
    -------
    ndarray of shape (C,), int64
        They sum to `total`; 0 where the size is 0, elsewhere at least 1.

    Raises
    ------
    ValueError
        If there are fewer rows than clusters.
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    least = (sizes > 0).astype(np.int64)
    most = np.where(sizes > 0, most, 0)
    if most.sum() < total:
        raise ValueError(
            f"only {most.sum()} rows have weight; n_clusters={total} exceeds them. "
            f"Pass n_clusters <= {most.sum()}."
        )
    # The quotas clip(rate * size, least, most) sum to the total for some rate.
    low, high = 0.0, float(np.max(most[least > 0] / sizes[least > 0]))
    while low < (rate := (low + high) / 2) < high:
        if np.clip(rate * sizes, least, most).sum() > total:
            high = rate
        else:
            low = rate
    quotas = np.clip(low * sizes, least, most)
    shares = np.floor(quotas).astype(np.int64)
    order = np.lexsort((-sizes, shares - quotas))  # by remainder, then by size, then by index
    order = order[shares[order] < most[order]]
    shares[order[: total - shares.sum()]] += 1
    return shares
