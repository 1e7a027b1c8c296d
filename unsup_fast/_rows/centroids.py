"""The centroids of a fitted model, and how rows are measured from them."""

from dataclasses import dataclass

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast._rows.directions import COST
from unsup_fast._rows.protocol import Rows
from unsup_fast.kernels._types import Array


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
        """Return the nearest centroid of each row, [N] int32, where the rows are."""
        rows, centers = self.measured(rows)
        return rows.assign(rows.to_device(centers), update=False, return_inertia=False).labels

    def nearest(self, rows: Rows, top: int) -> tuple[Array, Array]:
        """Return the nearest centroids [N, m] of each row, and their distances by the metric."""
        rows, centers = self.measured(rows)
        labels, squared = rows.nearest(centers, top)
        assert squared is not None
        distances = np.sqrt(squared) if self.metric == "euclidean" else COST["cosine"] * squared
        return labels, distances
