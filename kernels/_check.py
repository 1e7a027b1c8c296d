"""Checks that the public functions of the operations share."""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast.kernels._types import Array

if TYPE_CHECKING:
    from torch import Tensor
    from typing_extensions import TypeIs

FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def matrix(name: str, value: Array, dtype: np.dtype[Any] | None = None) -> Array:
    """Return `value` if it is a C-contiguous float32 or float64 matrix, or raise."""
    if not isinstance(value, np.ndarray) or value.ndim != 2:
        raise TypeError(f"{name} must be a 2-D NumPy array, got {_describe(value)}")
    if value.dtype not in FLOATS:
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


def is_tensor(value: object) -> "TypeIs[Tensor]":
    """Return whether `value` is a torch tensor, without importing torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def rows_on_device(X: Any) -> None:
    """Raise unless X is a contiguous float32 or float64 matrix on a GPU that kernels run on."""
    torch = sys.modules["torch"]
    from triton import knobs

    if X.device.type != "cuda" and not knobs.runtime.interpret:
        raise TypeError(f"X is a tensor on device '{X.device}'; pass a CUDA tensor or X.numpy()")
    if X.device.type == "cuda" and torch.cuda.get_device_capability(X.device) < (8, 0):
        name = torch.cuda.get_device_name(X.device)
        raise RuntimeError(f"{name} has no bfloat16 units; pass X.cpu().numpy() to use the CPU")
    if X.ndim != 2 or X.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"X must be a float32 or float64 matrix, got {_describe(X)} of {X.dtype}")
    if X.shape[1] == 0:
        raise ValueError("X has no columns; it must have at least one")
    if not X.is_contiguous():
        raise ValueError("X must be contiguous; pass X.contiguous()")


def tensor(name: str, value: Any, shape: tuple[int, ...], dtype: Any, device: Any) -> None:
    """Raise unless `value` is a contiguous tensor of this shape and type on this device."""
    if not is_tensor(value) or tuple(value.shape) != shape:
        raise ValueError(f"{name} must be a tensor of shape {shape}, got {_describe(value)}")
    if value.dtype != dtype:
        raise TypeError(f"{name} must be {dtype}, got {value.dtype}")
    if value.device != device:
        raise ValueError(f"{name} is on {value.device}; it must be on {device} like X")
    if not value.is_contiguous():
        raise ValueError(f"{name} must be contiguous; pass {name}.contiguous()")


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    if is_tensor(value):
        return f"a tensor of shape {tuple(value.shape)}"
    return type(value).__name__
