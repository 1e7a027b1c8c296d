"""What `group_norm` takes for each channel, and its gradients from two sums for each."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Channels: TypeAlias = Sequence[Tensor | None]
"""weight [C], bias [C], scale [B, C], shift [B, C]."""


def arithmetic(x: Tensor) -> torch.dtype:
    """Return the type that images are computed in."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def computed(channels: Channels, x: Tensor) -> list[Tensor | None]:
    """Return tensors in the type of the arithmetic, dense."""
    dtype = arithmetic(x)
    return [None if one is None else one.detach().to(dtype).contiguous() for one in channels]


def gradients(
    channels: Channels, values: Channels, of_gain: Tensor, of_shift: Tensor
) -> list[Tensor | None]:
    """Return the gradients of `channels`, None for None, in their types.

    `values` are those of `computed`; of_gain and of_shift [B, C] are the sums over the image of the
    gradient of v times u, and of that of v.
    """
    weight, bias, scale, _ = values
    more = 1 if scale is None else 1 + scale
    of_scale = of_gain if weight is None else of_gain * weight
    if bias is not None:
        of_scale = of_scale + of_shift * bias
    of_channels = ((of_gain * more).sum(0), (of_shift * more).sum(0), of_scale, of_shift)
    return [
        None if one is None else value.to(one.dtype)
        for value, one in zip(of_channels, channels, strict=True)
    ]
