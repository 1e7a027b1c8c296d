"""`Config`: the configuration of a GAN, and its two networks."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from unsup_fast.models.base import CUSTOM, check_classes, check_one_of, check_shape, whole
from unsup_fast.models.gan.penalties import spectrally_normalize
from unsup_fast.models.gan.recipes import Recipe
from unsup_fast.models.networks import dcgan, perceptron, r3gan
from unsup_fast.models.networks.adversaries import CONDITIONINGS, Discriminator, Generator

SIZES = {
    "r3gan": tuple(r3gan.SIZES),
    "dcgan": tuple(dcgan.WIDTHS),
    "mlp": tuple(perceptron.WIDTHS),
}
MOST_LATENTS = 1 << 16
NetworkT = TypeVar("NetworkT", bound=nn.Module)


@dataclass(frozen=True)
class Config:
    """Configuration of a model: all that it takes to build it again.

    Attributes
    ----------
    shape : tuple of int
        Shape of a sample: (C, H, W) for pictures, whose values lie in [-1, 1], (D,) for rows.
    classes : tuple of str
        Names of the classes to condition on; none by default.
    network : {"r3gan", "dcgan", "mlp", "custom"}
        "custom" is your own pair of modules, a generator (z [B, latent], label [B] or None) ->
        [B, *shape] and a discriminator (x [B, *shape], label) -> [B].
    size : {"tiny", "small", "base", "large"}
        Size of both networks.
    latent : int
        Number of latents, of which samples are drawn.
    conditioning : {"projection", "concat"}
        How the discriminator learns of the class; see `networks.adversaries`.

    Raises
    ------
    ValueError
        If values do not fit each other.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    network: str = "r3gan"
    size: str = "small"
    latent: int = 64
    conditioning: str = "projection"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(whole("shape", side) for side in self.shape))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "latent", whole("latent", self.latent))
        check_classes(self.classes)
        check_shape(self.shape)
        check_one_of("network", self.network, (*SIZES, CUSTOM))
        check_one_of("size", self.size, SIZES.get(self.network, SIZES["r3gan"]))
        check_one_of("conditioning", self.conditioning, CONDITIONINGS)
        if self.network in ("r3gan", "dcgan") and len(self.shape) != 3:
            raise ValueError(
                f'shape={self.shape} must be (C, H, W) for network="{self.network}"; pass '
                'network="mlp" for rows'
            )
        if not 1 <= self.latent <= MOST_LATENTS:
            raise ValueError(f"latent={self.latent} must be from 1 to {MOST_LATENTS}")

    @property
    def pictures(self) -> bool:
        """Return whether samples are pictures."""
        return len(self.shape) == 3


def generator_of(config: Config, seed: int) -> Generator:
    """Return a new generator with weights drawn from a seed, channels-last for speed.

    Raises
    ------
    ValueError
        If the network is "custom", or does not fit the sides of pictures.
    """
    _check_own(config)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        n_inputs = Generator.inputs(config.latent, len(config.classes))
        body: nn.Module
        if config.network == "r3gan":
            body = r3gan.R3GANGenerator(config.shape, n_inputs, config.size)
        elif config.network == "dcgan":
            body = dcgan.DCGANGenerator(config.shape, n_inputs, config.size)
        else:
            body = perceptron.Perceptron(n_inputs, config.size, config.shape)
        generator = Generator(body, config.latent, len(config.classes))
    return _channels_last(generator)


def discriminator_of(config: Config, recipe: Recipe, seed: int) -> Discriminator:
    """Return a new discriminator with weights drawn from a seed; see `generator_of`."""
    _check_own(config)
    n_classes = len(config.classes)
    shape = Discriminator.inputs(config.shape, n_classes, config.conditioning)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body: nn.Module
        if config.network == "r3gan":
            body = r3gan.R3GANDiscriminator(shape, config.size)
            n_features = body.n_features
        elif config.network == "dcgan":
            body = dcgan.DCGANDiscriminator(shape, config.size, recipe.norm)
            n_features = body.n_features
        else:
            body = perceptron.Perceptron(torch.Size(shape).numel(), config.size)
            n_features = perceptron.WIDTHS[config.size][-1]
        discriminator = Discriminator(
            body, n_features, config.shape, n_classes, config.conditioning
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


def bounded(x: Tensor, config: Config) -> Tensor:
    """Return generated samples, of pictures those in [-1, 1]."""
    return x.clamp(-1, 1) if config.pictures else x
