"""Seeds and streams of the noise that an operation draws."""

from collections.abc import Sequence
from numbers import Integral
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from unsup_fast.kernels._types import Array

Seed: TypeAlias = int | Sequence[int] | Array | Tensor | None


def seeds(seed: Seed, x: Tensor) -> tuple[int | None, Tensor | None]:
    """Return one seed for all samples, as a signed 64-bit number, or int64 seeds [B]."""
    if seed is None:
        return None, None
    if type(seed) is int or (isinstance(seed, Integral) and not isinstance(seed, bool)):
        if not 0 <= int(seed) < 1 << 64:
            raise ValueError(f"seed={seed} must be between 0 and 2**64 - 1")
        return _signed(int(seed)), None
    if not isinstance(seed, torch.Tensor):
        seed = _listed(seed)
    if seed.dtype != torch.int64:
        raise TypeError(f"seed must be an int or int64, one a sample; got {seed.dtype}")
    if seed.shape != x.shape[:1]:
        raise ValueError(
            f"seed has shape {tuple(seed.shape)}; pass an int or one for each of {len(x)} samples"
        )
    return None, seed.to(x.device).contiguous()


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _listed(seed: object) -> Tensor:
    if not isinstance(seed, Sequence | np.ndarray) or isinstance(seed, str):
        raise TypeError(f"seed must be an int or one int a sample, got {type(seed).__name__}")
    for value in seed:
        if not isinstance(value, Integral) or isinstance(value, bool):
            raise TypeError(f"seed must hold integers, got {value!r}")
        if not 0 <= int(value) < 1 << 64:
            raise ValueError(f"seed={value} must be between 0 and 2**64 - 1")
    return torch.tensor([_signed(int(value)) for value in seed], dtype=torch.int64)


def stream(value: object) -> int:
    """Return a stream's number as a signed 64-bit number, or raise."""
    if type(value) is not int and (not isinstance(value, Integral) or isinstance(value, bool)):
        raise TypeError(f"stream={value!r} must be an integer between 0 and 2**64 - 1")
    if not 0 <= int(value) < 1 << 64:
        raise ValueError(f"stream={value} must be between 0 and 2**64 - 1")
    return _signed(int(value))


def reference_normals(x: Tensor, seed: int | None, seeds: Tensor | None, stream: int) -> Tensor:
    """Return the normals that an operation draws for x, not yet rounded to a half type."""
    from unsup_fast.kernels.randn import randn

    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    number = seeds if seed is None else seed % (1 << 64)
    normals: Tensor = randn(
        tuple(x.shape), seed=number, stream=stream % (1 << 64), dtype=dtype, device=x.device
    )
    return normals
