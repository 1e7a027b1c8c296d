"""Reference for `bias_act`: the formulas in float64, rounded once."""

import torch
from torch import Tensor


def bias_act(x: Tensor, bias: Tensor | None, slope: float, gain: float) -> Tensor:
    """Return gain leaky_relu(x + bias), of the type and shape of x."""
    v = shifted(x, bias)
    return (gain * torch.where(v > 0, v, slope * v)).to(x.dtype)


def gradient(
    of_out: Tensor, shift: Tensor | None, out: Tensor, slope: float, gain: float
) -> tuple[Tensor, Tensor]:
    """Return of_x = gain (1 or slope, by the sign of out) (of_out + shift), and its sums.

    of_x has the type and shape of out; the sums over all but the channels are float64 [C].
    """
    v = shifted(of_out, shift)
    of_x = gain * torch.where(out > 0, v, slope * v)
    sums = of_x.sum([0, *range(2, of_x.ndim)])  # [C]
    return of_x.to(out.dtype), sums


def shifted(x: Tensor, bias: Tensor | None) -> Tensor:
    """Return x [B, C, ...] + bias [C] in float64."""
    x = x.double()
    return x if bias is None else x + bias.double().view(-1, *[1] * (x.ndim - 2))
