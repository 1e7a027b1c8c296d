"""Checks that operations on a batch of samples, a torch tensor of shape (B, ...), share."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch

from unsup_fast.kernels import _check

TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def batch(name: str, value: Any) -> None:
    """Raise unless `value` is a tensor [B, ...] of a type the operations know."""
    if not _check.is_tensor(value):
        raise TypeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if value.dtype not in TYPES:
        raise TypeError(
            f"{name} must be float32, float64, bfloat16 or float16, got {value.dtype}; "
            f"pass {name}.float()"
        )
    if value.ndim == 0:
        raise ValueError(f"{name} has no dimension; it must have shape (B, ...): one row a sample")


def like(name: str, value: Any, x: Any, x_name: str) -> None:
    """Raise unless `value` is a tensor of the shape, type and device of `x`."""
    if not _check.is_tensor(value):
        raise TypeError(f"{name} must be a torch tensor like {x_name}, got {type(value).__name__}")
    if value.shape != x.shape:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; it must be {tuple(x.shape)} like {x_name}"
        )
    if value.dtype != x.dtype:
        raise TypeError(f"{name} must be {x.dtype} like {x_name}, got {value.dtype}")
    if value.device != x.device:
        raise ValueError(f"{name} is on {value.device}; it must be on {x.device} like {x_name}")


def seeds(seed: Any, x: Any) -> tuple[int | None, Any]:
    """Return one seed for all samples, as a signed 64-bit number, or int64 seeds [B]."""
    if seed is None:
        return None, None
    if isinstance(seed, Integral) and not isinstance(seed, bool):
        if not 0 <= seed < 1 << 64:
            raise ValueError(f"seed={seed} must be between 0 and 2**64 - 1")
        return _signed(int(seed)), None
    if not _check.is_tensor(seed):
        seed = _listed(seed)
    if seed.dtype != torch.int64:
        raise TypeError(f"seed must be an int or int64, one a sample; got {seed.dtype}")
    if seed.shape != x.shape[:1]:
        raise ValueError(
            f"seed has shape {tuple(seed.shape)}; pass an int or one for each of {len(x)} samples"
        )
    return None, seed.to(x.device)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _listed(seed: Any) -> Any:
    if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str):
        raise TypeError(f"seed must be an int or one int a sample, got {type(seed).__name__}")
    for value in seed:
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"seed must hold integers, got {value!r}")
        if not 0 <= value < 1 << 64:
            raise ValueError(f"seed={value} must be between 0 and 2**64 - 1")
    return torch.tensor([_signed(int(value)) for value in seed], dtype=torch.int64)


def stream(value: Any) -> int:
    """Return a stream's number as a signed 64-bit number, or raise."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"stream={value!r} must be an integer between 0 and 2**64 - 1")
    if not 0 <= value < 1 << 64:
        raise ValueError(f"stream={value} must be between 0 and 2**64 - 1")
    return _signed(int(value))


def reference_normals(x: Any, seed: int | None, seeds: Any, stream: int) -> Any:
    """Return the normals that an operation draws for x, not yet rounded to a half type."""
    from unsup_fast.kernels.randn import randn

    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    number = seeds if seed is None else seed % (1 << 64)
    return randn(
        tuple(x.shape), seed=number, stream=stream % (1 << 64), dtype=dtype, device=x.device
    )
