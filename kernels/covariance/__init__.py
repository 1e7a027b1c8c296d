"""`covariance`: mean and scatter of the rows, mergeable, and `gram`, the same seen from the rows.

One pass over the rows: products of columns about a shift near their middle, half of them computed
(SYRK), blocks of 256 rows in the type of X and everything above in float64, merged in a fixed
order; see csrc/covariance. There is no centred copy, nothing cancels far from the origin, and
the result is bitwise the same for any number of threads.

On the tiles of this library the products take half the time of OpenBLAS's ssyrk on Zen 5.
"""

import numpy as np

from unsup_fast.kernels import _check
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.covariance.merging import merge, natural
from unsup_fast.kernels.covariance.result import Covariance, RangeError, too_far, unit_of
from unsup_fast.kernels.covariance.scatter import scattered, shift_of

__all__ = [
    "Covariance",
    "RangeError",
    "covariance",
    "gram",
    "merge",
    "natural",
    "too_far",
    "unit_of",
]

WIDE = 1 << 22  # elements of a block of transposed columns


def covariance(X: Array, *, n_threads: int | None = None, backend: str | None = None) -> Covariance:
    """Return mean and scatter of the rows of X.

    Parameters
    ----------
    X : C-contiguous ndarray of shape (N, D), N >= 1, float32 or float64
    n_threads : int, optional
        Threads to run; None for all.
    backend : {"native", "portable", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    Covariance
        The error of an entry (j, k) of the scatter is at most ``520 u sum_i |x_ij| |x_ik|``,
        u being the unit roundoff of X's type and x its values less the shift.

    Raises
    ------
    TypeError, ValueError
        If X is not such a matrix.
    RangeError
        If a difference of two of its values overflows its type.
    """
    _check.matrix("X", X)
    if len(X) == 0:
        raise ValueError("X has no rows; a covariance needs at least one")
    shift, max_abs = shift_of(X)
    return scattered(X, shift, max_abs, n_threads, backend)


def gram(X: Array, mean: Array, *, unit: float = 1.0, n_threads: int | None = None) -> Array:
    """Return the inner products [N, N] of the centred rows, for X with more columns than rows.

    Parameters
    ----------
    X : C-contiguous ndarray of shape (N, D), finite, float32 or float64
    mean : ndarray of shape (D,), float64
        Mean of the rows.
    unit : float
        A power of two, as `unit_of` returns for float64.
    n_threads : int, optional

    Returns
    -------
    ndarray of shape (N, N), float64
        ``(X - mean) @ (X - mean).T / unit**2``. Of X, 32 MiB of columns at most are copied at a
        time.
    """
    _check.matrix("X", X)
    n_rows, n_columns = X.shape
    _check.vector("mean", mean, n_columns, np.float64)
    shift = mean.astype(X.dtype)  # [D]
    total = np.zeros((n_rows, n_rows))
    origin = np.zeros(n_rows, X.dtype)
    step = max(1, WIDE // n_rows)
    for start in range(0, n_columns, step):
        chunk = slice(start, start + step)
        columns = np.ascontiguousarray((X[:, chunk] - shift[chunk]).T)  # [step, N]
        if unit != 1:
            columns /= X.dtype.type(unit)
        part = scattered(columns, origin, np.abs(columns).max(axis=0), n_threads, None)
        # About zero, not about the mean of a row's values.
        total += natural(part).scatter + (part.n_rows * part.mean[:, None]) * part.mean
    # The shift is the mean as rounded: what is left of it is subtracted here.
    middle = total.mean(axis=0)  # [N]
    total += middle.mean() - (middle[:, None] + middle)
    return total
