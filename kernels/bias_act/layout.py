"""How the operations of GANs lay out their tensors, and the type that they compute in."""

import torch
from torch import Tensor


def arithmetic(x: Tensor) -> torch.dtype:
    """Return the type that tensors are computed in."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def last(x: Tensor) -> Tensor:
    """Return a tensor [B, C] row by row, or [B, C, H, W] channels-last, copied if it is not."""
    return x.contiguous(memory_format=_format(x))


def new_like(x: Tensor) -> Tensor:
    """Return such a tensor, to be filled."""
    return torch.empty_like(x, memory_format=_format(x))


def _format(x: Tensor) -> torch.memory_format:
    return torch.channels_last if x.ndim == 4 else torch.contiguous_format
