"""The passes that suit some rows."""

import numpy as np

from unsup_fast._rows.protocol import Rows
from unsup_fast.cluster._fleet_passes import FleetPasses
from unsup_fast.cluster._host_passes import HostPasses
from unsup_fast.cluster._passes import LazyLabels, Passes
from unsup_fast.distributed._rows import FleetRows
from unsup_fast.kernels._types import Array


def passes_of(
    rows: Rows,
    *,
    metric: str,
    scale: Array | None = None,
    may_prune: bool = False,
    guess: Array | LazyLabels | None = None,
) -> Passes:
    """Return passes over rows in memory, in blocks, in other processes or on a device.

    Parameters
    ----------
    rows : Rows
    metric : {"euclidean", "cosine"}
        With "cosine", rows are of unit length.
    scale : ndarray of shape (D,), optional
        What the columns of the rows were divided by.
    may_prune : bool
        Whether bounds may rule centroids out; for arrays in memory.
    guess : ndarray of shape (N,), int32, optional
        A near centroid of each row among the first ones, or -1: speeds bounds up. Of a fleet's rows
        those of the last level, which holders have.
    """
    if rows.device is not None:
        from unsup_fast.cluster._device_passes import DevicePasses

        return DevicePasses(rows, metric=metric, scale=scale)
    if isinstance(rows, FleetRows):
        guessed = guess is not None
        return FleetPasses(rows, metric=metric, scale=scale, may_prune=may_prune, guessed=guessed)
    assert guess is None or isinstance(guess, np.ndarray)
    return HostPasses(rows, metric=metric, scale=scale, may_prune=may_prune, guess=guess)
