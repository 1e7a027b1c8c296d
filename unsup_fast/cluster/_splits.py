"""The fits of one level of hierarchical k-means: each splits the rows of one cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
from sklearn.utils.random import sample_without_replacement

from unsup_fast._rows.host_rows import HostRows
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster import _init
from unsup_fast.cluster._lloyd import LloydProblem, Run, lloyd
from unsup_fast.cluster._passes_of import passes_of
from unsup_fast.kernels._types import Array

ROWS_PER_CLUSTER = 256  # rows that a fit looks at, at most, for each of its clusters
ROOM = 1 << 30  # bytes of a source's rows that are in memory together
AT_ONCE = 1 << 14  # rows that are labelled at once


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the fits of all levels have in common."""

    levels: tuple[int, ...]
    """Clusters of each level; the last are those of the model."""
    init: Any
    """Start of each fit: a name or a function, as in `KMeans`."""
    max_iter: int
    tol: float
    """Relative, as in `KMeans`: times the mean variance of the columns of a fit's rows."""
    tol_inertia: float | None
    metric: str
    may_prune: bool


class Fitted(NamedTuple):
    """Result of the fit of one cluster's rows."""

    centers: Array
    """[k, D]."""
    origin: Array
    """[D]: what distances were measured from."""
    labels: Array | None
    """[n] int32: of the cluster's rows; None if the fit saw a sample of them."""


def members_of(labels: Array, count: int) -> list[Array]:
    """Return the rows of each cluster, in ascending order; those labelled -1 are in none."""
    order = np.argsort(labels, kind="stable")
    bounds = np.searchsorted(labels[order], np.arange(count + 1))
    return [order[bounds[k] : bounds[k + 1]] for k in range(count)]


def fits(
    rows: Rows, members: Sequence[Array], shares: Array, seeds: Array, plan: Plan
) -> Iterator[tuple[int, Fitted]]:
    """Fit each cluster's rows, and yield the cluster's index with the result.

    More than `ROWS_PER_CLUSTER` rows for each of its parts are sampled: without replacement by
    ``sample_without_replacement``, in ascending order. Rows of a source are read for as many
    clusters at once as there is room for.

    Parameters
    ----------
    rows : Rows
    members : list of C ndarrays
        Rows of each cluster.
    shares : ndarray of shape (C,)
        Clusters that each is split into; 0 for none.
    seeds : ndarray of shape (C,)
    plan : Plan
    """
    bytes_of_row = rows.n_columns * rows.dtype.itemsize
    room = 0 if rows.is_in_memory else ROOM
    batch: list[tuple[int, Array, np.random.RandomState]] = []
    taken = 0
    for parent in np.flatnonzero(shares).tolist():
        random_state = np.random.RandomState(seeds[parent])
        indices, sample = members[parent], ROWS_PER_CLUSTER * int(shares[parent])
        if len(indices) > sample:
            drawn = sample_without_replacement(len(indices), sample, random_state=random_state)
            indices = indices[np.sort(drawn)]
        if batch and (taken + len(indices)) * bytes_of_row > room:
            yield from _batch(rows, batch, members, shares, plan)
            batch, taken = [], 0
        batch.append((parent, indices, random_state))
        taken += len(indices)
    yield from _batch(rows, batch, members, shares, plan)


def _batch(
    rows: Rows,
    batch: Sequence[tuple[int, Array, np.random.RandomState]],
    members: Sequence[Array],
    shares: Array,
    plan: Plan,
) -> Iterator[tuple[int, Fitted]]:
    """Read the rows of some clusters at once, and fit them one after the other."""
    everything = len(batch[0][1]) == rows.n_rows
    X: Any = None
    if not everything:
        X = rows.take(np.concatenate([indices for _, indices, _ in batch]))
    weight = rows.to_host(rows.sample_weight)
    start = 0
    for parent, indices, random_state in batch:
        part = rows
        if not everything:
            some = HostRows(
                X=X[start : start + len(indices)],
                n_threads=rows.n_threads,
                name=rows.name,
                sample_weight=None if weight is None else weight[indices],
            )
            part = cast(Rows, some)  # of arrays, each kind of rows takes its own
        start += len(indices)
        run = _fit(part, int(shares[parent]), plan, random_state)
        sampled = len(indices) < len(members[parent])
        yield (
            parent,
            Fitted(
                centers=rows.to_host(run.centers),
                origin=part.origin,
                labels=None if sampled else rows.to_host(run.labels),
            ),
        )


def _fit(rows: Rows, n_clusters: int, plan: Plan, random_state: np.random.RandomState) -> Run:
    """Make one run of Lloyd's algorithm; raise KeyboardInterrupt on Ctrl-C."""
    problem = LloydProblem(
        passes=passes_of(rows, metric=plan.metric, may_prune=plan.may_prune),
        max_iter=plan.max_iter,
        tol=float(plan.tol * rows.spread().variance.mean()),
        metric=plan.metric,
        tol_inertia=plan.tol_inertia,
    )
    run = lloyd(problem, _init.start(rows, plan.init, n_clusters, random_state))
    if run.interrupt is not None:
        raise run.interrupt
    return run


def label(
    rows: Rows,
    labels: Array,
    inside: Array,
    centers: Array,
    first: Array,
    origins: dict[int, Array],
) -> None:
    """Label the rows of clusters that a sample was drawn from, by the nearest of its centroids.

    Parameters
    ----------
    rows : Rows
    labels : ndarray of shape (N,), int32
        Clusters of the level above.
    inside : ndarray of shape (N,), int32
        Labels of this level, overwritten for the clusters in `origins`.
    centers : ndarray of shape (K, D)
        Centroids of this level.
    first : ndarray of shape (C + 1,)
        First centroid of each cluster of the level above.
    origins : dict
        By cluster of the level above, the point [D] that its fit measured distances from.
    """
    for where, block in rows.parts(AT_ONCE):
        for parent, members in enumerate(members_of(labels[where], len(first) - 1)):
            if parent not in origins or len(members) == 0:
                continue
            part = HostRows(
                X=block if len(members) == len(labels[where]) else block[members],
                n_threads=rows.n_threads,
                model_origin=origins[parent],
            )
            of_parent = centers[first[parent] : first[parent + 1]]
            nearest = part.assign(of_parent, update=False, return_inertia=False).labels
            inside[where.start + members] = first[parent] + nearest
