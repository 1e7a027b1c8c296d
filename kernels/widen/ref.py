"""Reference for `widen`: IEEE 754-2019, 3.4, read literally."""

import numpy as np

from unsup_fast.kernels._check import Array


def widen(bits: Array, out: Array) -> None:
    """Fill `out` with the float32 values of the float16 `bits`."""
    given = bits.astype(np.int64)
    sign, exponent, fraction = given >> 15, given >> 10 & 31, given & 1023
    significand = np.where(exponent == 0, fraction, fraction + 1024)
    value = np.ldexp((-1.0) ** sign * significand, np.maximum(exponent, 1) - 25)
    out[...] = value
    special = exponent == 31
    quiet = np.where(fraction != 0, 1 << 22, 0)
    found = sign << 31 | 255 << 23 | fraction << 13 | quiet
    out.view(np.uint32)[special] = found[special]
