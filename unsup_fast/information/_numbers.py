"""Arguments as arrays or tensors of one type, and results of that type."""

import math
import sys
from functools import reduce
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast._types import Array, ArrayLike, Numbers, is_tensor

if TYPE_CHECKING:
    from torch import Tensor


def library(x: "Array | Tensor") -> Any:
    """Return the module whose functions work on `x`: torch or NumPy."""
    return sys.modules["torch"] if is_tensor(x) else np


def numbers(**arguments: ArrayLike) -> list[Any]:
    """Return the arguments as arrays, or all as tensors if one is, of one floating type.

    Raises
    ------
    TypeError
        If one holds anything but real numbers.
    ValueError
        If tensors are on different devices, or sparse.
    """
    if any(is_tensor(value) for value in arguments.values()):
        return _tensors(arguments)
    arrays = {name: _array(name, value) for name, value in arguments.items()}
    types = [arrays[name].dtype for name in arguments if hasattr(arguments[name], "dtype")]
    floating = [dtype for dtype in types if dtype.kind == "f"]
    wide = np.result_type(np.float32, *floating) if floating else np.dtype(np.float64)
    if wide.itemsize > 8:
        wide = np.dtype(np.float64)
    return [array.astype(wide, copy=False) for array in arrays.values()]


def _array(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value)
    if array.dtype.kind not in "buif":
        raise TypeError(f"{name} holds {array.dtype}; pass real numbers")
    return array


def _tensors(arguments: dict[str, Any]) -> list[Any]:
    torch = sys.modules["torch"]
    devices = {value.device for value in arguments.values() if is_tensor(value)}
    if len(devices) > 1:
        where = ", ".join(f"{name} on {v.device}" for name, v in arguments.items() if is_tensor(v))
        raise ValueError(f"tensors are on different devices ({where}); move them to one")
    device = devices.pop()
    tensors, floating = [], []
    for name, value in arguments.items():
        if is_tensor(value):
            if value.layout != torch.strided:
                raise ValueError(f"{name} is of layout {value.layout}; pass {name}.to_dense()")
            if value.is_complex():
                raise TypeError(f"{name} holds {value.dtype}; pass real numbers")
            tensor = value
        else:
            tensor = torch.as_tensor(_array(name, value))
        if hasattr(value, "dtype") and tensor.is_floating_point():
            floating.append(tensor.dtype)
        tensors.append(tensor)
    wide = reduce(torch.promote_types, floating, torch.float32) if floating else torch.float64
    return [tensor.to(device=device, dtype=wide) for tensor in tensors]


def precision(value: ArrayLike) -> float:
    """Return the distance from 1 to the next number of the type of an argument."""
    if is_tensor(value):
        return float(library(value).finfo(value.dtype).eps) if value.is_floating_point() else 0.0
    dtype = getattr(value, "dtype", None)
    kind = dtype.kind if isinstance(dtype, np.dtype) else ""
    return float(np.finfo(dtype).eps) if dtype is not None and kind == "f" else 0.0


def first(wrong: "Array | Tensor") -> tuple[int, ...]:
    """Return the index of the first true entry."""
    where = library(wrong).argwhere(wrong)[0]
    return tuple(int(i) for i in where)


def at(name: str, index: tuple[int, ...]) -> str:
    """Return what a user would write for an entry."""
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def wide(x: Numbers) -> Numbers:
    """Return `x` in float64, where its device has that."""
    if not is_tensor(x):
        return x.astype(np.float64, copy=False)
    return x if x.device.type == "mps" else x.double()


def total(x: Numbers, axis: int | tuple[int, ...], *, keepdims: bool = False) -> Numbers:
    """Return sums over axes, added up in float64 where the device has that."""
    if not is_tensor(x):
        added: Array = x.sum(axis=axis, dtype=np.float64, keepdims=keepdims)
        return added
    torch = library(x)
    dtype = x.dtype if x.device.type == "mps" else torch.float64
    sums: Tensor = torch.sum(x, axis, keepdim=keepdims, dtype=dtype)
    return sums


def result(nats: Numbers, base: float | None, dtype: Any) -> Any:
    """Return a measure in the unit of `base` and of the arguments' type."""
    value = nats / unit(base) + 0.0  # -0 becomes 0
    return value.to(dtype) if is_tensor(value) else value.astype(dtype)[()]


def unit(base: float | None) -> float:
    """Return how many nats the unit of `base` is.

    Raises
    ------
    ValueError
        If `base` is no number above 1.
    """
    if base is None:
        return 1.0
    if not isinstance(base, Real) or not 1 < base < math.inf:
        raise ValueError(f"base={base!r} is no base; pass 2 for bits, 10, or None for nats")
    return math.log(base)
