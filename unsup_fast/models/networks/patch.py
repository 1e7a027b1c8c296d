"""`PatchDiscriminator`: scores of overlapping patches of a picture (Isola et al. 2017, PatchGAN).

Convolutions of 4 x 4 pixels: up to three that halve the sides and double the channels, one more at
stride 1, and one to the map of scores, each of which sees 70 x 70 pixels after three halvings.
There are no batch norms, so no score depends on another picture.
"""

from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.models.networks.conv2d import Conv2d

KERNEL = 4
MOST_HALVINGS = 3
SMALLEST = 4  # side before the last two convolutions, of which each takes one pixel
NARROWEST, WIDEST = 16, 64  # channels of the first layer
STD = 0.02  # of weights at first
SLOPE = 0.2


def layout(sides: tuple[int, ...]) -> tuple[int, int]:
    """Return the number of halvings and the channels of the first layer for pictures.

    They are halved while the shorter side stays at 4 pixels or more. The channels are as many as
    the shorter side has pixels, from 16 to 64.

    Raises
    ------
    ValueError
        If a side is shorter than 4 pixels.
    """
    shorter = min(sides)
    if shorter < SMALLEST:
        raise ValueError(
            f"sides {' x '.join(map(str, sides))} are too short for patches; pass pictures with "
            f"sides of at least {SMALLEST}"
        )
    fitting = (n for n in range(MOST_HALVINGS, -1, -1) if shorter >> n >= SMALLEST)
    return next(fitting), min(WIDEST, max(NARROWEST, shorter))


class PatchDiscriminator(nn.Module):
    """Maps of scores [B, 1, h, w] of pictures [B, C, H, W].

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of a picture; larger pictures have larger maps.

    Raises
    ------
    ValueError
        If a side is shorter than 4 pixels.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        n_halvings, width = layout(shape[1:])
        channels = [shape[0], *(width * 2**level for level in range(n_halvings + 1))]
        self.convolutions = nn.ModuleList(
            Conv2d(a, b, KERNEL, STD, stride=2 if level < n_halvings else 1, padding=1)
            for level, (a, b) in enumerate(pairwise(channels))
        )
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(b)) for b in channels[1:])
        self.out = Conv2d(channels[-1], 1, KERNEL, STD, padding=1)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return scores [B, 1, h, w]."""
        for convolution, bias in zip(self.convolutions, self.biases, strict=True):
            x = bias_act(convolution(x), bias, slope=SLOPE, gain=1.0)
        return cast(Tensor, self.out(x) + self.bias[:, None, None])
