"""The result of `covariance`, and what keeps squares in the range of its type."""

from typing import Any, NamedTuple

import numpy as np

from unsup_fast.kernels._types import Array

SAFE = 0.3  # values within 2**(+-SAFE * maxexp) have squares, and sums of them, in the type's range


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
