"""`moments`: mean, variance and largest deviation of every column, and the first non-finite value.

One pass over the rows. Each chunk of rows is summed in float64 about its first row and the
chunks are merged pairwise in a fixed order (Chan, Golub & LeVeque 1983), so there is no
cancellation far from the origin and the result is bitwise the same for any number of threads.
Variances divide by N.

`merge` puts the moments of parts together. Bounds of the values are merged exactly, by minimum and
maximum, so how parts are grouped does not show in them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.moments import native, ref

__all__ = ["Moments", "merge", "moments"]


EPS = np.finfo(np.float64).eps


class Moments(NamedTuple):
    """Column statistics."""

    mean: Array
    """float64 [D]"""
    variance: Array
    """float64 [D], divided by N"""
    first_nonfinite: tuple[int, int] | None
    """Row and column of the first NaN or infinity; None if all values are finite."""
    max_abs_deviation: Array
    """float64 [D]: a bound of the distance of the values from the mean"""
    limits: tuple[Array, Array] | None = None
    """Of merged moments: lower and upper bound of the values, each float64 [D]"""

    def max_abs_about(self, point: Array) -> Array:
        """Return a bound [D], float64, of the distance of the values from a point [D]."""
        bound: Array
        if self.limits is None:
            bound = self.max_abs_deviation + np.abs(self.mean - point)
        else:
            low, high = self.limits
            bound = np.maximum(high - point, point - low)
        return bound


def moments(X: Array, *, n_threads: int | None = None, backend: str | None = None) -> Moments:
    """Return mean, variance and largest deviation of every column of X.

    Parameters
    ----------
    X : C-contiguous ndarray of shape (N, D), N >= 1, float32 or float64
    n_threads : int, optional
        Threads to run; None for all.
    backend : {"native", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    Moments
        If a value is not finite, all three are NaN.

    Raises
    ------
    TypeError, ValueError
        If X is not such a matrix.
    """
    _check.matrix("X", X)
    n_rows, n_columns = X.shape
    if n_rows == 0:
        raise ValueError("X has no rows; moments need at least one")
    mean = np.full(n_columns, np.nan)
    variance = np.full(n_columns, np.nan)
    max_abs_deviation = np.full(n_columns, np.nan)
    run = choose("moments", {"native": native.moments, "ref": ref.moments}, backend)
    first = run(X, mean, variance, max_abs_deviation, threads.effective(n_threads))
    first_nonfinite = None if first < 0 else divmod(first, n_columns)
    # The native merge begins at zero, so the squares of columns above 1e154 are 0 x infinity.
    lost = np.flatnonzero(np.isnan(variance) & np.isfinite(max_abs_deviation))
    if first_nonfinite is None and len(lost) > 0:
        with np.errstate(over="ignore"):
            variance[lost] = ((X[:, lost] - mean[lost]) ** 2).mean(axis=0)
    return Moments(
        mean=mean,
        variance=variance,
        first_nonfinite=first_nonfinite,
        max_abs_deviation=max_abs_deviation,
    )


def merge(parts: Sequence[tuple[int, Moments]]) -> Moments:
    """Return the moments of all rows from those of parts, merged in order.

    Parameters
    ----------
    parts : sequence of (int, Moments)
        Number of rows of each part, at least 1, and their moments, all finite. Those of a single
        part are returned unchanged.
    """
    if len(parts) == 1:
        return parts[0][1]
    count, first = parts[0]
    mean, squares = first.mean, first.variance * count
    low, high = _limits(first)
    with np.errstate(over="ignore", invalid="ignore"):  # callers that need the variance check it
        for n_rows, part in parts[1:]:
            difference, total = part.mean - mean, count + n_rows
            mean = mean + difference * (n_rows / total)
            squares = squares + part.variance * n_rows + difference**2 * (count * n_rows / total)
            count = total
            part_low, part_high = _limits(part)
            low, high = np.minimum(low, part_low), np.maximum(high, part_high)
    return Moments(
        mean=mean,
        variance=squares / count,
        first_nonfinite=None,
        max_abs_deviation=np.maximum(high - mean, mean - low) * (1 + 4 * EPS),
        limits=(low, high),
    )


def _limits(moments: Moments) -> tuple[Array, Array]:
    """Return a lower and an upper bound of the values; those of a constant column are its value."""
    if moments.limits is not None:
        return moments.limits
    mean, deviation = moments.mean, moments.max_abs_deviation
    with np.errstate(over="ignore"):  # infinity is a bound
        low = np.where(deviation > 0, np.nextafter(mean - deviation, -np.inf), mean)
        high = np.where(deviation > 0, np.nextafter(mean + deviation, np.inf), mean)
    return low, high
