"""`UNet`: the network of Ho et al. 2020 as Dhariwal & Nichol 2021 improved it (ADM).

Residual blocks whose second group norm is scaled and shifted by the embedding of time and class
(adaptive group norm), attention at low resolutions, skip connections from the encoder to the
decoder. As in Ho et al., a convolution of stride 2 halves the resolution, and nearest-neighbour
upsampling and a convolution double it.

Parameters for three channels, no classes and patch 1, and what the sides must be multiples of:
"tiny" 0.71 M, 2 (8 x 8 digits in a minute on two cores); "small" 2.8 M, 2 (MNIST at patch 2 in half
an hour); "base" 29 M, 4 (about that of Ho et al. for 32 x 32); "large" 276 M, 8 (about ADM's for
64 x 64).
"""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast.models.networks.embeddings import ConditionEmbedding, check_build, check_images
from unsup_fast.models.networks.layers import attention, norm_scale_shift_silu, zero_init

__all__ = ["SIZES", "UNet"]


class Size(NamedTuple):
    """Dimensions of a U-Net; each level has half the resolution of the one before it."""

    channels: int
    """Channels at full resolution."""
    factors: tuple[int, ...]
    """Channels of each level, in units of `channels`."""
    blocks: int
    """Residual blocks of a level of the encoder; the decoder has one more."""
    attention: tuple[int, ...]
    """Levels with attention; the middle always has it."""


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
    """Two convolutions, and between them a group norm that time and class scale and shift."""

    def __init__(self, inputs: int, outputs: int, width: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.condition = nn.Linear(width, 2 * outputs)
        self.norm2 = norm(outputs)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zero_init(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # [B, inputs, H, W] -> outputs
        h = self.conv1(norm_scale_shift_silu(self.norm1, x))
        scale, shift = self.condition(condition).chunk(2, dim=1)  # [B, outputs] each
        h = norm_scale_shift_silu(self.norm2, h, scale, shift)
        return self.skip(x) + self.conv2(self.dropout(h))


class Attention(nn.Module):
    """Self-attention between all pixels (Vaswani et al. 2017)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // HEAD)
        self.norm = norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero_init(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:  # [B, C, H, W] -> same
        pixels = self.qkv(self.norm(x)).flatten(2)  # [B, 3 C, H W]
        q, k, v = pixels.unflatten(1, (3, self.heads, -1)).transpose(3, 4).unbind(1)
        h = attention(q, k, v)  # [B, heads, H W, C / heads]
        return x + self.out(h.transpose(2, 3).reshape(x.shape))


class Stage(nn.Module):
    """A residual block, and attention if the level has it."""

    def __init__(
        self, inputs: int, outputs: int, width: int, dropout: float, attention: bool
    ) -> None:
        super().__init__()
        self.block = Block(inputs, outputs, width, dropout)
        self.attention = Attention(outputs) if attention else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
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
        Side of a patch in pixels; each patch is one pixel at full resolution. 2 makes a network
        about four times as fast, and coarser.
    n_classes : int
        Classes to condition on; 0 for none. Label `n_classes` means "any class", which
        classifier-free guidance needs (Ho & Salimans 2022).
    dropout : float
        Dropout rate in training.
    guided : bool
        Whether a guidance weight is an input too (Meng et al. 2023).

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
        guided: bool = False,
    ) -> None:
        super().__init__()
        check_build(SIZES, size, channels, patch, n_classes, dropout)
        cfg = SIZES[size]
        self.channels, self.patch = channels, patch
        self.multiple = patch * 2 ** (len(cfg.factors) - 1)
        width = 4 * cfg.channels
        self.condition = ConditionEmbedding(cfg.channels, width, n_classes, guided)
        block_channels = [factor * cfg.channels for factor in cfg.factors]

        def stage(inputs: int, outputs: int, level: int) -> Stage:
            return Stage(inputs, outputs, width, dropout, level in cfg.attention)

        self.conv_in = nn.Conv2d(channels * patch**2, cfg.channels, 3, padding=1)
        self.down = nn.ModuleList()
        ch = cfg.channels
        skips = [ch]  # channels of each skip connection
        for level, outputs in enumerate(block_channels):
            if level:
                self.down.append(nn.Conv2d(ch, ch, 3, stride=2, padding=1))
                skips.append(ch)
            for _ in range(cfg.blocks):
                self.down.append(stage(ch, outputs, level))
                ch = outputs
                skips.append(ch)
        self.mid = nn.ModuleList(
            [Stage(ch, ch, width, dropout, True), Stage(ch, ch, width, dropout, False)]
        )
        self.up = nn.ModuleList()
        for level, outputs in reversed(list(enumerate(block_channels))):
            for _ in range(cfg.blocks + 1):
                self.up.append(stage(ch + skips.pop(), outputs, level))
                ch = outputs
            if level:
                self.up.append(nn.Conv2d(ch, ch, 3, padding=1))
        self.conv_out = nn.Sequential(
            norm(ch), nn.SiLU(), zero_init(nn.Conv2d(ch, channels * patch**2, 3, padding=1))
        )

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        label: Tensor | None = None,
        guidance: Tensor | None = None,
    ) -> Tensor:
        """Return what the network predicts for noisy images.

        Parameters
        ----------
        x : tensor of shape (B, C, H, W)
        time : tensor of shape (B,) or ()
            Time steps, whole or not.
        label : int64 tensor of shape (B,) or (), or None
            Classes; None means "any class".
        guidance : tensor of shape (B,) or (), or None
            Guidance weights, for a network that was built with `guided`, and only then.

        Returns
        -------
        tensor of shape (B, C, H, W)

        Raises
        ------
        ValueError
            If C differs from `channels`, or H or W is not a multiple of patch 2^(levels - 1); if
            times or labels are neither a single one nor one for each image; if a label on the host
            is out of range, or there are labels and the network has no classes.
        """
        check_images(x, self.channels, self.multiple)
        condition = self.condition(time, label, len(x), guidance)  # [B, width]
        if not len(x):
            return x.clone()  # torch's pixel_unshuffle fails on empty batches
        x = self.conv_in(F.pixel_unshuffle(x, self.patch))  # [B, channels, H / patch, W / patch]
        skips = [x]
        for layer in self.down:
            x = layer(x, condition) if isinstance(layer, Stage) else layer(x)
            skips.append(x)
        for layer in self.mid:
            x = layer(x, condition)
        for layer in self.up:
            if isinstance(layer, Stage):
                x = layer(torch.cat([x, skips.pop()], dim=1), condition)
            else:
                x = layer(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        norm, _, conv = self.conv_out
        return F.pixel_shuffle(conv(norm_scale_shift_silu(cast(nn.GroupNorm, norm), x)), self.patch)
