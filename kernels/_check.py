"""Checks that the public functions of the operations share."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def matrix(name: str, value: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """Return `value` if it is a C-contiguous float32 or float64 matrix, or raise."""
    if not isinstance(value, np.ndarray) or value.ndim != 2:
        raise TypeError(f"{name} must be a 2-D NumPy array, got {_describe(value)}")
    if value.dtype not in (np.float32, np.float64):
        raise TypeError(f"{name} must be float32 or float64, got {value.dtype}")
    if value.shape[1] == 0:
        raise ValueError(f"{name} has no columns; it must have at least one")
    if dtype is not None and value.dtype != dtype:
        raise TypeError(f"{name} must be {dtype} like X, got {value.dtype}")
    if not value.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous; pass numpy.ascontiguousarray({name})")
    return value


def vector(name: str, value: Array, length: int, dtype: Any) -> Array:
    """Return `value` if it is a contiguous vector of this length and type, or raise."""
    if not isinstance(value, np.ndarray) or value.shape != (length,):
        raise ValueError(
            f"{name} must be a NumPy array of shape ({length},), got {_describe(value)}"
        )
    if value.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)}, got {value.dtype}")
    if not value.flags.c_contiguous:
        raise ValueError(f"{name} must be contiguous; pass numpy.ascontiguousarray({name})")
    return value


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    return type(value).__name__
