"""What the latents of a model say of samples."""

from typing import Any, NamedTuple

import numpy.typing as npt
from torch import Tensor

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
    model: VAE, x: Tensor | npt.NDArray[Any], label: Any = None, *, seed: int = 0
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
