"""`Generator` and `Discriminator`: a body of layers, and how both learn of classes.

A generator's body takes latents, with an embedding of the class appended to them. A discriminator's
body returns features; with the conditioning "projection" the score of features h is w h + b plus
the inner product of h and an embedding of the class (Miyato & Koyama 2018), with "concat" the
embedding is one more channel of the input (Mirza & Osindero 2014), shrunk to the sides of pictures
that are smaller than `shape`, as those of a network that grows.
"""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from unsup_fast.models.networks.pooling import shrink

CONDITIONINGS = ("projection", "concat")


class Generator(nn.Module):
    """Samples [B, ...] from latents [B, Z] and classes [B].

    Parameters
    ----------
    body : torch.nn.Module
        Takes [B, inputs(Z, n_classes)].
    latent : int
    n_classes : int
        0 for none.
    """

    def __init__(self, body: nn.Module, latent: int, n_classes: int) -> None:
        super().__init__()
        self.body = body
        self.label = nn.Embedding(n_classes, latent) if n_classes else None

    @staticmethod
    def inputs(latent: int, n_classes: int) -> int:
        """Return the number of inputs of a body."""
        return 2 * latent if n_classes else latent

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """Return samples [B, ...]."""
        return cast(Tensor, self.body(self.embed(z, label)))

    def embed(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Return the body's input: latents with the embeddings of classes appended to them."""
        if self.label is None:
            return z
        return torch.cat([z, self.label(label)], 1)  # [B, 2 Z]


class Discriminator(nn.Module):
    """Scores [B] of samples [B, ...] of classes [B].

    Parameters
    ----------
    body : torch.nn.Module
        Returns features [B, body.n_features] of samples of `inputs(shape, n_classes,
        conditioning)`.
    shape : tuple of int
        Shape of a sample.
    n_classes : int
        0 for none.
    conditioning : {"projection", "concat"}
    linear : callable (inputs, outputs) -> Module
        The layer from features to the score.
    """

    def __init__(
        self,
        body: nn.Module,
        shape: tuple[int, ...],
        n_classes: int,
        conditioning: str,
        *,
        linear: Callable[[int, int], nn.Module] = nn.Linear,
    ) -> None:
        super().__init__()
        self.body = body
        n_features = cast(int, body.n_features)
        self.score = linear(n_features, 1)
        self.plane = (1, *shape[1:])
        projects = conditioning == "projection"
        self.project = nn.Embedding(n_classes, n_features) if n_classes and projects else None
        n_values = math.prod(self.plane)
        self.append = nn.Embedding(n_classes, n_values) if n_classes and not projects else None
        if self.project is not None:
            nn.init.normal_(self.project.weight, std=n_features**-0.5)

    @staticmethod
    def inputs(shape: tuple[int, ...], n_classes: int, conditioning: str) -> tuple[int, ...]:
        """Return the shape of a body's input."""
        more = n_classes > 0 and conditioning == "concat"
        return (shape[0] + more, *shape[1:])

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        """Return scores [B]."""
        if self.append is not None:
            plane = self.append(label).view(len(x), *self.plane)  # [B, 1, ...]
            if x.shape[2:] != plane.shape[2:]:
                plane = shrink(plane, x.shape[2:])  # [B, 1, H, W]
            x = torch.cat([x, plane.to(x.dtype)], 1)
        h: Tensor = self.body(x)  # [B, n_features]
        score = self.score(h)[:, 0]  # [B]
        if self.project is not None:
            score = score + (h * self.project(label)).sum(1)
        return cast(Tensor, score)
