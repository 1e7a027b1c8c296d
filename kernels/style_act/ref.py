"""Reference for `style_act`: the formulas in float64, rounded once."""

import torch
from torch import Tensor


def style_act(
    x: Tensor,
    scale: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    slope: float,
    gain: float,
) -> Tensor:
    """Return gain leaky_relu(x scale + noise strength + bias), of the type and shape of x."""
    v = x.double()
    if scale is not None:
        v = v * scale.double()[:, :, None, None]
    if noise is not None:
        one = noise.double()[:, None]  # [B, 1, H, W]
        v = v + (one if strength is None else one * strength.double())
    if bias is not None:
        v = v + bias.double()[:, None, None]
    return (gain * torch.where(v > 0, v, slope * v)).to(x.dtype)


def gradient(
    of_out: Tensor,
    out: Tensor,
    x: Tensor | None,
    scale: Tensor | None,
    slope: float,
    gain: float,
) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
    """Return of_x, of_scale [B, C] if there is x, sums over channels [B, H, W], and of_bias [C].

    of_x has the type and shape of out, and the others are float64.
    """
    g = of_out.double()
    h = gain * torch.where(out > 0, g, slope * g)
    of_x = h if scale is None else h * scale.double()[:, :, None, None]
    of_scale = None if x is None else (h * x.double()).sum((2, 3))
    return of_x.to(out.dtype), of_scale, h.sum(1), h.sum((0, 2, 3))
