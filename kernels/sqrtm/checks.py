"""Checks of the arguments of `sqrtm`."""

from typing import Any

import numpy as np

from unsup_fast.kernels import _check


def tolerance(tol: float | None, single: bool) -> float:
    """Return `tol`, or the default of float32 (`single`) or float64 for None."""
    if tol is None:
        return 1e-6 if single else 1e-10
    if not 0 < tol < 1:
        raise ValueError(f"tol={tol} must lie between 0 and 1, or be None")
    return tol


def matrix(name: str, value: Any) -> None:
    """Raise unless the value is a matrix of float32 or float64 with columns."""
    if not isinstance(value, np.ndarray) and not _check.is_tensor(value):
        raise TypeError(f"{name} must be a NumPy array or a tensor, got {type(value).__name__}")
    if value.ndim != 2 or value.shape[1] == 0:
        raise ValueError(
            f"{name} must be a matrix with at least one column, got shape {tuple(value.shape)}"
        )
    if str(value.dtype).rpartition(".")[2] not in ("float32", "float64"):
        raise TypeError(f"{name} must be float32 or float64, got {value.dtype}")


def square(name: str, value: Any) -> None:
    """Raise unless the value is such a matrix and square."""
    matrix(name, value)
    if value.shape[0] != value.shape[1]:
        raise ValueError(
            f"{name} must be a square matrix, a covariance, got shape {tuple(value.shape)}; "
            "rows of data are for trace_sqrtm_factors"
        )


def alike(one: str, first: Any, two: str, second: Any) -> None:
    """Raise unless both have one container, type, device and number of columns."""
    if _check.is_tensor(first) != _check.is_tensor(second):
        raise TypeError(f"{one} and {two} must both be arrays or both tensors")
    if first.shape[1] != second.shape[1]:
        raise ValueError(
            f"{one} has {first.shape[1]} columns and {two} {second.shape[1]}; "
            "both must be of the same dimensions"
        )
    if first.dtype != second.dtype:
        raise TypeError(f"{one} is {first.dtype} and {two} {second.dtype}; pass one type")
    if _check.is_tensor(first) and first.device != second.device:
        raise ValueError(
            f"{one} is on {first.device} and {two} on {second.device}; pass one device"
        )
