"""`MLP`: an encoder and a decoder of matrices."""

import math

import torch
from torch import Tensor, nn

from unsup_fast.models.networks.layers import add_label

WIDTHS = {"tiny": (200, 200), "small": (512, 512), "base": (1024, 1024), "large": (2048, 2048)}
"""Widths of the encoder's hidden layers, of each size."""


class MLP(nn.Module):
    """Encoder and decoder with two hidden layers each (Burda et al. 2016, with ReLU).

    Parameters
    ----------
    shape : tuple of int
        Shape of a sample.
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
        first, second = WIDTHS[size]
        n_values = math.prod(shape)
        self.shape = (outputs * shape[0], *shape[1:])
        self.encoder = nn.ModuleList(
            [nn.Linear(n_values, first), nn.Linear(first, second), nn.Linear(second, 2 * latent)]
        )
        self.decoder = nn.ModuleList(
            [
                nn.Linear(latent, second),
                nn.Linear(second, first),
                nn.Linear(first, math.prod(self.shape)),
            ]
        )
        self.encoder_label = nn.Embedding(n_classes, first) if n_classes else None
        self.decoder_label = nn.Embedding(n_classes, second) if n_classes else None

    def encode(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Return means and log variances [B, 2 Z] of the latents of x [B, ...]."""
        return _layers(self.encoder, x.flatten(1), self.encoder_label, label)

    def decode(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Return the output [B, outputs C, ...] for latents z [B, Z]."""
        output = _layers(self.decoder, z, self.decoder_label, label)  # [B, outputs D]
        return output.view(len(z), *self.shape)


def _layers(
    layers: nn.ModuleList, x: Tensor, embedding: nn.Embedding | None, label: Tensor | None
) -> Tensor:
    first, *others = layers
    h = add_label(first(x), embedding, label)  # [B, width]
    for layer in others:
        h = layer(torch.relu(h))
    return h
