"""`half_to_float`: float16 to float32, exactly.

Every number is represented exactly (IEEE 754-2019, 3.4), also below the normal range and whatever
the thread does with subnormals. A NaN keeps its sign and payload and comes out quiet, at each
instruction set.
"""

import numpy as np

from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.half_to_float import native, portable, ref

__all__ = ["half_to_float"]


def half_to_float(X: Array, out: Array, *, backend: str | None = None) -> None:
    """Write the values of X into `out`.

    Parameters
    ----------
    X : C-contiguous ndarray of float16, any shape
        IN
    out : C-contiguous ndarray of float32, shape of X
        OUT
    backend : {"native", "portable", "ref"}, optional
        Implementation; None chooses.

    Raises
    ------
    TypeError, ValueError
        If one of them is not such an array.
    """
    for name, value, dtype in (("X", X, np.float16), ("out", out, np.float32)):
        if not isinstance(value, np.ndarray) or value.dtype != dtype:
            actual = getattr(value, "dtype", type(value).__name__)
            raise TypeError(f"{name} must be an ndarray of {np.dtype(dtype)}, got {actual}")
        if not value.flags.c_contiguous:
            raise ValueError(f"{name} must be C-contiguous; pass numpy.ascontiguousarray({name})")
    if out.shape != X.shape:
        raise ValueError(f"out has shape {out.shape}; it must be {X.shape} like X")
    implementations = {
        "native": native.half_to_float,
        "portable": portable.half_to_float,
        "ref": ref.half_to_float,
    }
    run = choose("half_to_float", implementations, backend)
    run(X.view(np.uint16), out)
