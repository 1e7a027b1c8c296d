"""Embeddings of timestep and class, and checks of a network's input."""

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast.models.networks.layers import zero_init

GUIDANCE_SCALE = 100.0
"""Guidance weights, from 1 to about 10, are embedded as positions of as many hundreds."""


def timestep_embedding(position: Tensor, width: int, longest: float = 10_000.0) -> Tensor:
    """Return cosines and sines of positions [...], [..., width] (Vaswani et al. 2017)."""
    half = width // 2
    position = position.to(torch.promote_types(position.dtype, torch.float32))
    steps = torch.arange(half, device=position.device, dtype=position.dtype)
    angles = position[..., None] * torch.exp(-math.log(longest) / half * steps)  # [..., half]
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class ConditionEmbedding(nn.Module):
    """Time step and class as one vector, an input of every block of a network.

    Parameters
    ----------
    embedding_dim : int
        Length of a time step's sinusoidal embedding.
    width : int
        Length of the vector.
    n_classes : int
        Number of classes; 0 for none. Label `n_classes` means "any class", which classifier-free
        guidance needs (Ho & Salimans 2022).
    guided : bool
        Whether a guidance weight is an input too, as of a student of a guided teacher (Meng et al.
        2023). Its projection starts at zero.
    """

    def __init__(
        self, embedding_dim: int, width: int, n_classes: int, guided: bool = False
    ) -> None:
        super().__init__()
        self.embedding_dim, self.n_classes = embedding_dim, n_classes
        self.time = nn.Sequential(
            nn.Linear(embedding_dim, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.label = nn.Embedding(n_classes + 1, width) if n_classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.02)
        self.guidance = zero_init(nn.Linear(embedding_dim, width)) if guided else None

    def forward(
        self, time: Tensor, label: Tensor | None, n: int, guidance: Tensor | None = None
    ) -> Tensor:
        """Return the vector of each of n images, [n, width].

        Parameters
        ----------
        time : tensor of shape (n,) or ()
        label : int64 tensor of shape (n,) or (), or None
            None means "any class".
        guidance : tensor of shape (n,) or (), or None
            Guidance weights, for a network that was built with `guided`, and only then.

        Raises
        ------
        ValueError
            If times, labels or weights are neither a single one nor one for each image; if there
            are labels and the network has no classes; if a label on the host is out of range; or
            if there are weights and the network takes none, or the other way round.
        """
        _check_each("time", time, n)
        embedding = timestep_embedding(time, self.embedding_dim)  # [..., embedding_dim]
        dtype = cast(nn.Linear, self.time[0]).weight.dtype
        condition = self.time(embedding.to(dtype)).expand(n, -1)  # [n, width]
        if (guidance is None) != (self.guidance is None):
            raise ValueError(
                "guidance is an input of this network; pass it"
                if guidance is None
                else "this network takes no guidance; build it with guided=True"
            )
        if self.guidance is not None and guidance is not None:
            _check_each("guidance", guidance, n)
            weights = timestep_embedding(GUIDANCE_SCALE * guidance, self.embedding_dim)
            condition = condition + self.guidance(weights.to(dtype))
        if self.label is None:
            if label is not None:
                raise ValueError(
                    "label is given to a network without classes; pass label=None, or build it "
                    "with n_classes"
                )
            return F.silu(condition)
        if label is None:
            return F.silu(condition + self.label.weight[self.n_classes])
        _check_each("label", label, n)
        _check_range(label, self.n_classes)
        return F.silu(condition + self.label(label))


def check_build(
    sizes: Mapping[str, Any], size: str, channels: int, patch: int, n_classes: int, dropout: float
) -> None:
    """Raise a ValueError unless a network can be built with these arguments."""
    if size not in sizes:
        raise ValueError(f"size={size!r} is unknown; pass one of {list(sizes)}")
    for name, value, least in (
        ("channels", channels, 1),
        ("patch", patch, 1),
        ("n_classes", n_classes, 0),
    ):
        if value < least:
            raise ValueError(f"{name}={value} must be at least {least}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout} must be at least 0 and below 1")


def check_images(x: Tensor, channels: int, multiple: int) -> None:
    """Raise a ValueError unless x is [B, channels, H, W] with sides that are multiples."""
    if x.ndim != 4 or x.shape[1] != channels:
        raise ValueError(f"x has shape {tuple(x.shape)}; this network takes (B, {channels}, H, W)")
    if x.shape[2] % multiple or x.shape[3] % multiple:
        raise ValueError(
            f"images of {x.shape[2]} x {x.shape[3]} pixels do not fit this network; pass sides "
            f"that are multiples of {multiple}"
        )


def _check_each(name: str, value: Tensor, n: int) -> None:
    if value.shape not in ((), (n,)):
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; pass one for all images or one for each of {n}"
        )


def _check_range(label: Tensor, n_classes: int) -> None:
    """Raise a ValueError if a label on the host is out of range; labels on a GPU are not read."""
    if label.device.type != "cpu" or torch.compiler.is_compiling() or not label.numel():
        return
    if not 0 <= int(label.min()) <= int(label.max()) <= n_classes:
        raise ValueError(
            f"labels lie between {int(label.min())} and {int(label.max())}; the classes are 0 to "
            f"{n_classes - 1}, and {n_classes} means any"
        )
