"""`covariance`: mean and scatter of the rows, mergeable, and `gram`, the same seen from the rows.

One pass over the rows: products of columns about a shift near their middle, half of them computed
(SYRK), blocks of 256 rows in the type of X and everything above in float64, merged in a fixed
order; see csrc/covariance. There is no centred copy, nothing cancels far from the origin, and
the result is bitwise the same for any number of threads.

On the tiles of this library the products take half the time of OpenBLAS's ssyrk on Zen 5.
"""

from typing import Any, NamedTuple

import numpy as np

from unsup_fast.kernels import _check, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.covariance import native, portable, ref
from unsup_fast.kernels.moments import moments
from unsup_fast.kernels.origin import median_row, sample_slice

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

SMALL = 2.0**-60  # if no scaled column is larger, the sample misled the scale
SAFE = 0.3  # values within 2**(+-SAFE * maxexp) have squares, and sums of them, in the type's range
WIDE = 1 << 22  # elements of a block of transposed columns


class RangeError(ValueError):
    """Values lie too far from each other for a floating-point type, or their squares do."""


class Covariance(NamedTuple):
    """Sums over rows, in float64. `n_rows` = 0 is the identity of `merge`."""

    n_rows: int
    """How many there are, N."""
    mean: Array
    """[D]"""
    scatter: Array
    """[D, D]: ``(X - mean).T @ (X - mean) / unit**2``, exactly symmetric"""
    first_nonfinite: tuple[int, int] | None
    """Row and column of the first NaN or infinity, and all else is NaN; None if there is none."""
    unit: float = 1.0
    """A power of two, 1 unless squares of the centred rows leave the range of float64."""


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
    shift, max_abs = _shift(X)
    return _scattered(X, shift, max_abs, n_threads, backend)


def _scattered(
    X: Array, shift: Array, max_abs: Array, n_threads: int | None, backend: str | None
) -> Covariance:
    implementations = {
        "native": native.covariance,
        "portable": portable.covariance,
        "ref": ref.covariance,
    }
    run = choose("covariance", implementations, backend)
    n_rows, n_columns = X.shape
    sums, products = np.full(n_columns, np.nan), np.full((n_columns, n_columns), np.nan)
    scale = _scale(max_abs)
    with np.errstate(invalid="ignore", over="ignore"):
        run(X, shift, scale, sums, products, threads.effective(n_threads))
        squares = products.diagonal()
        if not np.isfinite(squares).all() or squares.max() < n_rows * SMALL:
            statistics = moments(X, n_threads=n_threads)
            if statistics.first_nonfinite is not None:
                return Covariance(
                    n_rows, sums * np.nan, products * np.nan, statistics.first_nonfinite
                )
            largest = statistics.max_abs_about(shift)
            scale = _scale(largest.astype(X.dtype))
            run(X, shift, scale, sums, products, threads.effective(n_threads))
        mean = sums / n_rows
        products -= sums[:, None] * sums / n_rows
    if not np.isfinite(products).all():
        raise too_far(X.dtype)
    units = 1 / scale.astype(np.float64)  # [D] powers of two
    unit = unit_of(units[products.diagonal() > 0].max(initial=0.0), np.float64)
    products *= (units / unit)[:, None]
    products *= units / unit
    return Covariance(n_rows, shift + units * mean, products, None, unit)


def too_far(dtype: np.dtype[Any]) -> RangeError:
    """Return the error for rows whose differences overflow."""
    return RangeError(
        f"values of X lie farther from each other than {dtype} can hold; "
        "divide X by its largest magnitude"
    )


def unit_of(largest: float, dtype: Any) -> float:
    """Return what to divide centred rows by, so that squares stay in the range of a type.

    Parameters
    ----------
    largest : float
        Magnitude of the largest value; infinity if it overflows.
    dtype : float32 or float64

    Returns
    -------
    float
        1 where squares are in range, else the power of two next to `largest`.
    """
    most = np.finfo(dtype).maxexp
    exponent = int(np.frexp(largest)[1]) if np.isfinite(largest) else most
    if abs(exponent) <= SAFE * most:
        return 1.0
    return float(np.ldexp(1.0, np.clip(exponent, 2 - most, most - 2)))


def _shift(X: Array) -> tuple[Array, Array]:
    """Return the origin of the rows [D], and the largest deviations from it in a sample [D]."""
    sample = X[sample_slice(len(X))]
    with np.errstate(invalid="ignore", over="ignore"):
        shift = median_row(sample)
        shift[~np.isfinite(shift)] = 0
        return shift, np.abs(sample - shift).max(axis=0)


def _scale(max_abs: Array) -> Array:
    """Return powers of two [D] that bring columns near one; constant columns get the least one."""
    max_abs = np.where(np.isfinite(max_abs), max_abs, 0)
    known = np.where(max_abs > 0, max_abs, max_abs.max())
    exponent = np.where(known > 0, np.frexp(known)[1], 0)
    most = np.finfo(max_abs.dtype).maxexp - 2
    scale: Array = np.ldexp(max_abs.dtype.type(1), np.clip(-exponent, -most, most))
    return scale


def merge(one: Covariance, two: Covariance) -> Covariance:
    """Return the sums over the rows of both (Chan, Golub & LeVeque 1983).

    Parameters
    ----------
    one, two : Covariance
        They have the same columns, and no row is NaN or infinite.

    Raises
    ------
    RangeError
        If the difference of the means overflows.
    """
    if one.n_rows == 0:
        return two
    n_rows, share = one.n_rows + two.n_rows, two.n_rows / (one.n_rows + two.n_rows)
    with np.errstate(over="ignore"):
        difference = two.mean - one.mean  # [D]
        largest = max(np.abs(difference).max(), *(_deviation(part) for part in (one, two)))
    if not np.isfinite(difference).all():
        raise too_far(difference.dtype)
    unit = unit_of(largest, np.float64)
    scaled = difference / unit
    scatter = scaled[:, None] * scaled  # [D, D]
    scatter *= one.n_rows * share
    scatter += _in_unit(one, unit) + _in_unit(two, unit)
    return Covariance(n_rows, one.mean + difference * share, scatter, None, unit)


def _deviation(part: Covariance) -> float:
    """Return the root of the largest sum of squares of a column."""
    return float(np.sqrt(part.scatter.diagonal().max()) * part.unit)


def _in_unit(part: Covariance, unit: float) -> Array:
    """Return the scatter [D, D] in another unit."""
    if part.unit == unit:
        return part.scatter
    ratio = part.unit / unit
    scatter: Array = part.scatter * ratio * ratio
    return scatter


def natural(part: Covariance) -> Covariance:
    """Return the sums with a unit of 1, or raise RangeError if the scatter overflows."""
    if part.unit == 1:
        return part
    with np.errstate(over="ignore"):
        scatter = _in_unit(part, 1.0)
    if not np.isfinite(scatter).all():
        raise RangeError(
            f"the covariance of X overflows {scatter.dtype}; divide X by its largest magnitude"
        )
    return part._replace(scatter=scatter, unit=1.0)


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
        part = _scattered(columns, origin, np.abs(columns).max(axis=0), n_threads, None)
        # About zero, not about the mean of a row's values.
        total += natural(part).scatter + (part.n_rows * part.mean[:, None]) * part.mean
    # The shift is the mean as rounded: what is left of it is subtracted here.
    middle = total.mean(axis=0)  # [N]
    total += middle.mean() - (middle[:, None] + middle)
    return total
