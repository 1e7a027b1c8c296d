"""The compiled `group_norm`, and its gradient."""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _layout
from unsup_fast.kernels._dispatch import compiled

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
        channels = _computed((weight, bias, scale, shift), x)
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
    of_gain, of_shift = (torch.zeros(x.shape[:2], dtype=_arithmetic(x)) for _ in range(2))
    channels = _computed((weight, bias, scale, shift), x)
    if x.numel():
        x = x.contiguous(memory_format=LAST)
        of_out = of_out.to(x.dtype).contiguous(memory_format=LAST)
        tensors = tuple(one.data_ptr() for one in (of_out, of_x, of_gain, of_shift))
        _call(x, groups, channels, eps, silu, 0, tensors, n_threads)
    weight_, bias_, scale_, _ = channels
    more = 1 if scale_ is None else 1 + scale_
    of_scale = of_gain if weight_ is None else of_gain * weight_
    if bias_ is not None:
        of_scale = of_scale + of_shift * bias_
    of_channels = ((of_gain * more).sum(0), (of_shift * more).sum(0), of_scale, of_shift)
    grads = [
        None if one is None else value.to(one.dtype)
        for value, one in zip(of_channels, (weight, bias, scale, shift), strict=True)
    ]
    return of_x, grads[0], grads[1], grads[2], grads[3]


def _arithmetic(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _computed(tensors: Any, x: Tensor) -> list[Tensor | None]:
    """Return tensors in the type of the arithmetic, dense."""
    dtype = _arithmetic(x)
    return [None if one is None else one.detach().to(dtype).contiguous() for one in tensors]


def _call(
    x: Tensor,
    groups: int,
    channels: list[Any],
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
