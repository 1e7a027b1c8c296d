"""What is computed of a batch of samples: posteriors, the bound, importance weights."""

from typing import NamedTuple

import torch
from torch import Tensor

from unsup_fast.models.vae.config import Network
from unsup_fast.models.vae.elbo import Bound, log_prior
from unsup_fast.models.vae.likelihood import Likelihood
from unsup_fast.models.vae.posterior import DiagonalGaussian


class Encoded(NamedTuple):
    """A batch of samples and the distributions of their latents.

    Attributes
    ----------
    targets : float32 tensor of shape (B, ...)
        The values that are judged: those drawn from grey values, for instance.
    label : int64 tensor of shape (B,), or None
    seeds : int64 tensor of shape (B,)
        On the host.
    posterior : DiagonalGaussian
        Of shape (B, Z).
    """

    targets: Tensor
    label: Tensor | None
    seeds: Tensor
    posterior: DiagonalGaussian


def encode(
    network: Network, likelihood: Likelihood, x: Tensor, label: Tensor | None, seeds: Tensor
) -> Encoded:
    """Return samples x [B, ...] with their posteriors."""
    targets = likelihood.targets(x, seeds)
    if targets.ndim == 4:
        targets = targets.contiguous(memory_format=torch.channels_last)
    moments = network.encode(targets, label).float()  # [B, 2 Z]
    posterior = DiagonalGaussian.from_moments(moments)
    return Encoded(targets=targets, label=label, seeds=seeds, posterior=posterior)


def bound(network: Network, likelihood: Likelihood, batch: Encoded) -> Bound:
    """Return the evidence lower bound of a batch, by one draw of the latents of each sample."""
    z = batch.posterior.sample(batch.seeds)  # [B, Z]
    output = network.decode(z, batch.label)  # [B, outputs C, ...]
    reconstruction = likelihood.log_prob(output, batch.targets, network.log_std)  # [B]
    return Bound(reconstruction=reconstruction, kl=batch.posterior.kl())


class Weighted(NamedTuple):
    """Draws of the latents of a batch of B samples, n of each.

    Attributes
    ----------
    log_likelihood : tensor of shape (n, B)
        log p(x | z).
    log_weights : tensor of shape (n, B)
        log p(x, z) - log q(z | x).
    """

    log_likelihood: Tensor
    log_weights: Tensor


def weighted(
    network: Network, likelihood: Likelihood, batch: Encoded, n: int, first: int = 0
) -> Weighted:
    """Return the importance weights of draws `first` to `first + n` of a batch."""
    z = batch.posterior.samples(batch.seeds, n, first)  # [n, B, Z]
    label = None if batch.label is None else batch.label.repeat(n)
    output = network.decode(z.flatten(0, 1), label).unflatten(0, z.shape[:2])  # [n, B, ...]
    log_likelihood = likelihood.log_prob(output, batch.targets, network.log_std)  # [n, B]
    log_ratio = log_prior(z) - batch.posterior.log_prob(z)
    return Weighted(log_likelihood=log_likelihood, log_weights=log_likelihood + log_ratio)
