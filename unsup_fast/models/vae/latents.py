"""Latents of a model: what each of them says, and paths between them."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor

if TYPE_CHECKING:
    from unsup_fast.models.vae.model import VAE

ACTIVE = 0.01
"""Variance over samples of a latent's mean above which it is active (Burda et al. 2016)."""


class LatentStatistics(NamedTuple):
    """Statistics of the latents of N samples, float64 tensors of shape (Z,) on the host.

    Attributes
    ----------
    kl : tensor
        Mean over samples of KL(q(z_j | x) || p(z_j)), in nats.
    variance_of_means : tensor
        Variance over samples of the mean of q(z_j | x).
    mean, std : tensor
        Of the aggregate posterior, the mixture of q(z_j | x) over samples; 0 and 1 if it is the
        prior.
    """

    kl: Tensor
    variance_of_means: Tensor
    mean: Tensor
    std: Tensor

    @property
    def active(self) -> Tensor:
        """Which latents are active, bool (Z,)."""
        return self.variance_of_means > ACTIVE

    @property
    def busiest(self) -> Tensor:
        """Latents in order of falling KL, int64 (Z,)."""
        return self.kl.argsort(descending=True, stable=True)


def latent_statistics(
    model: "VAE", x: Tensor | npt.NDArray[Any], label: Any = None, *, seed: int = 0
) -> LatentStatistics:
    """Return statistics of a model's latents over samples, as `VAE.encode` takes them."""
    posterior = model.encode(x, label, seed=seed)
    means = posterior.mean.double().cpu()  # [N, Z]
    variance_of_means = means.var(0, correction=0)
    within = posterior.variance.double().cpu().mean(0)
    return LatentStatistics(
        kl=posterior.kl().double().mean(0).cpu(),
        variance_of_means=variance_of_means,
        mean=means.mean(0),
        std=(variance_of_means + within).sqrt(),
    )


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
