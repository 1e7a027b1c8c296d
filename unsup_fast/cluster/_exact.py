"""Sums of floating-point numbers without rounding, which do not depend on the order."""

import numpy as np

from unsup_fast.kernels._types import Array

UNIT = 1126  # sums are multiples of 2^-1126, as all float64 numbers with 53 bits are
LOW = 26  # bits of a mantissa that are added up separately, so that doubles hold either sum
AT_ONCE = 1 << 20  # numbers; sums of up to 2^26 are exact


def exact_sum(values: Array) -> int:
    """Return the sum of numbers, which are finite and not negative, times 2^1126.

    Mantissas are whole numbers, and those of equal exponents are added up together.
    """
    total = 0
    flat = values.ravel()
    for start in range(0, len(flat), AT_ONCE):
        part = flat[start : start + AT_ONCE].astype(np.float64, copy=False)
        fractions, exponents = np.frexp(part)
        mantissas = np.ldexp(fractions, 53).astype(np.int64)
        least = int(exponents.min())
        exponents -= least
        high = np.bincount(exponents, weights=mantissas >> LOW)
        low = np.bincount(exponents, weights=mantissas & (1 << LOW) - 1)
        for exponent in np.flatnonzero(high + low).tolist():
            whole = (int(high[exponent]) << LOW) + int(low[exponent])
            total += whole << (exponent + least - 53 + UNIT)
    return total


def rounded(total: int, count: int = 1) -> float:
    """Return a sum of `exact_sum`, over `count`, as the nearest float."""
    return total / (count << UNIT)
