"""Transforms of pictures that a decoder should commute with: decode(tau(z)) = tau(x).

Kouzelis, Kakogeorgiou, Gidaris & Komodakis 2025, "EQ-VAE: Equivariance Regularized Latent Space for
Improved Generative Image Modeling": latents that turn and shrink with the picture are smoother, and
diffusion models learn them sooner. Neither the encoder nor the KL penalty sees the transform.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SMALLEST = 4
"""Pictures shrink to at least a quarter of their sides."""


class Transform(NamedTuple):
    """A rotation and a reduction.

    Attributes
    ----------
    turns : int
        Quarters of a turn, counterclockwise.
    side : int
        Length of the shorter side of the latents afterwards.
    """

    turns: int
    side: int

    def __call__(self, x: Tensor, multiple: int = 1) -> Tensor:
        """Return latents, or pictures with `multiple` pixels a latent, transformed.

        Parameters
        ----------
        x : tensor of shape (B, C, H, W)
        multiple : int

        Returns
        -------
        tensor of shape (B, C, H', W')
            Both sides are multiples of `multiple`.
        """
        x = torch.rot90(x, self.turns, (2, 3))
        latents = [length // multiple for length in x.shape[2:]]
        shorter = min(latents)
        if self.side == shorter:
            return x
        size = [round(length * self.side / shorter) * multiple for length in latents]
        return F.interpolate(x, size=size, mode="bilinear", antialias=True)


def draw(seed: int, probability: float, shorter: int) -> Transform | None:
    """Return a random transform, or with the other probability None.

    Parameters
    ----------
    seed : int
        The same seed draws the same transform.
    probability : float
    shorter : int
        Length of the shorter side of the latents.
    """
    generator = torch.Generator().manual_seed(seed)
    if float(torch.rand((), generator=generator)) >= probability:
        return None
    least = -(-shorter // SMALLEST)
    turns = int(torch.randint(4, (), generator=generator))
    return Transform(
        turns=turns, side=int(torch.randint(least, shorter + 1, (), generator=generator))
    )
