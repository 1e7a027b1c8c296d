"""The compiled `group_norm`, and its gradient."""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _layout
from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels.group_norm.channels import Channels, arithmetic, computed, gradients

LAST = torch.channels_last


def group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    eps: float,
    silu: bool,
    n_threads: int | None,
) -> Tensor:
    """Return [B, C, H, W] of the type of x, channels-last."""
    out = torch.empty_like(x, memory_format=LAST)
    if x.numel():
        x = x.contiguous(memory_format=LAST)
        channels = computed((weight, bias, scale, shift), x)
        _call(x, groups, channels, eps, silu, out.data_ptr(), None, n_threads)
    return out


def gradient(
    of_out: Tensor,
    x: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    eps: float,
    silu: bool,
    n_threads: int | None,
) -> tuple[Any, Any, Any, Any, Any]:
    """Return the gradients with respect to x, weight, bias, scale and shift; None for None."""
    of_x = torch.empty_like(x, memory_format=LAST)
    of_gain, of_shift = (torch.zeros(x.shape[:2], dtype=arithmetic(x)) for _ in range(2))
    channels = (weight, bias, scale, shift)
    values = computed(channels, x)
    if x.numel():
        x = x.contiguous(memory_format=LAST)
        of_out = of_out.to(x.dtype).contiguous(memory_format=LAST)
        tensors = tuple(one.data_ptr() for one in (of_out, of_x, of_gain, of_shift))
        _call(x, groups, values, eps, silu, 0, tensors, n_threads)
    grads = gradients(channels, values, of_gain, of_shift)
    return of_x, grads[0], grads[1], grads[2], grads[3]


def _call(
    x: Tensor,
    groups: int,
    channels: Channels,
    eps: float,
    silu: bool,
    out: int,
    gradient: tuple[int, ...] | None,
    n_threads: int | None,
) -> None:
    compiled().group_norm(
        element=_batch.TYPES.index(x.dtype),
        shape=_layout.shape_of(x),
        groups=groups,
        eps=eps,
        silu=silu,
        channels=[0 if one is None else one.data_ptr() for one in channels],
        x=x.data_ptr(),
        out=out,
        gradient=gradient,
        n_threads=_batch.threads_for(x, n_threads),
    )
