"""k-means as the start of a mixture: greedy k-means++, then Lloyd's algorithm."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

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
        sums, weights = np.zeros(centers.shape), np.zeros(n_components)
        for _, block, weight in data.blocks():
            assigned = _assign(
                data, block, centers, shift, sample_weight=weight, return_inertia=False
            )
            sums += data.rows.to_host(assigned.sums)
            weights += data.rows.to_host(assigned.weights)
        sums, weights = _relocate(data, centers, shift, sums, weights)
        filled = weights > 0
        means = shift.astype(np.float64) + sums / np.where(filled, weights, 1.0)[:, None]
        before, centers = centers, means.astype(centers.dtype)
        centers[~filled] = before[~filled]
        movement = ((centers.astype(np.float64) - before) ** 2).sum()
        if movement <= TOL * data.moments.variance.mean():
            break
    return centers, shift


def nearest(
    data: MixtureData, block: "ArrayOrTensor", centers: Array, shift: Array
) -> "ArrayOrTensor":
    """Return the label [B] of the nearest centroid of each row of a block, where the block is."""
    return _assign(data, block, centers, shift, update=False, return_inertia=False).labels


def _assign(
    data: MixtureData, block: "ArrayOrTensor", centers: Array, shift: Array, **options: Any
) -> Assigned:
    to_device = data.rows.to_device
    return assign(
        block,
        to_device(centers),
        shift=to_device(shift),
        n_threads=data.rows.n_threads,
        **options,
    )


def _relocate(
    data: MixtureData, centers: Array, shift: Array, sums: Array, weights: Array
) -> tuple[Array, Array]:
    """Return sums and weights with the rows farthest from their centroids in empty clusters."""
    empty = np.flatnonzero(weights == 0)
    if len(empty) == 0:
        return sums, weights
    farthest: list[tuple[float, int, int, Array, float]] = []
    to_host = data.rows.to_host
    for where, block, weight in data.blocks():
        assigned = _assign(data, block, centers, shift, update=False, return_distances=True)
        distances, labels = to_host(assigned.distances), to_host(assigned.labels)
        weight = to_host(weight)
        distances = distances if weight is None else distances * (weight > 0)
        for i in np.argsort(-distances, kind="stable")[: len(empty)].tolist():
            w = 1.0 if weight is None else float(weight[i])
            values = to_host(block[i]).astype(np.float64) - shift
            farthest.append((-distances[i], where.start + i, labels[i], values, w))
    ordered = sorted(farthest)[: len(empty)]  # by distance, then by row
    for k, (distance, _, label, values, w) in zip(empty, ordered, strict=False):
        if distance < 0:
            sums[label] -= w * values
            weights[label] -= w
            sums[k], weights[k] = w * values, w
    return sums, weights
