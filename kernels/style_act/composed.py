"""`style_act` and its gradients by `bias_act` and torch: on the CPU, and for second derivatives."""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.kernels.bias_act.layout import arithmetic, last, new_like
from unsup_fast.kernels.bias_act.torch_ import derivative

PART = 1 << 18
"""Elements of pictures whose gradient is computed at a time, so that terms remain in the cache."""


def style_act(
    x: Tensor,
    scale: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> Tensor:
    """Return [B, C, H, W] of the type of x, channels-last."""
    kind = arithmetic(x)
    v = last(x).to(kind)
    factors = None if scale is None else scale.to(kind)[:, :, None, None]  # [B, C, 1, 1]
    if noise is not None:
        one = noise.to(kind)[:, None]  # [B, 1, H, W]
        one = one if strength is None else one * strength.to(kind)
        v = one + v if factors is None else torch.addcmul(one, v, factors)
    elif factors is not None:
        v = v * factors
    out = bias_act(v, bias, slope=slope, gain=gain, n_threads=n_threads, backend=backend)
    return out.to(x.dtype)


def gradient(
    of_out: Tensor,
    out: Tensor,
    x: Tensor | None,
    scale: Tensor | None,
    of_noise: bool,
    of_bias: bool,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return of_x, of_scale [B, C] if there is x, sums over channels [B, H, W], and of_bias [C].

    of_x has the type of out, the others that of the arithmetic; the last two are None unless asked
    for. All have gradients with respect to of_out, x and scale.
    """
    kind = arithmetic(out)
    h, sums = derivative(
        of_out.to(kind), None, out.to(kind), of_bias, slope, gain, n_threads, backend
    )
    of_x = h if scale is None else h * scale.to(kind)[:, :, None, None]
    return (
        of_x.to(out.dtype),
        None if x is None else (h * x.to(kind)).sum((2, 3)),
        h.sum(1) if of_noise else None,
        sums if of_bias else None,
    )


def gradient_by_parts(
    of_out: Tensor, out: Tensor, x: Tensor | None, scale: Tensor | None, *options: Any
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return what `gradient` does, without a graph, from a few pictures at a time."""
    size = max(1, PART * len(out) // max(1, out.numel()))  # pictures of a part
    if len(out) <= size:
        return gradient(of_out, out, x, scale, *options)
    of_x = new_like(out)
    of_scale, of_noise, of_bias = list[Tensor](), list[Tensor](), list[Tensor]()
    for start in range(0, len(out), size):
        rows = slice(start, start + size)
        part = gradient(
            of_out[rows],
            out[rows],
            None if x is None else x[rows],
            None if scale is None else scale[rows],
            *options,
        )
        of_x[rows] = part[0]
        for parts, one in zip((of_scale, of_noise, of_bias), part[1:], strict=True):
            if one is not None:
                parts.append(one)
    kind = arithmetic(out)
    return (
        of_x,
        torch.cat(of_scale) if of_scale else None,  # [B, C]
        torch.cat(of_noise) if of_noise else None,  # [B, H, W]
        torch.stack(of_bias).sum(0, dtype=torch.float64).to(kind) if of_bias else None,  # [C]
    )
