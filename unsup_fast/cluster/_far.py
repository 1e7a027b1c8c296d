"""The rows farthest from their centroids, which empty clusters are moved to."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from unsup_fast._rows.directions import rounding
from unsup_fast._rows.host_rows import dense
from unsup_fast._rows.protocol import Rows
from unsup_fast.kernels._types import Array


class Far(NamedTuple):
    """Rows, the farthest first, and of equals the first row."""

    distances: Array
    """[M] float64, squared; 0 where a row lies on its centroid."""
    indices: Array
    """[M] int64: the rows."""
    labels: Array
    """[M] int32."""
    values: Array
    """[M, D] float64: the rows less their shift."""
    weights: Array
    """[M] float64, all positive."""


def farthest(
    rows: Rows, metric: str, centers: Array, labels: Any, count: int, first: int = 0
) -> Far:
    """Return the `count` rows with weight that are farthest from their centroids.

    Parameters
    ----------
    rows : Rows
    metric : {"euclidean", "cosine"}
    centers : ndarray of shape (K, D)
    labels : ndarray or tensor of shape (N,)
        Of these centroids, where the rows are.
    count : int
    first : int
        Number of the first row, which is added to `indices`.
    """
    assigned = rows.assign(
        rows.to_device(centers),
        labels=labels,
        labels_current=True,
        update=False,
        return_distances=True,
    )
    distances: Array = rows.to_host(assigned.distances).astype(np.float64)  # [N]
    labels, sample_weight = rows.to_host(labels), rows.to_host(rows.sample_weight)
    if metric == "cosine":  # the direction of equal rows may differ from them by rounding
        distances[distances <= rounding(rows) ** 2] = 0
    if sample_weight is not None:
        distances[sample_weight == 0] = -1
    least = max(0.0, _largest(distances, count))
    candidates = np.flatnonzero(distances >= least)
    indices = candidates[np.argsort(-distances[candidates], kind="stable")[:count]]  # [M]
    values = dense(rows.take(indices)).astype(np.float64)  # [M, D]
    if rows.shift is not None:
        values -= rows.origin.astype(np.float64)
    return Far(
        distances=distances[indices],
        indices=indices + first,
        labels=labels[indices],
        values=values,
        weights=np.ones(len(indices)) if sample_weight is None else sample_weight[indices],
    )


def merged(parts: Sequence[Far], count: int) -> Far:
    """Return the `count` farthest rows of those of parts."""
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.lexsort((columns[1], -columns[0]))[:count]
    return Far(*(column[order] for column in columns))


def _largest(values: Array, number: int) -> float:
    """Return the value that so many are at least as large as, or the smallest."""
    index = max(0, len(values) - number)
    return float(np.partition(values, index)[index])
