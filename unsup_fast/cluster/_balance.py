"""Clusters of about equal size, by penalties on the nearest centroids of each row.

Tavenard, Jégou & Amsaleg, "Balancing clusters to reduce response time variability in large scale
image search", CBMI 2011: a row goes to the centroid of least squared distance plus penalty, and
penalties rise with the size of a cluster until the sizes fit. Here the step is the logarithm of a
cluster's size over the mean size, in units of the typical gap between the two nearest centroids.
"""

import math
import warnings
from typing import Any, NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from unsup_fast._rows import arrays, scaling
from unsup_fast._rows.directions import COST
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._centers import centers_of
from unsup_fast.cluster._choices import Choices, HostChoices
from unsup_fast.cluster._fleet_choices import FleetChoices
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.nearest import MOST

ROUNDS = 200
SLOWER = 10  # rounds after which steps are 1 / sqrt(2) as long


class Sizes:
    """How unequal the sizes of the clusters of an estimator are."""

    cluster_sizes_: Any

    @property
    def imbalance_(self) -> float:
        """K times the sum of the squared sizes, over N squared: 1 for clusters of equal size."""
        sizes = arrays.on_host(self.cluster_sizes_).astype(np.float64)
        return float(len(sizes) * (sizes**2).sum() / sizes.sum() ** 2)

    @property
    def largest_ratio_(self) -> float:
        """Size of the largest cluster over the mean size."""
        sizes = arrays.on_host(self.cluster_sizes_)
        return float(sizes.max() * len(sizes) / sizes.sum())


class Balanced(NamedTuple):
    """Penalties that make clusters of about equal size."""

    penalties: Array
    """[K] float64, in squared distances; the least is 0."""
    sizes: Array
    """[K] int64: rows of each cluster."""


def check(balance: float | None, sample_weight: Any, rows: Rows) -> None:
    """Raise ValueError if such rows cannot be balanced."""
    if balance is None:
        return
    if sample_weight is not None:
        raise ValueError(
            "balance counts rows, so it is not available with sample_weight; leave one of them out"
        )
    if rows.device is not None:
        raise ValueError(
            f"balance is computed on the CPU, and {rows.name} is on {rows.device}; pass "
            f"{rows.name} in CPU memory and device='cpu'"
        )


def balance(estimator: Any, rows: Rows) -> None:
    """Balance the clusters of an estimator that was just fitted to these rows.

    Labels, sizes and inertia become those of the balanced clusters. If the sizes do not fit after
    200 rounds, those of the round with the smallest largest cluster remain, and a
    ConvergenceWarning says so.
    """
    centers = scaling.applied(estimator, centers_of(estimator), "cluster_centers_")
    n_clusters, top = len(centers), min(MOST, len(centers))
    most = largest_size(rows.n_rows, n_clusters, estimator.balance)
    if isinstance(rows, FleetRows):
        choices = FleetChoices(rows, centers, top)
        result = balanced(choices, rows.n_rows, n_clusters, most)
        inertia = choices.inertia(result.penalties)
    else:
        labels, squared = rows.nearest(centers, top)
        assert squared is not None
        here = HostChoices(labels, squared)
        result = balanced(here, rows.n_rows, n_clusters, most)
        inertia = here.inertia(result.penalties)
        estimator.labels_ = rows.to_user(here.labels(result.penalties))
    estimator._penalties = result.penalties
    estimator.cluster_sizes_ = rows.to_user(result.sizes)
    estimator.inertia_ = COST[estimator.metric] * inertia
    if result.sizes.max() > most:
        warnings.warn(
            f"balance={estimator.balance} was not reached in {ROUNDS} rounds: the largest cluster "
            f"has {estimator.largest_ratio_:.3f} times the mean size. Rows choose among their "
            f"{top} nearest centroids; pass a larger balance, or other n_clusters.",
            ConvergenceWarning,
            stacklevel=5,
        )


def largest_size(n_rows: int, n_clusters: int, balance: float) -> int:
    """Return how many rows a cluster may have; never so few that not all rows fit."""
    return max(-(-n_rows // n_clusters), math.floor(balance * n_rows / n_clusters))


def balanced(choices: Choices, n_rows: int, n_clusters: int, most: int) -> Balanced:
    """Raise the penalties of large clusters until none has more than `most` rows, or 200 times.

    Parameters
    ----------
    choices : Choices
    n_rows, n_clusters : int
    most : int
    """
    mean = n_rows / n_clusters
    step = choices.median_gap() or choices.mean() or 1.0
    penalties, best = np.zeros(n_clusters), None
    for number in range(ROUNDS):
        sizes = choices.sizes(penalties)
        if best is None or sizes.max() < best.sizes.max():
            best = Balanced(penalties=penalties, sizes=sizes)
        if sizes.max() <= most:
            break
        rise = step / math.sqrt(1 + number / SLOWER)
        penalties = penalties + rise * np.log(np.maximum(sizes, 0.5) / mean)
        penalties -= penalties.min()
    assert best is not None
    return best
