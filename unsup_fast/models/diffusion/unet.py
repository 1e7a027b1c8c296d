"""`UNet`: the network of Ho et al. 2020 as Dhariwal & Nichol 2021 improved it (ADM).

Residual blocks whose second group norm is scaled and shifted by what time and class say
(adaptive group norm), attention at low resolutions, skips from the way down to the way up. As in
Ho et al., a convolution of stride 2 halves the resolution, and one after copying each place to four
doubles it.

Parameters for three channels, no classes and patch 1, and what the sides must be multiples of:
"tiny" 0.71 M, 2 (8 x 8 digits in a minute on two cores); "small" 2.8 M, 2 (MNIST at patch 2 in half
an hour); "base" 29 M, 4 (about that of Ho et al. for 32 x 32); "large" 276 M, 8 (about ADM's for
64 x 64).
"""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from unsup_fast.models.diffusion.condition import Condition, check_build, check_images
from unsup_fast.models.diffusion.layers import attend, modulated, zeroed

__all__ = ["SIZES", "UNet"]


class Size(NamedTuple):
    """Of a U-Net: each level has half the resolution of the one before it."""

    channels: int
    """At full resolution."""
    factors: tuple[int, ...]
    """Channels of each level, in units of `channels`."""
    blocks: int
    """Residual blocks of a level on the way down; one more on the way up."""
    attention: tuple[int, ...]
    """Levels that have attention; the middle always has."""


SIZES = {
    "tiny": Size(32, (1, 2), 1, ()),
    "small": Size(64, (1, 2), 1, ()),
    "base": Size(128, (1, 2, 2), 2, (1, 2)),
    "large": Size(192, (1, 2, 3, 4), 3, (1, 2, 3)),
}
HEAD = 64  # channels of an attention head, at most
GROUP = 8  # channels that are normalised together, at least


def norm(channels: int) -> nn.GroupNorm:
    """Return a group norm of at most 32 groups."""
    return nn.GroupNorm(math.gcd(channels, min(32, channels // GROUP)), channels)


class Block(nn.Module):
    """Two convolutions; time and class scale and shift what stands between them."""

    def __init__(self, inputs: int, outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.condition = nn.Linear(width, 2 * outputs)
        self.norm2 = norm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Any, condition: Any) -> Any:  # [B, inputs, H, W] -> [B, outputs, H, W]
        h = self.conv1(modulated(self.norm1, x))
        scale, shift = self.condition(condition).chunk(2, dim=1)  # [B, outputs] each
        h = modulated(self.norm2, h, scale, shift)
        return self.skip(x) + self.conv2(self.dropout(h))


class Attention(nn.Module):
    """Every pixel looks at every other (Vaswani et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD)
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Any) -> Any:  # [B, C, H, W], as it came
        pixels = self.qkv(self.norm(x)).flatten(2)  # [B, 3 C, H W]
        q, k, v = pixels.unflatten(1, (3, self.heads, -1)).transpose(3, 4).unbind(1)
        h = attend(q, k, v)  # [B, heads, H W, C / heads]
        return x + self.out(h.transpose(2, 3).reshape(x.shape))


class Stage(nn.Module):
    """A residual block, and attention where the level has it."""

    def __init__(
        self, inputs: int, outputs: int, width: int, dropout: float, attention: bool
    ) -> None:
        super().__init__()
        self.block = Block(inputs, outputs, width, dropout)
        self.attention = Attention(outputs) if attention else nn.Identity()

    def forward(self, x: Any, condition: Any) -> Any:
        return self.attention(self.block(x, condition))


class UNet(nn.Module):
    """U-Net of residual blocks with adaptive group norm.

    Parameters
    ----------
    channels : int
        Channels C of an image.
    size : str
        One of `SIZES`: "tiny", "small", "base", "large".
    patch : int
        Pixels of the side of a square that is one place at full resolution: 2 makes a network
        about four times as fast, and coarser.
    n_classes : int
        Classes to condition on; 0 for none. Label `n_classes` means "any class", which
        classifier-free guidance needs (Ho & Salimans 2022).
    dropout : float
        Share of activations dropped in training.

    Raises
    ------
    ValueError
        If `size` is not one of `SIZES`, or another argument is out of range.
    """

    def __init__(
        self,
        channels: int,
        size: str = "small",
        patch: int = 1,
        n_classes: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_build(SIZES, size, channels, patch, n_classes, dropout)
        made = SIZES[size]
        self.channels, self.patch = channels, patch
        self.multiple = patch * 2 ** (len(made.factors) - 1)
        width = 4 * made.channels
        self.condition = Condition(made.channels, width, n_classes)
        levels = [factor * made.channels for factor in made.factors]

        def stage(inputs: int, outputs: int, level: int) -> Stage:
            return Stage(inputs, outputs, width, dropout, level in made.attention)

        self.enter = nn.Conv2d(channels * patch**2, made.channels, 3, padding=1)
        self.down = nn.ModuleList()
        kept, now = [made.channels], made.channels
        for level, outputs in enumerate(levels):
            if level:
                self.down.append(nn.Conv2d(now, now, 3, stride=2, padding=1))
                kept.append(now)
            for _ in range(made.blocks):
                self.down.append(stage(now, outputs, level))
                now = outputs
                kept.append(now)
        self.middle = nn.ModuleList(
            [Stage(now, now, width, dropout, True), Stage(now, now, width, dropout, False)]
        )
        self.up = nn.ModuleList()
        for level, outputs in reversed(list(enumerate(levels))):
            for _ in range(made.blocks + 1):
                self.up.append(stage(now + kept.pop(), outputs, level))
                now = outputs
            if level:
                self.up.append(nn.Conv2d(now, now, 3, padding=1))
        self.leave = nn.Sequential(
            norm(now), nn.SiLU(), zeroed(nn.Conv2d(now, channels * patch**2, 3, padding=1))
        )

    def forward(self, x: Any, time: Any, label: Any = None) -> Any:
        """Return what the network predicts for noisy images.

        Parameters
        ----------
        x : tensor of shape (B, C, H, W)
        time : tensor of shape (B,) or ()
            Time steps, whole or not.
        label : int64 tensor of shape (B,) or (), or None
            Classes; None means "any class".

        Returns
        -------
        tensor of shape (B, C, H, W)

        Raises
        ------
        ValueError
            If C is another, or H or W is not a multiple of patch 2^(levels - 1); if times or labels
            are not one for each image; if a label on the host is out of range, or labels are given
            to a network without classes.
        """
        check_images(x, self.channels, self.multiple)
        condition = self.condition(time, label, len(x))  # [B, width]
        if not len(x):
            return x.clone()  # torch's pixel_unshuffle fails
        x = self.enter(F.pixel_unshuffle(x, self.patch))  # [B, channels, H / patch, W / patch]
        kept = [x]
        for step in self.down:
            x = step(x, condition) if isinstance(step, Stage) else step(x)
            kept.append(x)
        for step in self.middle:
            x = step(x, condition)
        for step in self.up:
            if isinstance(step, Stage):
                x = step(torch.cat([x, kept.pop()], dim=1), condition)
            else:
                x = step(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        norm, _, conv = self.leave
        return F.pixel_shuffle(conv(modulated(norm, x)), self.patch)
