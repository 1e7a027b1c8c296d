"""`Mixing` and `Head`: fixed random projections of feature maps, and discriminators of them.

Sauer et al. 2021 (Projected GAN), sections 3.2 and 3.3: random 1 x 1 convolutions mix the channels
of each map, then, from deep to shallow, random 3 x 3 convolutions and bilinear upsampling mix the
scales, so that a discriminator cannot look at a few features of the network alone. Each map has a
small discriminator, whose scores are those of positions. It has no batch norms, which would mix
samples.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.models.networks.conv2d import Conv2d, conv2d
from unsup_fast.models.networks.resize import resize

LARGEST_SCORES = 4  # sides that are not halved
SLOPE = 0.2
WIDTHS = {"tiny": 8, "small": 16, "base": 32, "large": 64}
"""Channels of the first mixed map, of each size; they double with each scale."""


def widths(size: str, n_scales: int) -> list[int]:
    """Return the channels of each mixed map."""
    return [WIDTHS[size] * 2**i for i in range(n_scales)]


class Mixing(nn.Module):
    """Random mixing of channels and scales, whose weights are buffers and never change.

    Parameters
    ----------
    channels : sequence of int
        Channels of the maps, from the largest one down.
    widths : sequence of int
        Channels of the mixed maps.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.n_scales = len(channels)
        for i, (inputs, outputs) in enumerate(zip(channels, widths, strict=True)):
            self.register_buffer(f"channels{i}", _kaiming(outputs, inputs, 1))
        for i, (outputs, inputs) in enumerate(pairwise(widths)):
            self.register_buffer(f"scales{i}", _kaiming(outputs, inputs, 3))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return a mixed map [B, widths[i], H_i, W_i] for each map [B, channels[i], H_i, W_i]."""
        mixed = [conv2d(x, self.get_buffer(f"channels{i}")) for i, x in enumerate(maps)]
        for i in reversed(range(self.n_scales - 1)):
            deep = conv2d(mixed[i + 1], self.get_buffer(f"scales{i}"), padding=1)
            sides = mixed[i].shape[2:]
            mixed[i] = mixed[i] + _resized(deep, sides)
        return mixed


class Head(nn.Module):
    """Scores [B, n_scores] of a map [B, channels, *sides] and classes [B].

    Strided convolutions halve the sides while both are above 4; every position that is left has a
    score.

    Parameters
    ----------
    channels : int
    sides : (int, int)
    width : int
        Channels inside.
    n_classes : int
        0 for none.
    conditioning : {"projection", "concat"}
        As in `adversaries`, at every position.

    Attributes
    ----------
    n_scores : int
    """

    def __init__(
        self,
        channels: int,
        sides: tuple[int, int],
        width: int,
        n_classes: int,
        conditioning: str,
    ) -> None:
        super().__init__()
        projects = conditioning == "projection"
        self.project = nn.Embedding(n_classes, width) if n_classes and projects else None
        self.append: nn.Embedding | None = None
        self.sides = sides
        if n_classes and not projects:
            self.append, channels = nn.Embedding(n_classes, math.prod(sides)), channels + 1
        layers = [_conv(channels, width, 3, 1)]
        while min(sides) > LARGEST_SCORES:
            layers.append(_conv(width, width, 4, 2))
            sides = (sides[0] // 2, sides[1] // 2)
        self.layers = nn.ModuleList(layers)
        self.biases = nn.ParameterList(nn.Parameter(torch.zeros(width)) for _ in layers)
        self.score = nn.Linear(width, 1)
        self.n_scores = math.prod(sides)
        if self.project is not None:
            nn.init.normal_(self.project.weight, std=width**-0.5)

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Return scores [B, n_scores]."""
        if self.append is not None:
            plane = self.append(label).view(len(x), 1, *self.sides)  # [B, 1, H, W]
            x = torch.cat([x, plane.to(x.dtype)], 1)
        for layer, bias in zip(self.layers, self.biases, strict=True):
            x = bias_act(layer(x), bias, slope=SLOPE, gain=1.0)
        h = x.flatten(2).transpose(1, 2)  # [B, n_scores, width]
        scores: Tensor = self.score(h)[..., 0]  # [B, n_scores]
        if self.project is not None:
            scores = scores + (h * self.project(label)[:, None]).sum(2)
        return scores


def _resized(x: Tensor, sides: tuple[int, ...]) -> Tensor:
    """Return maps of other sides: with gradients of the same bits each time, and fast."""
    if x.device.type == "cuda":
        return resize(x, sides)
    return F.interpolate(x, sides, mode="bilinear", align_corners=False)


def _kaiming(outputs: int, inputs: int, kernel: int) -> Tensor:
    """Return weights from N(0, 2 / fan in) (He et al. 2015)."""
    std = math.sqrt(2 / (inputs * kernel**2))
    return std * torch.randn(outputs, inputs, kernel, kernel)


def _conv(inputs: int, outputs: int, kernel: int, stride: int) -> Conv2d:
    return Conv2d(inputs, outputs, kernel, (inputs * kernel**2) ** -0.5, stride=stride, padding=1)
