"""What keeps a discriminator smooth: penalties on its gradient, clipped weights, spectral norms."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from unsup_fast.models.networks.conv2d import Conv2d, gradients_of_inputs_only
from unsup_fast.models.networks.equalized import EqualizedConv2d, EqualizedLinear

Critic = Callable[[Tensor], Tensor]
"""Scores [B] of samples [B, ...]."""


def squared_gradient_norm(scores: Tensor, x: Tensor) -> Tensor:
    """Return |d score_i / d x_i|^2 for each sample: [B], with a graph.

    Half of its mean, times a weight, is R1 on real samples and R2 on generated ones (Mescheder et
    al. 2018).

    Parameters
    ----------
    scores : tensor of shape (B,)
        Scores of x, whose graph has x. One sample's score must not depend on another sample, as it
        does with batch norm.
    x : tensor of shape (B, ...)
        Samples that require a gradient.
    """
    with gradients_of_inputs_only():
        (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return gradient.square().flatten(1).sum(1)


def gradient_penalty(critic: Critic, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Return (|grad D(x)| - 1)^2 at x = mix real + (1 - mix) fake: [B] (Gulrajani et al. 2017).

    Parameters
    ----------
    critic : callable
    real, fake : tensors of shape (B, ...)
    mix : tensor of shape (B,)
        Numbers from 0 to 1, drawn for each pair.
    """
    weight = mix.view(-1, *[1] * (real.ndim - 1))
    x = torch.lerp(fake.detach(), real.detach(), weight).requires_grad_()
    # the root of a gradient that is zero has no derivative
    norm = squared_gradient_norm(critic(x), x).clamp_min(1e-24).sqrt()
    return (norm - 1).square()


def drift(scores: Tensor) -> Tensor:
    """Return E[D(x)^2] of real samples: [] (Karras et al. 2018, appendix A.1).

    A critic's loss does not change if all scores move by one number; times a small weight, this
    keeps them near zero.
    """
    return scores.square().mean()


@torch.no_grad()
def clip_weights(weights: Iterable[Tensor], limit: float) -> None:
    """Cut weights off at +-limit, in place (Arjovsky et al. 2017)."""
    for weight in weights:
        weight.clamp_(-limit, limit)


def spectrally_normalize(network: nn.Module) -> None:
    """Divide each layer's weights by their largest singular value, from now on.

    By one step of the power method in each forward pass of training (Miyato et al. 2018). For the
    layers of our networks: `Conv2d`, matrices and embeddings.

    Raises
    ------
    ValueError
        If the network has equalised layers, which scale their weights themselves.
    """
    if any(isinstance(module, EqualizedConv2d | EqualizedLinear) for module in network.modules()):
        raise ValueError(
            "spectral_norm=True is for networks without equalised layers, whose weights have a "
            'scale of their own; pass spectral_norm=False, or another network such as "r3gan"'
        )
    for module in network.modules():
        if isinstance(module, Conv2d | nn.Linear | nn.Embedding):
            weight = module.weight
            if not weight.is_meta and not bool(weight.any()):  # zero has no direction to normalise
                nn.init.orthogonal_(weight)
            parametrizations.spectral_norm(module)
