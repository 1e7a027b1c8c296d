"""`Conv`: an encoder and a decoder of strided convolutions."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast.models.networks.layers import add_label

WIDTHS = {"tiny": (16, 32, 64), "small": (32, 64, 128), "base": (64, 128, 256)}
"""Channels at each resolution, of each size."""


class Conv(nn.Module):
    """Encoder and decoder that halve and double the sides of pictures at each convolution.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of a picture, of any sides.
    latent : int
        Number of latents.
    outputs : int
        Numbers that the decoder returns for each value.
    size : str
        One of `WIDTHS`.
    n_classes : int
        Number of classes; 0 for none.
    """

    def __init__(
        self, shape: tuple[int, ...], latent: int, outputs: int, size: str, n_classes: int
    ) -> None:
        super().__init__()
        channels, *sides = shape
        widths = WIDTHS[size]
        # sides before each of the encoder's convolutions, and after the last
        self.sides = [tuple(math.ceil(side / 2**k) for side in sides) for k in range(4)]
        first, middle, last = widths
        self.inner = (last, *self.sides[-1])
        n_inner = math.prod(self.inner)
        self.down = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=2, padding=1)
            for a, b in ((channels, first), (first, middle), (middle, last))
        )
        self.moments = nn.Linear(n_inner, 2 * latent)
        self.start = nn.Linear(latent, n_inner)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1)
            for a, b in ((last, middle), (middle, first), (first, outputs * channels))
        )
        self.encoder_label = nn.Embedding(n_classes, first) if n_classes else None
        self.decoder_label = nn.Embedding(n_classes, n_inner) if n_classes else None

    def encode(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Return means and log variances [B, 2 Z] of the latents of x [B, C, H, W]."""
        first, *others = self.down
        h = add_label(first(x), self.encoder_label, label)  # [B, first, H / 2, W / 2]
        for layer in others:
            h = layer(torch.relu(h))
        return self.moments(torch.relu(h).flatten(1))

    def decode(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Return the output [B, outputs C, H, W] for latents z [B, Z]."""
        h = add_label(self.start(z), self.decoder_label, label)  # [B, n_inner]
        h = h.view(-1, *self.inner).contiguous(memory_format=torch.channels_last)
        for layer, (height, width) in zip(self.up, self.sides[-2::-1], strict=True):
            h = layer(F.relu(h))[:, :, :height, :width]  # the odd row and column are cut off
        return h
