"""`DiagonalGaussian`: the distribution of the latents of a sample."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from unsup_fast.kernels.randn import randn
from unsup_fast.models.training.draws import Seed, spread_seed

LOG_VARIANCES = (-30.0, 20.0)  # outside of which float32's exp would vanish or overflow a loss


@dataclass(frozen=True)
class DiagonalGaussian:
    """Independent normal distributions q(z | x) = N(mean, exp(log_variance)).

    Attributes
    ----------
    mean, log_variance : tensors of shape (N, ...)
        Of one shape: (N, Z) for vectors of latents, (N, C, H, W) for pictures of them.
    """

    mean: Tensor
    log_variance: Tensor

    @classmethod
    def from_moments(cls, moments: Tensor) -> "DiagonalGaussian":
        """Return the distribution whose means and log variances are the halves of axis 1.

        Log variances are cut off at -30 and 20, so that no standard deviation overflows.
        """
        mean, log_variance = moments.chunk(2, dim=1)  # [N, Z, ...] each
        return cls(mean=mean, log_variance=log_variance.clamp(*LOG_VARIANCES))

    @property
    def variance(self) -> Tensor:
        """Variances, like `mean`."""
        return self.log_variance.exp()

    @property
    def std(self) -> Tensor:
        """Standard deviations, like `mean`."""
        return (self.log_variance / 2).exp()

    def mode(self) -> Tensor:
        """Return the most probable latents, which are the means."""
        return self.mean

    def sample(self, seed: Seed = 0) -> Tensor:
        """Return latents mean + std eps (Kingma & Welling 2014, eq. 4), with gradients to both.

        Parameters
        ----------
        seed : int, or one int a sample
            Latents i of a seed are the same whatever N.
        """
        return self.samples(seed, 1)[0]

    def samples(self, seed: Seed, n: int, first: int = 0) -> Tensor:
        """Return draws `first` to `first + n` of a seed, (n, N, ...); draw 0 is `sample`'s."""
        seeds, (size, *others) = spread_seed(seed, len(self.mean)), self.mean.shape
        index = first * math.prod(others)
        eps = randn((size, n, *others), seed=seeds, first=index, device=self.mean.device)
        return torch.addcmul(self.mean, self.std, eps.transpose(0, 1).to(self.mean.dtype))

    def kl(self) -> Tensor:
        """Return KL(q(z | x) || N(0, 1)) of each latent in nats, like `mean`.

        It is (sigma^2 + mu^2 - 1 - log sigma^2) / 2. With u = log sigma^2 the part without mu is
        computed as expm1(u) - u, which cancels less near the prior: its error is about u 2^-24.
        """
        u = self.log_variance
        return (torch.expm1(u) - u + self.mean.square()) / 2

    def log_prob(self, z: Tensor) -> Tensor:
        """Return log q(z | x) in nats for z [..., N, Z], [..., N]: summed over all latents."""
        n_axes = self.mean.ndim - 1
        squares = (z - self.mean).square() * (-self.log_variance).exp()
        terms = squares + self.log_variance + math.log(2 * math.pi)
        return -terms.flatten(-n_axes).sum(-1) / 2
