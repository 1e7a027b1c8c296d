"""`moments`: mean, variance and largest deviation of every column, and the first non-finite value.

One pass over the rows. Each chunk of rows is summed in float64 about its first row and the
chunks are merged pairwise in a fixed order (Chan, Golub & LeVeque 1983), so there is no
cancellation far from the origin and the result is bitwise the same for any number of threads.
Variances divide by N.
"""

from typing import NamedTuple

import numpy as np

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.moments import native, ref

__all__ = ["Moments", "moments"]


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
