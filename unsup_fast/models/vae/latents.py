"""Paths between latents, and along one of them."""

import torch
from torch import Tensor


def slerp(a: Tensor, b: Tensor, fractions: Tensor) -> Tensor:
    """Return latents on the great circle from a [Z] to b [Z], lengths linear in between: [S, Z].

    In many dimensions nearly all latents of the prior have one length, which latents on a straight
    line would fall below (White 2016). Between opposite latents, or from zero, the line is taken.
    """
    lengths = torch.stack([a.norm(), b.norm()])
    fractions = fractions[:, None]  # [S, 1]
    straight = torch.lerp(a, b, fractions)  # [S, Z]
    cosine = (a @ b / lengths.prod()).clamp(-1, 1)
    angle = torch.arccos(cosine)
    if not bool(lengths.all()) or not 1e-4 < float(angle) < torch.pi - 1e-4:
        return straight
    one = torch.sin((1 - fractions) * angle) / torch.sin(angle) * (a / lengths[0])
    other = torch.sin(fractions * angle) / torch.sin(angle) * (b / lengths[1])
    return (one + other) * torch.lerp(lengths[0], lengths[1], fractions)


def traversals(z: Tensor, which: Tensor, values: Tensor) -> Tensor:
    """Return copies of latents z [Z] with one latent at a time replaced by values: [L, V, Z]."""
    many = z.repeat(len(which), len(values), 1)
    index = which[:, None, None].expand(-1, len(values), 1)  # [L, V, 1]
    return many.scatter_(2, index, values[None, :, None].expand(len(which), -1, 1))
