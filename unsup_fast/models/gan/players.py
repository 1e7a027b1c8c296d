"""The two players: a new generator and a new discriminator of a configuration."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import nn

from unsup_fast.models.base import CUSTOM
from unsup_fast.models.gan.config import Config
from unsup_fast.models.gan.projected import projected
from unsup_fast.models.gan.recipes import Recipe
from unsup_fast.models.networks import biggan, dcgan, perceptron, progressive, r3gan, stylegan
from unsup_fast.models.networks.adversaries import Discriminator, Generator
from unsup_fast.models.networks.equalized import EqualizedLinear
from unsup_fast.models.networks.spectral import spectrally_normalize

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class Kind(NamedTuple):
    """The bodies of a network; see `networks.adversaries`.

    Attributes
    ----------
    generator : callable (config, n_inputs) -> Module
    discriminator : callable (config, recipe, shape) -> Module
        Shape is that of the body's input. The module has an attribute `n_features`.
    linear : callable (inputs, outputs) -> Module
        The layer from features to the score.
    """

    generator: Callable[[Config, int], nn.Module]
    discriminator: Callable[[Config, Recipe, tuple[int, ...]], nn.Module]
    linear: Callable[[int, int], nn.Module] = nn.Linear


KINDS = {
    "r3gan": Kind(
        generator=lambda config, n: r3gan.R3GANGenerator(config.shape, n, config.size),
        discriminator=lambda config, _, shape: r3gan.R3GANDiscriminator(shape, config.size),
    ),
    "dcgan": Kind(
        generator=lambda config, n: dcgan.DCGANGenerator(config.shape, n, config.size),
        discriminator=lambda config, recipe, shape: dcgan.DCGANDiscriminator(
            shape, config.size, recipe.norm
        ),
    ),
    "biggan": Kind(
        generator=lambda config, n: biggan.BigGANGenerator(
            config.shape, n, config.size, config.latent
        ),
        discriminator=lambda config, _, shape: biggan.BigGANDiscriminator(shape, config.size),
    ),
    "mlp": Kind(
        generator=lambda config, n: perceptron.Perceptron(n, config.size, config.shape),
        discriminator=lambda config, _, shape: perceptron.Perceptron(
            torch.Size(shape).numel(), config.size
        ),
    ),
    "progressive": Kind(
        generator=lambda config, n: progressive.ProgressiveGenerator(config.shape, n, config.size),
        discriminator=lambda config, _, shape: progressive.ProgressiveDiscriminator(
            shape, config.size
        ),
        linear=EqualizedLinear,
    ),
    "stylegan2": Kind(
        generator=lambda config, n: stylegan.StyleGenerator(
            config.shape, n, config.latent, config.size
        ),
        discriminator=lambda config, _, shape: stylegan.StyleDiscriminator(shape, config.size),
    ),
    "stylegan": Kind(
        generator=lambda config, n: stylegan.StyleGenerator(
            config.shape, n, config.latent, config.size, adaptive=True
        ),
        discriminator=lambda config, _, shape: stylegan.StyleDiscriminator(shape, config.size),
    ),
}
"""By `Config.network`."""


def generator_of(config: Config, seed: int) -> Generator:
    """Return a new generator with weights drawn from a seed, channels-last for speed.

    Raises
    ------
    ValueError
        If the network is "custom", or does not fit the sides of pictures.
    """
    _check_own(config)
    n_classes = len(config.classes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = KINDS[config.network].generator(config, Generator.inputs(config.latent, n_classes))
        generator = Generator(body, config.latent, n_classes)
    return _channels_last(generator)


def discriminator_of(config: Config, recipe: Recipe, seed: int) -> nn.Module:
    """Return a new discriminator with weights drawn from a seed; see `generator_of`."""
    _check_own(config)
    n_classes = len(config.classes)
    shape = Discriminator.inputs(config.shape, n_classes, config.conditioning)
    discriminator: nn.Module
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if recipe.discriminator == "projected":
            discriminator = projected(config.shape, config.size, n_classes, config.conditioning)
        else:
            kind = KINDS[config.network]
            body = kind.discriminator(config, recipe, shape)
            discriminator = Discriminator(
                body, config.shape, n_classes, config.conditioning, linear=kind.linear
            )
        if recipe.spectral_norm:
            spectrally_normalize(discriminator)
    return _channels_last(discriminator)


def _check_own(config: Config) -> None:
    if config.network == CUSTOM:
        raise ValueError(
            'network="custom" is a pair of your own; pass generator and discriminator themselves'
        )


def _channels_last(network: NetworkT) -> NetworkT:
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
