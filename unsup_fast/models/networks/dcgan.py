"""`DCGANGenerator` and `DCGANDiscriminator`: strided convolutions of Radford et al. 2016.

Sides are halved while they are even and above 7, so MNIST's go 28, 14, 7. Of the discriminator's
norms "batch" is the paper's and "layer" that of WGAN-GP, whose penalty needs samples that do not
depend on each other (Gulrajani et al. 2017).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.models.networks.conv2d import Conv2d
from unsup_fast.models.networks.sides import halved

LARGEST_START = 7  # sides that are not halved
WIDTHS = {"tiny": 24, "small": 48, "base": 64, "large": 128}
"""Channels at full resolution, of each size; they double with each halving."""
MOST = 512
STD = 0.02  # of weights at first
NORMS = ("batch", "layer", "none")


def widths(shape: tuple[int, ...], size: str) -> list[int]:
    """Return the channels after each halving of the sides."""
    levels = len(halved(shape[1:], LARGEST_START)) - 1
    return [min(MOST, WIDTHS[size] * 2**level) for level in range(levels)]


def _initialize(module: nn.Module) -> None:
    """Draw weights from N(0, STD^2), as the paper does."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, std=STD)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, mean=1.0, std=STD)


class DCGANGenerator(nn.Module):
    """Pictures in [-1, 1] from latents [B, n_inputs].

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of a picture.
    n_inputs : int
    size : str
        One of `WIDTHS`.
    """

    def __init__(self, shape: tuple[int, ...], n_inputs: int, size: str) -> None:
        super().__init__()
        sides = halved(shape[1:], LARGEST_START)
        channels = widths(shape, size)[::-1]  # from the smallest sides up
        self.start_shape = (channels[0], *sides[-1])
        height, width = sides[-1]
        self.start = nn.Linear(n_inputs, channels[0] * height * width, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for width in channels)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(a, b, 4, stride=2, padding=1, bias=last)
            for a, b, last in zip(
                channels,
                (*channels[1:], shape[0]),
                (*[False] * (len(channels) - 1), True),
                strict=True,
            )
        )
        self.apply(_initialize)

    def forward(self, z: Tensor) -> Tensor:
        """Return pictures [B, C, H, W]."""
        h = self.start(z).view(len(z), *self.start_shape)
        h = h.contiguous(memory_format=torch.channels_last)
        for norm, layer in zip(self.norms, self.up, strict=True):
            h = layer(torch.relu(norm(h)))
        return torch.tanh(h)


class DCGANDiscriminator(nn.Module):
    """Features [B, n_features] of pictures.

    Parameters
    ----------
    shape : (int, int, int)
    size : str
        One of `WIDTHS`.
    norm : {"batch", "layer", "none"}
        Of all but the first layer.

    Attributes
    ----------
    n_features : int
    """

    def __init__(self, shape: tuple[int, ...], size: str, norm: str) -> None:
        super().__init__()
        sides, channels = halved(shape[1:], LARGEST_START), widths(shape, size)
        self.down = nn.ModuleList(
            Conv2d(a, b, 4, STD, stride=2, padding=1)
            for a, b in zip((shape[0], *channels[:-1]), channels, strict=True)
        )
        n_biases = len(channels) if norm == "none" else 1  # norms have their own
        self.biases = nn.ParameterList(
            nn.Parameter(torch.zeros(width)) for width in channels[:n_biases]
        )
        kinds: dict[str, Callable[[int], nn.Module]] = {
            "batch": nn.BatchNorm2d,
            "layer": lambda width: nn.GroupNorm(1, width),
            "none": nn.Identity,
        }
        self.norms = nn.ModuleList(
            nn.Identity() if i == 0 else kinds[norm](width) for i, width in enumerate(channels)
        )
        self.n_features = channels[-1] * sides[-1][0] * sides[-1][1]
        self.apply(_initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, n_features]."""
        for level, (layer, norm) in enumerate(zip(self.down, self.norms, strict=True)):
            bias = self.biases[level] if level < len(self.biases) else None
            x = bias_act(norm(layer(x)), bias, gain=1.0)
        return x.flatten(1)
