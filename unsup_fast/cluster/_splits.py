"""The fits of one level of hierarchical k-means: each splits the rows of one cluster."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import numpy as np
from sklearn.utils.random import sample_without_replacement

from unsup_fast._rows.host_rows import HostRows
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster import _init
from unsup_fast.cluster._lloyd import LloydProblem, Run, lloyd
from unsup_fast.cluster._members import Fitted, Members, Sample
from unsup_fast.cluster._passes_of import passes_of
from unsup_fast.kernels._types import Array

ROWS_PER_CLUSTER = 256  # rows that a fit looks at, at most, for each of its clusters


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
    labels_at_end: bool = True
    """Whether fits return the labels of their last centroids: those of the last level only guess
    labels, for which the ones of the last iteration do."""


class Chosen(NamedTuple):
    """The rows of a cluster that a fit looks at."""

    parent: int
    numbers: Array
    """[n] int64: see `Members`."""
    is_sample: bool
    """Whether the cluster has more rows."""
    random_state: np.random.RandomState


def fits(
    rows: Rows, members: Members, shares: Array, seeds: Array, plan: Plan
) -> Iterator[tuple[int, Fitted]]:
    """Fit each cluster's rows, and yield the cluster's index with the result.

    More than `ROWS_PER_CLUSTER` rows for each of its parts are sampled: without replacement by
    ``sample_without_replacement``, in ascending order. Rows that are not in this process's memory
    are taken for as many clusters at once as there is room for.

    Parameters
    ----------
    rows : Rows
    members : Members
        Rows of each of C clusters.
    shares : ndarray of shape (C,)
        Clusters that each is split into; 0 for none.
    seeds : ndarray of shape (C,)
    plan : Plan
    """
    bytes_of_row = rows.n_columns * rows.dtype.itemsize
    sizes = members.sizes
    starts = np.cumsum(sizes) - sizes
    batch: list[Chosen] = []
    taken = 0
    for parent in np.flatnonzero(shares).tolist():
        random_state = np.random.RandomState(seeds[parent])
        size, most = int(sizes[parent]), ROWS_PER_CLUSTER * int(shares[parent])
        if size > most:
            drawn = sample_without_replacement(size, most, random_state=random_state)
            numbers = np.sort(drawn)
        else:
            numbers = np.arange(size)
        if batch and (taken + len(numbers)) * bytes_of_row > members.room:
            yield from _batch(rows, batch, members, shares, plan)
            batch, taken = [], 0
        batch.append(
            Chosen(
                parent=parent,
                numbers=starts[parent] + numbers,
                is_sample=size > most,
                random_state=random_state,
            )
        )
        taken += len(numbers)
    yield from _batch(rows, batch, members, shares, plan)


def _batch(
    rows: Rows, batch: Sequence[Chosen], members: Members, shares: Array, plan: Plan
) -> Iterator[tuple[int, Fitted]]:
    """Take the rows of some clusters at once, and fit them."""
    if len(batch[0].numbers) == rows.n_rows:
        (whole,) = batch
        n_clusters = int(shares[whole.parent])
        yield whole.parent, _fitted(rows, n_clusters, plan, whole.random_state)
        return
    indices = members.rows(np.concatenate([chosen.numbers for chosen in batch]))
    X, weight = rows.take(indices), rows.to_host(rows.sample_weight)
    samples, start = [], 0
    for chosen in batch:
        part = slice(start, start + len(chosen.numbers))
        samples.append(
            Sample(
                X=X[part],
                sample_weight=None if weight is None else weight[indices[part]],
                name=rows.name,
                n_clusters=int(shares[chosen.parent]),
                random_state=chosen.random_state,
            )
        )
        start = part.stop
    fit = partial(fit_sample, plan)
    for chosen, fitted in zip(batch, members.fitted(fit, samples), strict=True):
        yield chosen.parent, fitted._replace(labels=None) if chosen.is_sample else fitted


def fit_sample(plan: Plan, sample: Sample, n_threads: int) -> Fitted:
    """Fit some rows in this process."""
    rows = HostRows(
        X=sample.X, n_threads=n_threads, name=sample.name, sample_weight=sample.sample_weight
    )
    # Of arrays, each kind of rows takes its own.
    return _fitted(cast(Rows, rows), sample.n_clusters, plan, sample.random_state)


def _fitted(rows: Rows, n_clusters: int, plan: Plan, random_state: np.random.RandomState) -> Fitted:
    run = _run(rows, n_clusters, plan, random_state)
    labels = run.labels if isinstance(run.labels, np.ndarray) else None  # or other processes' own
    return Fitted(centers=rows.to_host(run.centers), origin=rows.origin, labels=labels)


def _run(rows: Rows, n_clusters: int, plan: Plan, random_state: np.random.RandomState) -> Run:
    """Make one run of Lloyd's algorithm; raise KeyboardInterrupt on Ctrl-C."""
    problem = LloydProblem(
        passes=passes_of(rows, metric=plan.metric, may_prune=plan.may_prune),
        max_iter=plan.max_iter,
        tol=float(plan.tol * rows.spread().variance.mean()),
        metric=plan.metric,
        tol_inertia=plan.tol_inertia,
        labels_at_end=plan.labels_at_end,
    )
    run = lloyd(problem, _init.start(rows, plan.init, n_clusters, random_state))
    if run.interrupt is not None:
        raise run.interrupt
    return run
