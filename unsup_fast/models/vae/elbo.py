"""Bounds of log p(x): the evidence lower bound, and the importance-weighted one.

    log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || p(z))                     (the ELBO)
    log p(x) >= E[log 1/K sum_k p(x, z_k) / q(z_k | x)],  z_k from q(z | x)  (L_K, L_1 the ELBO)

L_K grows with K towards log p(x) (Burda et al. 2016).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Bound(NamedTuple):
    """The evidence lower bound of N samples, in nats.

    Attributes
    ----------
    reconstruction : tensor of shape (N,)
        log p(x | z) at one draw of z: an unbiased estimate of its mean under q(z | x).
    kl : tensor of shape (N, Z)
        KL(q(z_j | x) || p(z_j)) of each latent.
    """

    reconstruction: Tensor
    kl: Tensor

    @property
    def elbo(self) -> Tensor:
        """The bound, (N,)."""
        return self.reconstruction - self.kl.sum(1)


def negative_elbo(bound: Bound, *, beta: float = 1.0, free_bits: float = 0.0) -> Tensor:
    """Return the loss -E log p(x | z) + beta KL, its mean over a batch.

    Parameters
    ----------
    bound : Bound
    beta : float
        Weight of the divergence (Higgins et al. 2017); 1 is the bound itself.
    free_bits : float
        Nats of each latent, averaged over the batch, that cost nothing (Kingma et al. 2016, eq. 15,
        with groups of one latent).

    Returns
    -------
    tensor of shape ()
    """
    kl = bound.kl.mean(0)  # [Z]
    if free_bits:
        kl = kl.clamp(min=free_bits)
    return beta * kl.sum() - bound.reconstruction.mean()


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """Return L_K of each sample from log p(x, z_k) - log q(z_k | x), [K, N] -> [N]."""
    return torch.logsumexp(log_weights, 0) - math.log(len(log_weights))


def log_prior(z: Tensor) -> Tensor:
    """Return log N(z; 0, 1) of latents [..., Z] in nats, [...]."""
    return -(z.square() + math.log(2 * math.pi)).sum(-1) / 2
