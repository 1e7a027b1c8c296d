"""Covariances of parts put together, and their unit."""

import numpy as np

from unsup_fast.kernels._types import Array
from unsup_fast.kernels.covariance.result import Covariance, RangeError, too_far, unit_of


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
