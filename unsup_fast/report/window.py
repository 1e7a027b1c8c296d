"""The part of a plane that a picture shows, with one scale for both axes."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

WIDTH, HEIGHT = 760, 520
"""Size of the largest picture, in units of the SVG."""
LEAST_HEIGHT = 150
"""Height of a picture whose rows lie nearly on a line: room for the centroids' numbers."""
PAD = 14
QUANTILE = 1e-3
"""Rows farther out than this quantile of an axis do not widen the window."""
ROOM = 0.06


class Window(NamedTuple):
    """A rectangle of the plane, and the height of its picture.

    A unit of either axis has the same length on the picture, so that distances, angles and
    ellipses look as they are.
    """

    low: Array
    """Lower left corner, [2]."""
    high: Array
    """Upper right corner, [2]."""
    height: int
    """Height of the picture, in units of the SVG, `PAD` on either side included."""

    def positions(self, points: Array) -> Array:
        """Return points [M, 2] as shares of the window; those outside are moved to its edge."""
        shares: Array = np.clip((points - self.low) / (self.high - self.low), 0, 1)
        return shares

    def inside(self, line: Array) -> Array:
        """Return a line [M, 2] as shares of the window, with NaN where it leaves the window."""
        shares = (line - self.low) / (self.high - self.low)
        shares[((shares < 0) | (shares > 1)).any(axis=1)] = np.nan
        return shares

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in the units of the rows."""
        width, height = (self.high - self.low).tolist()
        return width, height


def around(points: Array, *more: Array) -> Window:
    """Return the window of nearly all points and of all that must be seen with them.

    Parameters
    ----------
    points : ndarray of shape (S, 2)
        Rows; few far outside do not count.
    *more : ndarrays of shape (M, 2)
        Centroids, for instance; all count.
    """
    corners = np.quantile(points, [QUANTILE, 1 - QUANTILE], axis=0)
    seen = np.concatenate([corners, *more])  # [M, 2]
    low, high = seen.min(axis=0), seen.max(axis=0)
    extent = (1 + 2 * ROOM) * (high - low)  # [2]
    if not extent.any():
        extent += np.abs(seen).max() or 1.0
    inner = np.array([WIDTH, HEIGHT]) - 2 * PAD
    scale = (extent / inner).max()  # units of the rows in a unit of the SVG
    height = max(LEAST_HEIGHT - 2 * PAD, int(np.ceil(extent[1] / scale)))
    height = min(height, int(inner[1]))
    half = 0.5 * scale * np.array([inner[0], height])
    middle = 0.5 * (low + high)
    return Window(low=middle - half, high=middle + half, height=height + 2 * PAD)
