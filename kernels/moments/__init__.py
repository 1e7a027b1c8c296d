"""`moments`: mean, variance, minimum and maximum of every column, and the first non-finite value.

One pass over the rows. Each chunk of rows is summed in float64 about its first row and the
chunks are merged pairwise in a fixed order (Chan, Golub & LeVeque 1983), so there is no
cancellation far from the origin and the result is bitwise the same for any number of threads.
Variances divide by N.

`merge` puts the moments of parts together. Minima and maxima are exact, so how rows are cut into
parts does not show in them, nor in the bounds that are computed from them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.moments import native, ref

__all__ = ["Moments", "merge", "moments"]


EPS = np.finfo(np.float64).eps


def _numba(*arguments: Any) -> int:
    from unsup_fast.kernels.moments import numba_

    return numba_.moments(*arguments)


class Moments(NamedTuple):
    """Column statistics."""

    mean: Array
    """float64 [D]"""
    variance: Array
    """float64 [D], divided by N"""
    first_nonfinite: tuple[int, int] | None
    """Row and column of the first NaN or infinity; None if all values are finite."""
    minimum: Array
    """float64 [D]"""
    maximum: Array
    """float64 [D]"""

    @property
    def max_abs_deviation(self) -> Array:
        """A bound [D], float64, of the distance of the values from the mean."""
        return self.max_abs_about(self.mean) * (1 + 4 * EPS)

    def max_abs_about(self, point: Array) -> Array:
        """Return the largest rounded distance [D], float64, of the values from a point [D]."""
        with np.errstate(over="ignore"):  # infinity is a bound
            bound: Array = np.maximum(self.maximum - point, point - self.minimum)
        return bound


def moments(X: Array, *, n_threads: int | None = None, backend: str | None = None) -> Moments:
    """Return mean, variance, minimum and maximum of every column of X.

    Parameters
    ----------
    X : C-contiguous ndarray of shape (N, D), N >= 1, float32 or float64
    n_threads : int, optional
        Threads to run; None for all.
    backend : {"native", "numba", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    Moments
        If a value is not finite, all four are NaN.

    Raises
    ------
    TypeError, ValueError
        If X is not such a matrix.
    """
    _check.matrix("X", X)
    n_rows, n_columns = X.shape
    if n_rows == 0:
        raise ValueError("X has no rows; moments need at least one")
    mean, variance, minimum, maximum = np.full((4, n_columns), np.nan)
    implementations = {"native": native.moments, "numba": _numba, "ref": ref.moments}
    run = choose("moments", implementations, backend)
    first = run(X, mean, variance, minimum, maximum, threads.effective(n_threads))
    first_nonfinite = None if first < 0 else divmod(first, n_columns)
    # The native merge begins at zero, so the squares of columns above 1e154 are 0 x infinity.
    lost = np.flatnonzero(np.isnan(variance) & np.isfinite(minimum))
    if first_nonfinite is None and len(lost) > 0:
        with np.errstate(over="ignore"):
            variance[lost] = ((X[:, lost] - mean[lost]) ** 2).mean(axis=0)
    return Moments(
        mean=mean,
        variance=variance,
        first_nonfinite=first_nonfinite,
        minimum=minimum,
        maximum=maximum,
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
    minimum, maximum = first.minimum, first.maximum
    with np.errstate(over="ignore", invalid="ignore"):  # callers that need the variance check it
        for n_rows, part in parts[1:]:
            difference, total = part.mean - mean, count + n_rows
            mean = mean + difference * (n_rows / total)
            squares = squares + part.variance * n_rows + difference**2 * (count * n_rows / total)
            count = total
            minimum = np.minimum(minimum, part.minimum)
            maximum = np.maximum(maximum, part.maximum)
    return Moments(
        mean=mean,
        variance=squares / count,
        first_nonfinite=None,
        minimum=minimum,
        maximum=maximum,
    )
