"""Penalties on gradients and weights of the players, and clipped weights.

Spectral norms are in `networks.spectral`.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from unsup_fast.models.networks.conv2d import gradients_of_inputs_only
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


def matrices(network: nn.Module) -> list[tuple[Tensor, float]]:
    """Return the weights of matrices and convolutions of a network, and what each is multiplied by.

    That is 1 but for equalised layers. Tables of embeddings are left out. Of layers with a spectral
    norm they are the weights that are divided by it.
    """
    tables = {
        id(weight)
        for module in network.modules()
        if isinstance(module, nn.Embedding)
        for weight in module.parameters()
    }
    scales = {
        id(module.weight): module.scale
        for module in network.modules()
        if isinstance(module, EqualizedConv2d | EqualizedLinear)
    }
    weights = [weight for weight in network.parameters() if weight.ndim in (2, 4)]
    return [(weight, scales.get(id(weight), 1.0)) for weight in weights if id(weight) not in tables]


def orthogonal_penalty(weights: Iterable[Tensor]) -> Tensor:
    """Return the sum of squared inner products of different filters: shape ().

    With the filters of a layer as the rows of W it is the sum over layers of |W W^T o (1 - I)|^2
    (Brock et al. 2019, eq. 3), which leaves the lengths of filters free.

    Parameters
    ----------
    weights : iterable of tensors of shape (outputs, ...)
        At least one.
    """
    parts = []
    for weight in weights:
        gram = weight.flatten(1) @ weight.flatten(1).T  # [outputs, outputs]
        parts.append((gram - gram.diagonal().diag()).square().sum())
    return torch.stack(parts).sum()
