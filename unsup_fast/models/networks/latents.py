"""Latents of generators and decoders: what is drawn for a seed, and paths between latents."""

import torch
from torch import Tensor

from unsup_fast.kernels.randn import randn


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


def truncated(z: Tensor, limit: float) -> Tensor:
    """Return standard normal numbers as numbers of the normal that is cut off at +-limit.

    The map is monotone and has the distribution of drawing again until all are within the limit
    (Brock et al. 2019, the truncation trick).
    """
    edge = torch.special.ndtr(torch.tensor(-limit, dtype=torch.float64, device=z.device))
    inside = edge + torch.special.ndtr(z.double()) * (1 - 2 * edge)
    return torch.special.ndtri(inside).clamp_(-limit, limit).to(z.dtype)


def draw_labels(seeds: Tensor, n_classes: int) -> Tensor:
    """Return a class for each seed [n], all as likely: int64 [n] on the host."""
    draws = randn((len(seeds), 1), seed=seeds, stream=1, dtype=torch.float64)[:, 0]  # [n]
    return (torch.special.ndtr(draws) * n_classes).long().clamp(max=n_classes - 1)
