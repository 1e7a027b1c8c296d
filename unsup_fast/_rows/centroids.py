"""The centroids of a fitted model, and how rows are measured from them."""

from dataclasses import dataclass

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast._rows.directions import COST
from unsup_fast._rows.protocol import Rows
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.nearest import MOST


@dataclass(frozen=True, kw_only=True)
class Centroids:
    """All that the labels of further rows depend on."""

    centers: Array
    """[K, D], in the units of the rows."""
    origin: Array
    """[D]: the point that distances are measured from."""
    scale: Array | None
    """[D]: what columns are divided by; None if they are not."""
    metric: str
    """"euclidean", or "cosine", for which rows are brought to unit length."""
    penalties: Array | None = None
    """[K] float64: what is added to the squared distances of balanced clusters; None for none."""

    def measured(self, rows: Rows) -> tuple[Rows, Array]:
        """Return rows as they are compared with centroids, and the centroids, of one type.

        The type is the wider one of the two, so nothing is rounded.
        """
        if self.scale is not None:
            rows = rows.divided(self.scale)
        rows = rows.normalized() if self.metric == "cosine" else rows.in_memory()
        rows = rows.about(self.origin)
        wide = np.result_type(rows.dtype, self.centers.dtype)
        centers = np.ascontiguousarray(self.centers, dtype=wide)
        if self.scale is not None:
            centers = scaling.divided(centers, self.scale, name="cluster_centers_")
        return rows.astype(wide), centers

    def labels(self, rows: Rows) -> Array:
        """Return the cluster of each row, [N] int32, where the rows are."""
        return labels_of(*self.measured(rows), self.penalties)

    def nearest(self, rows: Rows, top: int) -> tuple[Array, Array]:
        """Return the nearest centroids [N, m] of each row, and their distances by the metric."""
        rows, centers = self.measured(rows)
        labels, squared = rows.nearest(centers, top)
        assert squared is not None
        distances = np.sqrt(squared) if self.metric == "euclidean" else COST["cosine"] * squared
        return labels, distances


def labels_of(rows: Rows, centers: Array, penalties: Array | None) -> Array:
    """Return the cluster of each row, [N] int32, where the rows are.

    Parameters
    ----------
    rows : Rows
    centers : ndarray of shape (K, D), type of X
        As `Centroids.measured` returns them.
    penalties : ndarray of shape (K,), float64, or None
        Those of `Centroids`.
    """
    if penalties is None:
        return rows.assign(rows.to_device(centers), update=False, return_inertia=False).labels
    labels, squared = rows.nearest(centers, min(MOST, len(centers)))
    assert squared is not None
    chosen = cheapest(labels, squared, penalties)[:, None]
    balanced: Array = np.take_along_axis(labels, chosen, axis=1)[:, 0]
    return balanced


def cheapest(labels: Array, squared: Array, penalties: Array) -> Array:
    """Return which of the nearest centroids has the least squared distance plus penalty, [N].

    Parameters
    ----------
    labels, squared : ndarray of shape (N, m)
        Nearest centroids and their squared distances; the first of equals is chosen.
    penalties : ndarray of shape (K,), float64
    """
    column: Array = (squared + penalties[labels]).argmin(axis=1)
    return column
