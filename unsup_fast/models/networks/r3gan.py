"""`R3GANGenerator` and `R3GANDiscriminator`: residual networks after Huang et al. 2024 (R3GAN).

The paper's design: bottlenecks of 1 x 1, 3 x 3 and 1 x 1 convolutions without any normalisation,
whose last weights begin at zero and whose others shrink with the depth (Fixup, Zhang et al. 2019);
bilinear resampling; a learned picture of the smallest resolution that latents scale by channel, and
its counterpart in the discriminator. The 3 x 3 convolutions are whole: in groups they are slower on
a CPU at these widths. Classes are as in `adversaries`.
"""

import math
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.models.networks.conv2d import Conv2d
from unsup_fast.models.networks.equalized import EqualizedLinear
from unsup_fast.models.networks.resample import double, halve
from unsup_fast.models.networks.sides import halved

LARGEST_START = 7  # sides that are not halved
SLOPE = 0.2


class Size(NamedTuple):
    """Dimensions of both networks."""

    channels: int
    """Channels at full resolution; they double with each halving."""
    most: int
    """Channels at most."""
    blocks: int
    """Residual blocks of a resolution."""


SIZES = {
    "tiny": Size(16, 64, 1),
    "small": Size(24, 96, 1),
    "base": Size(64, 512, 2),
    "large": Size(96, 768, 2),
}


def stages(shape: tuple[int, ...], size: str) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the sides and the channels of each resolution, from full down."""
    sides = halved(shape[1:], LARGEST_START)
    channels = [min(SIZES[size].most, SIZES[size].channels * 2**i) for i in range(len(sides))]
    return sides, channels


def _conv(a: int, b: int, kernel: int = 1, gain: float = 1.0) -> Conv2d:
    """Return a convolution whose weights have the variance gain^2 / fan in."""
    return Conv2d(a, b, kernel, gain / math.sqrt(a * kernel**2), padding=kernel // 2)


class Block(nn.Module):
    """A residual block: x + conv(act(conv(act(conv(x)))))."""

    def __init__(self, channels: int, n_blocks: int) -> None:
        super().__init__()
        gain = math.sqrt(2 / (1 + SLOPE**2)) * n_blocks**-0.25  # Fixup with three layers
        self.reduce = _conv(channels, channels, 1, gain)
        self.mix = _conv(channels, channels, 3, gain)
        self.expand = _conv(channels, channels, 1, 0.0)
        self.bias1 = nn.Parameter(torch.zeros(channels))
        self.bias2 = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, C, H, W]."""
        h = bias_act(self.reduce(x), self.bias1, slope=SLOPE, gain=1.0)
        h = bias_act(self.mix(h), self.bias2, slope=SLOPE, gain=1.0)
        return cast(Tensor, x + self.expand(h))


class R3GANGenerator(nn.Module):
    """Pictures from latents [B, n_inputs]; values are not bounded.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of a picture.
    n_inputs : int
    size : str
        One of `SIZES`.
    """

    def __init__(self, shape: tuple[int, ...], n_inputs: int, size: str) -> None:
        super().__init__()
        sides, channels = stages(shape, size)
        sides, channels = sides[::-1], channels[::-1]  # from the smallest sides up
        n_blocks = SIZES[size].blocks * len(channels)
        self.basis = nn.Parameter(torch.randn(channels[0], *sides[0]))
        # Of an equalised learning rate: numbers as small as n_inputs**-0.5 Adam brings to zero in
        # some hundred steps, and the generator no longer sees its latents.
        self.scale = EqualizedLinear(n_inputs, channels[0], bias=None)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(width, n_blocks) for _ in range(SIZES[size].blocks)))
            for width in channels
        )
        self.change = nn.ModuleList(_conv(a, b) for a, b in pairwise(channels))
        self.out = _conv(channels[-1], shape[0])

    def forward(self, z: Tensor) -> Tensor:
        """Return pictures [B, C, H, W]."""
        scale = self.scale(z)[:, :, None, None]  # [B, C, 1, 1]
        h = (self.basis * scale).contiguous(memory_format=torch.channels_last)
        for level, blocks in enumerate(self.blocks):
            if level:
                h = double(self.change[level - 1](h))
            h = blocks(h)
        return cast(Tensor, self.out(h))


class R3GANDiscriminator(nn.Module):
    """Features [B, n_features] of pictures.

    Parameters
    ----------
    shape : (int, int, int)
    size : str
        One of `SIZES`.

    Attributes
    ----------
    n_features : int
    """

    def __init__(self, shape: tuple[int, ...], size: str) -> None:
        super().__init__()
        sides, channels = stages(shape, size)
        n_blocks = SIZES[size].blocks * len(channels)
        self.enter = _conv(shape[0], channels[0])
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Block(width, n_blocks) for _ in range(SIZES[size].blocks)))
            for width in channels
        )
        self.change = nn.ModuleList(_conv(a, b) for a, b in pairwise(channels))
        height, width = sides[-1]
        self.basis = nn.Parameter(torch.randn(channels[-1], height, width))
        self.basis.data /= math.sqrt(height * width)
        self.n_features = channels[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, n_features]."""
        h = self.enter(x)
        for level, blocks in enumerate(self.blocks):
            if level:
                h = self.change[level - 1](halve(h))
            h = blocks(h)
        return cast(Tensor, (h * self.basis).sum((2, 3)))
