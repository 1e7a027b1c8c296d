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
from unsup_fast._rows.centroids import cheapest
from unsup_fast._rows.directions import COST
from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._centers import centers_of
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
    """Rows among clusters of about equal size."""

    penalties: Array
    """[K] float64, in squared distances; the least is 0."""
    labels: Array
    """[N] int32."""
    sizes: Array
    """[K] int64: rows of each cluster."""
    inertia: float
    """Sum of the squared distances of the rows to their centroids."""


def check(balance: float | None, sample_weight: Any, rows: Rows) -> None:
    """Raise ValueError if such rows cannot be balanced."""
    if balance is None:
        return
    if sample_weight is not None:
        raise ValueError(
            "balance counts rows, so it is not available with sample_weight; leave one of them out"
        )
    if isinstance(rows, FleetRows):
        raise ValueError("balance is not available with an engine; leave one of them out")
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
    labels, squared = rows.nearest(centers, min(MOST, len(centers)))
    assert squared is not None
    most = largest_size(len(labels), len(centers), estimator.balance)
    result = balanced(labels, squared, len(centers), most)
    estimator._penalties = result.penalties
    estimator.labels_ = rows.to_user(result.labels)
    estimator.cluster_sizes_ = rows.to_user(result.sizes)
    estimator.inertia_ = COST[estimator.metric] * result.inertia
    if result.sizes.max() > most:
        warnings.warn(
            f"balance={estimator.balance} was not reached in {ROUNDS} rounds: the largest cluster "
            f"has {estimator.largest_ratio_:.3f} times the mean size. Rows choose among their "
            f"{min(MOST, len(centers))} nearest centroids; pass a larger balance, or other "
            "n_clusters.",
            ConvergenceWarning,
            stacklevel=5,
        )


def largest_size(n_rows: int, n_clusters: int, balance: float) -> int:
    """Return how many rows a cluster may have; never so few that not all rows fit."""
    return max(-(-n_rows // n_clusters), math.floor(balance * n_rows / n_clusters))


def balanced(labels: Array, squared: Array, n_clusters: int, most: int) -> Balanced:
    """Raise the penalties of large clusters until none has more than `most` rows, or 200 times.

    Parameters
    ----------
    labels : int32 ndarray of shape (N, m)
        Nearest centroids of each row.
    squared : ndarray of shape (N, m)
        Their squared distances.
    n_clusters : int
    most : int
    """
    mean = len(labels) / n_clusters
    step = _typical_gap(squared)
    penalties, best = np.zeros(n_clusters), None
    for number in range(ROUNDS):
        chosen = cheapest(labels, squared, penalties)[:, None]  # [N, 1]
        own = np.take_along_axis(labels, chosen, axis=1)[:, 0]  # [N]
        sizes = np.bincount(own, minlength=n_clusters)
        if best is None or sizes.max() < best.sizes.max():
            cost = np.take_along_axis(squared, chosen, axis=1).sum(dtype=np.float64)
            best = Balanced(penalties=penalties, labels=own, sizes=sizes, inertia=float(cost))
        if sizes.max() <= most:
            break
        rise = step / math.sqrt(1 + number / SLOWER)
        penalties = penalties + rise * np.log(np.maximum(sizes, 0.5) / mean)
        penalties -= penalties.min()
    assert best is not None
    return best


def _typical_gap(squared: Array) -> float:
    """Return the median gap between the two least squared distances of a row, or their mean."""
    gap = 0.0
    if squared.shape[1] > 1:
        gap = float(np.median(squared[:, 1] - squared[:, 0]))
    return gap if gap > 0 else float(squared.mean(dtype=np.float64)) or 1.0
