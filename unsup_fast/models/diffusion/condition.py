"""What a network is told beside the image: how noisy it is, and of which class."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def waves(position: Any, width: int, longest: float = 10_000.0) -> Any:
    """Return cosines and sines of positions [...], [..., width] (Vaswani et al. 2017)."""
    half = width // 2
    rates = torch.exp(-math.log(longest) / half * torch.arange(half, device=position.device))
    angles = position.float()[..., None] * rates  # [..., half]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class Condition(nn.Module):
    """Time step and class as one vector, which every block of a network is given.

    Parameters
    ----------
    n_waves : int
        Numbers that a time step is spread over.
    width : int
        Of the vector.
    n_classes : int
        Classes; 0 for none. Label `n_classes` means "any class", which classifier-free guidance
        needs (Ho & Salimans 2022).
    """

    def __init__(self, n_waves: int, width: int, n_classes: int) -> None:
        super().__init__()
        self.n_waves, self.n_classes = n_waves, n_classes
        self.time = nn.Sequential(nn.Linear(n_waves, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(n_classes + 1, width) if n_classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.02)

    def forward(self, time: Any, label: Any, size: int) -> Any:
        """Return the vector of each of `size` images, [size, width].

        Parameters
        ----------
        time : tensor of shape (size,) or ()
        label : tensor of shape (size,) or (), int64, or None
            None means "any class".

        Raises
        ------
        ValueError
            If labels are given and there are no classes.
        """
        told = self.time(waves(time.expand(size), self.n_waves).to(self.time[0].weight.dtype))
        if self.label is None:
            if label is not None:
                raise ValueError(
                    "label is given to a network without classes; pass label=None, or build it "
                    "with n_classes"
                )
            return F.silu(told)
        if label is None:
            label = torch.tensor(self.n_classes, device=told.device)
        return F.silu(told + self.label(label.expand(size)))


def check_sides(x: Any, multiple: int) -> None:
    """Raise a ValueError unless the sides of images [B, C, H, W] are multiples of a number."""
    if x.shape[-2] % multiple or x.shape[-1] % multiple:
        raise ValueError(
            f"images of {x.shape[-2]} x {x.shape[-1]} pixels do not fit this network; pass sides "
            f"that are multiples of {multiple}"
        )
