"""Samples of a generator that has styles, and of one that has none, by one call.

All draws of a sample follow from its seed: streams of `randn` separate its latents (0), class (1),
second latents and cut-off of style mixing, direction of path lengths, and each layer's noise.
"""

from typing import cast

import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.kernels.randn import randn
from unsup_fast.models.networks.adversaries import Generator
from unsup_fast.models.networks.stylegan import StyleGenerator
from unsup_fast.models.training.draws import spread_seed

SECOND, MIXING, DIRECTION = 2, 3, 4  # streams
N_MEAN = 1000  # latents whose styles make the mean of a class


def body_of(network: Module) -> StyleGenerator | None:
    """Return the body of a generator that has styles; None of another network."""
    if isinstance(network, Generator) and isinstance(network.body, StyleGenerator):
        return network.body
    return None


def required_body(network: Module) -> StyleGenerator:
    """Return the body of a generator that has styles.

    Raises
    ------
    ValueError
        If it has none.
    """
    body = body_of(network)
    if body is None:
        raise ValueError(
            'the model\'s network has no styles; pass a model of the network "stylegan2" or '
            '"stylegan"'
        )
    return body


def checked_styles(body: StyleGenerator, w: Tensor) -> Tensor:
    """Return styles (n, W) or (n, L, W) in float32 on the body's device.

    Raises
    ------
    ValueError
        If they have another shape.
    """
    w = torch.as_tensor(w, dtype=torch.float32, device=body.w_avg.device)
    shape = (body.n_styles, body.width)
    if w.ndim not in (2, 3) or w.shape[1:] != shape[3 - w.ndim :] or not len(w):
        raise ValueError(
            f"styles have shape {tuple(w.shape)}; the model takes (n, {body.width}), or "
            f"(n, {body.n_styles}, {body.width}), n at least 1"
        )
    return w


def styles_of(network: Module, z: Tensor, label: Tensor | None) -> Tensor:
    """Return the styles w [B, W] of latents z [B, Z] and classes [B], of a network with styles."""
    generator = cast(Generator, network)
    return cast(StyleGenerator, generator.body).map(generator.embed(z, label))


def truncated_styles(network: Module, w: Tensor, psi: float, label: Tensor | None = None) -> Tensor:
    """Return m + psi (w - m) of styles w [B, W] or [B, L, W] (Karras et al. 2019, appendix B).

    m is w_avg or, with classes [B], the mean style of the class of each.
    """
    mean = required_body(network).w_avg if label is None else class_means(network, label)
    if label is not None and w.ndim == 3:
        mean = mean[:, None]  # [B, 1, W]
    return torch.lerp(mean.expand_as(w), w, psi)


def class_means(network: Module, label: Tensor) -> Tensor:
    """Return the mean style of each class in label [B], over the same latents: [B, W]."""
    latent = required_body(network).mapping.latent
    z = randn((N_MEAN, latent), seed=spread_seed(0, N_MEAN), device=label.device)
    classes, inverse = label.unique(return_inverse=True)
    means = [styles_of(network, z, each.expand(N_MEAN)).mean(0) for each in classes]
    return torch.stack(means)[inverse]


def generate(
    network: Module,
    z: Tensor,
    label: Tensor | None,
    seeds: Tensor | None = None,
    psi: float | None = None,
) -> Tensor:
    """Return samples [B, ...] of any generator.

    Parameters
    ----------
    network : torch.nn.Module
    z : tensor of shape (B, Z)
    label : tensor of shape (B,), optional
    seeds : int64 tensor of shape (B,), optional
        On the host. Of noise, for a network with styles.
    psi : float, optional
        Truncation of styles.
    """
    body = body_of(network)
    if body is None:
        return cast(Tensor, network(z, label))
    w = styles_of(network, z, label)
    if psi is not None:
        w = truncated_styles(network, w, psi, label)
    return body.synthesize(body.repeated(w), seeds)


def mixed_styles(
    network: Module, z: Tensor, label: Tensor | None, seeds: Tensor, probability: float
) -> Tensor:
    """Return the styles [B, L, W] of samples, some of which mix those of two latents.

    With this probability the styles from a layer on, drawn from 1 to L - 1 with equal chances, are
    those of second latents of the same class, so that layers do not count on each other's styles
    (Karras et al. 2019, section 3.1).

    Parameters
    ----------
    network : torch.nn.Module
        With styles.
    z : tensor of shape (B, Z)
    label : tensor of shape (B,), optional
    seeds : int64 tensor of shape (B,)
        Of the samples; second latents and the layer follow from them.
    probability : float
    """
    body = required_body(network)
    ws = body.repeated(styles_of(network, z, label))  # [B, L, W]
    if not probability:
        return ws
    second = randn(tuple(z.shape), seed=seeds, stream=SECOND, device=z.device)
    others = styles_of(network, second.to(z.dtype), label)[:, None]  # [B, 1, W]
    first = first_mixed_layers(seeds, body.n_styles, probability).to(z.device)  # [B]
    layers = torch.arange(body.n_styles, device=z.device)
    return torch.where((layers < first[:, None])[:, :, None], ws, others)


def first_mixed_layers(seeds: Tensor, n_styles: int, probability: float) -> Tensor:
    """Return the first layer of the second styles for each seed [B]; n_styles for none."""
    size, device = (len(seeds), 2), seeds.device
    normal = randn(size, seed=seeds, stream=MIXING, dtype=torch.float64, device=device)
    chance, position = torch.special.ndtr(normal).unbind(1)  # [B], from 0 to 1
    first = 1 + (position * (n_styles - 1)).long().clamp(max=n_styles - 2)
    return torch.where(chance < probability, first, n_styles)
