"""`Config`: the configuration of a variational autoencoder, and its network."""

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor, nn

from unsup_fast.models.base import CUSTOM, check_classes, check_one_of, check_shape, whole
from unsup_fast.models.networks import conv, mlp
from unsup_fast.models.networks.conv import Conv
from unsup_fast.models.networks.mlp import MLP
from unsup_fast.models.training.data import as_samples, check_pictures
from unsup_fast.models.vae.likelihood import LIKELIHOODS

NETWORKS: dict[str, type[MLP] | type[Conv]] = {"mlp": MLP, "conv": Conv}
SIZES = {"mlp": tuple(mlp.WIDTHS), "conv": tuple(conv.WIDTHS)}
MOST_LATENTS = 1 << 20


@dataclass(frozen=True)
class Config:
    """Configuration of a model: all that it takes to build it again.

    Attributes
    ----------
    shape : tuple of int
        Shape of a sample: (C, H, W) for pictures, (D,) for rows.
    classes : tuple of str
        Names of the classes to condition on; none by default.
    network : {"mlp", "conv", "custom"}
        "custom" is your own module, with methods encode(x [B, ...], label [B] or None) -> means and
        log variances [B, 2 latent], and decode(z [B, latent], label) -> [B, outputs C, ...], where
        outputs is 2 for the likelihood "logistic" (means, then log scales) and else 1.
    size : {"tiny", "small", "base", "large"}
        Size of the network; a convolutional one is at most "base".
    latent : int
        Number of latents.
    likelihood : {"bernoulli", "gaussian", "logistic"}
        Distribution of the data for the decoder's output; see `vae.likelihood`.

    Raises
    ------
    ValueError
        If values do not fit each other.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    network: str = "mlp"
    size: str = "small"
    latent: int = 50
    likelihood: str = "bernoulli"

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(whole("shape", side) for side in self.shape))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "latent", whole("latent", self.latent))
        check_classes(self.classes)
        check_shape(self.shape)
        check_one_of("network", self.network, (*NETWORKS, CUSTOM))
        check_one_of("size", self.size, SIZES.get(self.network, SIZES["mlp"]))
        check_one_of("likelihood", self.likelihood, tuple(LIKELIHOODS))
        if self.network == "conv" and len(self.shape) != 3:
            raise ValueError(f'shape={self.shape} must be (C, H, W) for network="conv"')
        if not 1 <= self.latent <= MOST_LATENTS:
            raise ValueError(f"latent={self.latent} must be from 1 to {MOST_LATENTS}")


class Network(nn.Module):
    """The encoder and decoder of a model, with the variance of its likelihood.

    Parameters
    ----------
    body : torch.nn.Module
        A module with `encode` and `decode`; see `Config.network`.
    config : Config
    """

    def __init__(self, body: nn.Module, config: Config) -> None:
        super().__init__()
        self.body = body
        learned = LIKELIHOODS[config.likelihood].learned_variance
        self.log_std = nn.Parameter(torch.zeros(())) if learned else None

    def encode(self, x: Tensor, label: Tensor | None) -> Tensor:
        """Return means and log variances [B, 2 Z] of the latents of x [B, ...]."""
        return self.body.encode(x, label)  # type: ignore[operator]

    def decode(self, z: Tensor, label: Tensor | None) -> Tensor:
        """Return the output [B, outputs C, ...] for latents z [B, Z]."""
        return self.body.decode(z, label)  # type: ignore[operator]


def checked_samples(x: Tensor | npt.NDArray[Any], config: Config) -> Tensor:
    """Return samples of a model's shape as a tensor on the host, uint8 or float32.

    Raises
    ------
    TypeError, ValueError
        If they are of another shape, not finite, or for the likelihood no pictures in [-1, 1].
    """
    samples = as_samples(x, config.shape)
    if config.likelihood != "gaussian":
        check_pictures(samples, ', or take likelihood="gaussian"')
    return samples


def network_of(config: Config, seed: int) -> Network:
    """Return a new network with weights drawn from a seed, channels-last for speed.

    Raises
    ------
    ValueError
        If the network is "custom".
    """
    if config.network == CUSTOM:
        raise ValueError('network="custom" is one of your own; pass the network itself')
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body = NETWORKS[config.network](
            config.shape,
            config.latent,
            LIKELIHOODS[config.likelihood].outputs,
            config.size,
            len(config.classes),
        )
    body.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Network(body, config)
