"""Layers of an equalised learning rate, and the two normalisations that came with them.

Karras et al. 2018 (ProgressiveGAN): weights are stored as standard normal numbers and multiplied by
their He constant in each call, so that Adam moves all of them at one relative rate.
"""

import math

import torch
from torch import Tensor, nn

from unsup_fast.models.networks.conv2d import conv2d

EPS = 1e-8


class EqualizedLinear(nn.Module):
    """x W^T gain / sqrt(inputs) + b, with W from N(0, 1) / multiplier.

    Parameters
    ----------
    inputs, outputs : int
    gain : float
        sqrt(2) before a rectifier.
    multiplier : float
        Relative learning rate of the layer, such as 0.01 in StyleGAN's mapping network.
    bias : float, optional
        Value of all biases at first; None for no biases.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        gain: float = 1.0,
        multiplier: float = 1.0,
        bias: float | None = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / multiplier)
        self.bias = (
            None if bias is None else nn.Parameter(torch.full((outputs,), bias / multiplier))
        )
        self.scale, self.multiplier = gain * multiplier / math.sqrt(inputs), multiplier

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs] for x [B, inputs]."""
        y = x @ (self.weight * self.scale).T
        return y if self.bias is None else y + self.bias * self.multiplier


class EqualizedConv2d(nn.Module):
    """A convolution without bias by W gain / sqrt(fan in), with W from N(0, 1).

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Odd; sides stay the same.
    gain : float
        sqrt(2) before a rectifier.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, gain: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.scale, self.padding = gain / math.sqrt(inputs * kernel**2), kernel // 2

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H, W] for x [B, inputs, H, W]."""
        return conv2d(x, self.weight * self.scale, padding=self.padding)


def pixel_norm(x: Tensor) -> Tensor:
    """Return x [B, C, ...] divided by the root mean square over its channels."""
    return x * (x.square().mean(1, keepdim=True) + EPS).rsqrt()


def append_minibatch_std(x: Tensor, group: int = 4) -> Tensor:
    """Append a channel: the mean standard deviation over a group of samples, [B, C + 1, H, W].

    Samples i, i + B / group, ... are a group, so that a discriminator sees how much they differ.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W)
    group : int
        Samples of a group at most; the largest divisor of B up to it is taken.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))  # differences are small
    batch, _, height, width = x.shape
    size = next(n for n in range(min(group, batch), 0, -1) if batch % n == 0)
    groups = x.unflatten(0, (size, batch // size))  # [size, B / size, C, H, W]
    # torch's var takes ten times as long over a dimension whose elements are not neighbors
    variance = (groups - groups.mean(0)).square().mean(0)  # [B / size, C, H, W]
    deviation = (variance + EPS).sqrt()
    one = deviation.flatten(1).mean(1)  # [B / size]
    plane = one.repeat(size)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x, plane], 1)
