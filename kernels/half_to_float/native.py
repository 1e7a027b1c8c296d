"""The compiled `half_to_float`."""

from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels._types import Array


def half_to_float(bits: Array, out: Array) -> None:
    """Fill `out`, float32, from the bits of float16, uint16."""
    compiled().half_to_float(X=bits, out=out)
