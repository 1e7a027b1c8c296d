"""Reference for `half_to_float`: IEEE 754-2019, 3.4, read literally."""

import numpy as np

from unsup_fast.kernels._types import Array


def half_to_float(bits: Array, out: Array) -> None:
    """Fill `out` with the float32 values of the float16 `bits`."""
    half = bits.astype(np.int64)
    sign, exponent, fraction = half >> 15, half >> 10 & 31, half & 1023
    significand = np.where(exponent == 0, fraction, fraction + 1024)
    value = np.ldexp((-1.0) ** sign * significand, np.maximum(exponent, 1) - 25)
    out[...] = value
    special = exponent == 31
    quiet = np.where(fraction != 0, 1 << 22, 0)
    single = sign << 31 | 255 << 23 | fraction << 13 | quiet
    out.view(np.uint32)[special] = single[special]
