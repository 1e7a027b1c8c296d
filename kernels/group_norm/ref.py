"""Reference for `group_norm`: the formulas in float64, rounded once."""

import torch
from torch import Tensor

IMAGE = (2, 3)  # H, W


def group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    eps: float,
    silu: bool,
) -> Tensor:
    """Return [B, C, H, W] of the type of x."""
    u, _ = normalised(x.double(), groups, eps)
    weight, bias, scale, shift = columns(weight, bias, scale, shift)
    v = (u * weight + bias) * (1 + scale) + shift
    return (v * torch.sigmoid(v) if silu else v).to(x.dtype)


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
) -> list[Tensor | None]:
    """Return the gradients with respect to x, weight, bias, scale and shift; None of None."""
    inputs = (x, weight, bias, scale, shift)
    u, spread = normalised(x.double(), groups, eps)
    weight, bias, scale, shift = columns(weight, bias, scale, shift)
    affine = u * weight + bias
    v = affine * (1 + scale) + shift
    s = torch.sigmoid(v)
    of_v = of_out.double() * (s * (1 + v * (1 - s)) if silu else 1)
    of_u = of_v * weight * (1 + scale)
    tilted = u * means(of_u * u, groups)
    grads = (
        (of_u - means(of_u, groups) - tilted) / spread,
        (of_v * u * (1 + scale)).sum(dim=(0, *IMAGE)),
        (of_v * (1 + scale)).sum(dim=(0, *IMAGE)),
        (of_v * affine).sum(dim=IMAGE),
        of_v.sum(dim=IMAGE),
    )
    return [
        None if one is None else value.to(one.dtype)
        for value, one in zip(grads, inputs, strict=True)
    ]


def means(x: Tensor, groups: int) -> Tensor:
    """Return each element's mean over its group, [B, C, H, W]."""
    shape = (len(x), groups, x.shape[1] // groups, *x.shape[2:])  # [B, groups, C / groups, H, W]
    each = x.reshape(shape)
    return each.mean(dim=(2, 3, 4), keepdim=True).expand_as(each).flatten(1, 2)


def normalised(x: Tensor, groups: int, eps: float) -> tuple[Tensor, Tensor]:
    """Return u and sqrt(var + eps), [B, C, H, W] each."""
    centered = x - means(x, groups)
    spread = (means(centered.square(), groups) + eps).sqrt()
    return centered / spread, spread


def columns(
    weight: Tensor | None, bias: Tensor | None, scale: Tensor | None, shift: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return them as float64 [B or 1, C, 1, 1], neutral where there is none."""
    one, zero = (torch.full((1,), value, dtype=torch.float64) for value in (1, 0))
    weight, bias, scale, shift = (
        (without if value is None else value.double())[..., None, None]
        for value, without in ((weight, one), (bias, zero), (scale, zero), (shift, zero))
    )
    return weight, bias, scale, shift
