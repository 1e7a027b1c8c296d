"""k-means as the start of a mixture: greedy k-means++, then Lloyd's algorithm."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from unsup_fast._rows.protocol import Rows
from unsup_fast._types import Array
from unsup_fast.kernels.assign import Assigned, assign
from unsup_fast.mixture._data import MixtureData

if TYPE_CHECKING:
    from unsup_fast._rows.protocol import ArrayOrTensor

Progress = Callable[[int, int], None]

MAX_ITER, TOL = 300, 1e-4  # of k-means, as scikit-learn's


def kmeans(
    data: MixtureData,
    n_components: int,
    random_state: np.random.RandomState,
    progress: Progress | None,
) -> tuple[Array, Array]:
    """Return centroids [K, D] by greedy k-means++ and Lloyd's algorithm, and the shift [D]."""
    chosen = data.kmeans_plusplus(n_components, random_state, progress)
    centers = np.ascontiguousarray(data.take(chosen))
    shift = data.moments.mean.astype(centers.dtype)
    for _ in range(MAX_ITER):
        sums, weights = data.total(ClusterSums(centers=centers, shift=shift))
        sums, weights = _relocate(data, centers, shift, sums, weights)
        filled = weights > 0
        means = shift.astype(np.float64) + sums / np.where(filled, weights, 1.0)[:, None]
        before, centers = centers, means.astype(centers.dtype)
        centers[~filled] = before[~filled]
        movement = ((centers.astype(np.float64) - before) ** 2).sum()
        if movement <= TOL * data.moments.variance.mean():
            break
    return centers, shift


class Totals(NamedTuple):
    """Sums of the rows of each cluster, less the shift."""

    sums: Array
    """[K, D] float64"""
    weights: Array
    """[K] float64"""


@dataclass(frozen=True, kw_only=True)
class ClusterSums:
    """Sums of the rows that are nearest to each centroid."""

    centers: Array
    """[K, D]"""
    shift: Array
    """[D]"""

    max_rows = None

    def of_rows(
        self,
        rows: Rows,
        block: "ArrayOrTensor",
        weight: "ArrayOrTensor | None",
        first: int,
    ) -> Totals:
        """Return the sums of a block."""
        assigned = _assign(
            rows, block, self.centers, self.shift, sample_weight=weight, return_inertia=False
        )
        to_host = rows.to_host
        return Totals(sums=to_host(assigned.sums), weights=to_host(assigned.weights))

    def merge(self, one: Totals, two: Totals) -> Totals:
        """Return the sums over both."""
        return Totals(sums=one.sums + two.sums, weights=one.weights + two.weights)


class Farthest(NamedTuple):
    """A row far from its centroid; they are in order of distance, then of rows."""

    minus_distance: float
    row: int
    label: int
    values: Array
    """[D] float64, less the shift"""
    weight: float


@dataclass(frozen=True, kw_only=True)
class FarthestRows:
    """The rows farthest from their centroids."""

    centers: Array
    """[K, D]"""
    shift: Array
    """[D]"""
    count: int

    max_rows = None

    def of_rows(
        self,
        rows: Rows,
        block: "ArrayOrTensor",
        weight: "ArrayOrTensor | None",
        first: int,
    ) -> list[Farthest]:
        """Return the farthest of a block."""
        assigned = _assign(
            rows, block, self.centers, self.shift, update=False, return_distances=True
        )
        to_host = rows.to_host
        distances, labels = to_host(assigned.distances), to_host(assigned.labels)
        weight = to_host(weight)
        distances = distances if weight is None else distances * (weight > 0)
        return [
            Farthest(
                minus_distance=-float(distances[i]),
                row=first + i,
                label=int(labels[i]),
                values=to_host(block[i]).astype(np.float64) - self.shift,
                weight=1.0 if weight is None else float(weight[i]),
            )
            for i in np.argsort(-distances, kind="stable")[: self.count].tolist()
        ]

    def merge(self, one: list[Farthest], two: list[Farthest]) -> list[Farthest]:
        """Return the farthest of both."""
        return sorted([*one, *two], key=lambda far: far[:2])[: self.count]


def _assign(
    rows: Rows, block: "ArrayOrTensor", centers: Array, shift: Array, **options: Any
) -> Assigned:
    to_device = rows.to_device
    return assign(
        block,
        to_device(centers),
        shift=to_device(shift),
        n_threads=rows.n_threads,
        **options,
    )


def _relocate(
    data: MixtureData, centers: Array, shift: Array, sums: Array, weights: Array
) -> tuple[Array, Array]:
    """Return sums and weights with the rows farthest from their centroids in empty clusters."""
    empty = np.flatnonzero(weights == 0)
    if len(empty) == 0:
        return sums, weights
    farthest = data.total(FarthestRows(centers=centers, shift=shift, count=len(empty)))
    for k, (distance, _, label, values, w) in zip(empty, farthest, strict=False):
        if distance < 0:
            sums[label] -= w * values
            weights[label] -= w
            sums[k], weights[k] = w * values, w
    return sums, weights
