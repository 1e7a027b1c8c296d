"""The portable `half_to_float`: NumPy's conversion, with NaN made quiet."""

import numpy as np

from unsup_fast.kernels._types import Array

CHUNK = 1 << 16  # values
QUIET = np.uint32(1 << 22)


def half_to_float(bits: Array, out: Array) -> None:
    """Fill `out`, float32, from the bits of float16, uint16."""
    halves, values = bits.reshape(-1).view(np.float16), out.reshape(-1)
    with np.errstate(invalid="ignore"):
        for start in range(0, len(values), CHUNK):
            part = values[start : start + CHUNK]
            part[:] = halves[start : start + CHUNK]
            nan = np.isnan(part)
            if nan.any():
                part.view(np.uint32)[nan] |= QUIET
