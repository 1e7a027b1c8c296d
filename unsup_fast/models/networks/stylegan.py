"""`StyleGenerator` and `StyleDiscriminator`: the networks of StyleGAN and StyleGAN2.

A mapping network turns latents into a style w, and styles control each layer of a synthesis network
that begins with a learned constant (Karras et al. 2019, the notes' 4.4.5). By modulated
convolutions it is StyleGAN2, by AdaIN StyleGAN; see `modulated`. Both have StyleGAN2's skip
connections of the generator, whose pictures of all resolutions are added up, and its residual
discriminator (Karras et al. 2020, section 4.1), and the equalised learning rate of `equalized`.

Sides are doubled by the filter [1, 3, 3, 1] before a convolution. The discriminator halves them
before the second convolution of a block, where the paper strides: as much work, on fewer pixels.
"""

import math
from functools import partial
from itertools import pairwise
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.kernels.randn import randn
from unsup_fast.models.networks.equalized import (
    EqualizedConv2d,
    EqualizedLinear,
    append_minibatch_std,
    pixel_norm,
)
from unsup_fast.models.networks.full_precision import full_precision
from unsup_fast.models.networks.modulated import (
    AdaptiveConv2d,
    Convolution,
    ModulatedConv2d,
    StyledLayer,
    ToPicture,
)
from unsup_fast.models.networks.resample import double, halve
from unsup_fast.models.networks.sides import halved

LARGEST_START = 7  # sides that are not halved
MAPPING_RATE = 0.01  # learning rate of the mapping network, relative to that of the rest
NOISE_STREAM = 1 << 16
"""The stream of `randn` that the first layer's noise is drawn from; that of layer l is l more."""
GROUP = 4  # samples of a group of the minibatch standard deviation


class Size(NamedTuple):
    """Dimensions of both networks."""

    width: int
    """Numbers of a style."""
    channels: int
    """Channels at full resolution; they double with each halving."""
    most: int
    """Channels at most."""
    mapping: int
    """Layers of the mapping network."""


SIZES = {
    "tiny": Size(64, 16, 64, 4),
    "small": Size(128, 32, 128, 4),
    "base": Size(512, 64, 512, 8),
    "large": Size(512, 128, 512, 8),
}
"""By name."""


def stages(shape: tuple[int, ...], size: Size) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the sides and the channels of each resolution, from full down."""
    sides = halved(shape[1:], LARGEST_START)
    return sides, [min(size.most, size.channels * 2**level) for level in range(len(sides))]


class Mapping(nn.Module):
    """Styles [B, W] from latents and the embedding of a class, each normalised to length sqrt(n).

    Parameters
    ----------
    n_inputs : int
    latent : int
        Number of latents; what follows them in the inputs is the embedding.
    size : Size
    """

    def __init__(self, n_inputs: int, latent: int, size: Size) -> None:
        super().__init__()
        self.latent = latent
        widths = (n_inputs, *[size.width] * size.mapping)
        self.layers = nn.ModuleList(
            EqualizedLinear(a, b, multiplier=MAPPING_RATE) for a, b in pairwise(widths)
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Return [B, W] for inputs [B, n_inputs]; in float32 also under autocast."""
        parts = inputs.tensor_split((self.latent,), dim=1)
        with full_precision(inputs):
            w = torch.cat([pixel_norm(part) if part.shape[1] else part for part in parts], 1)
            for layer in self.layers:
                w = bias_act(layer(w))
        return w


class StyleGenerator(nn.Module):
    """Pictures from latents [B, n_inputs], which become styles; values are not bounded.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of a picture.
    n_inputs : int
    latent : int
        Number of latents among the inputs; see `Mapping`.
    size : str or Size
        One of `SIZES`, or dimensions of your own.
    adaptive : bool
        Whether layers are of StyleGAN's AdaIN, not StyleGAN2's modulated convolutions.

    Attributes
    ----------
    n_styles : int
        L, styles of a picture: two of each resolution, from the smallest up. The last of a
        resolution is also that of the next one's first layer (Karras et al. 2020).
    width : int
        W, numbers of a style.
    w_avg : tensor of shape (W,)
        Running mean of styles in training, to truncate towards.
    path_mean : tensor of shape ()
        Running mean of path lengths in training; 0 for none yet.
    """

    w_avg: Tensor
    path_mean: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        n_inputs: int,
        latent: int,
        size: str | Size,
        *,
        adaptive: bool = False,
    ) -> None:
        super().__init__()
        size = SIZES[size] if isinstance(size, str) else size
        sides, channels = stages(shape, size)
        sides, channels = sides[::-1], channels[::-1]  # from the smallest sides up
        conv: Convolution = AdaptiveConv2d if adaptive else ModulatedConv2d
        plain: Convolution = (
            AdaptiveConv2d if adaptive else partial(ModulatedConv2d, demodulate=False)
        )
        width = size.width
        self.mapping = Mapping(n_inputs, latent, size)
        self.start = nn.Parameter(torch.randn(channels[0], *sides[0]))
        self.layers = nn.ModuleList([StyledLayer(channels[0], channels[0], width, conv)])
        for a, b in pairwise(channels):
            self.layers.append(StyledLayer(a, b, width, conv))
            self.layers.append(StyledLayer(b, b, width, conv))
        self.to_picture = nn.ModuleList(ToPicture(c, shape[0], width, plain) for c in channels)
        self.n_styles, self.width = 2 * len(channels), width
        self.register_buffer("w_avg", torch.zeros(width))
        self.register_buffer("path_mean", torch.zeros(()))

    def forward(self, inputs: Tensor, seeds: Tensor | None = None) -> Tensor:
        """Return pictures [B, C, H, W] of one style each; parameters as below."""
        return self.synthesize(self.repeated(self.map(inputs)), seeds)

    def map(self, inputs: Tensor) -> Tensor:
        """Return styles w [B, W] of latents, with the embedding of a class, [B, n_inputs]."""
        return cast(Tensor, self.mapping(inputs))

    def repeated(self, w: Tensor) -> Tensor:
        """Return styles of all layers, [B, L, W], for w [B, W], or what has them already."""
        return w[:, None].expand(-1, self.n_styles, -1) if w.ndim == 2 else w

    def synthesize(self, ws: Tensor, seeds: Tensor | None = None) -> Tensor:
        """Return pictures [B, C, H, W].

        Parameters
        ----------
        ws : tensor of shape (B, L, W)
            Styles.
        seeds : int64 tensor of shape (B,), optional
            Seeds of the samples' noise. The noise of a layer follows from the seed and the layer's
            number alone. By default there is no noise.
        """
        styles = ws.unbind(1)  # L of [B, W]
        h = self.start.expand(len(ws), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        picture: Tensor | None = None
        for number, layer in enumerate(self.layers):
            if number % 2:  # the first layer of a resolution
                h = double(h)
            h = layer(h, styles[number], _noise(h, seeds, number))
            if number % 2 == 0:  # the last one
                part = self.to_picture[number // 2](h, styles[number + 1])
                picture = part if picture is None else double(picture) + part
        return cast(Tensor, picture)


def _noise(h: Tensor, seeds: Tensor | None, number: int) -> Tensor | None:
    """Return a layer's noise [B, 1, H, W] for features h [B, C, H, W]."""
    if seeds is None:
        return None
    shape = (len(h), 1, *h.shape[2:])
    return cast(Tensor, randn(shape, seed=seeds, stream=NOISE_STREAM + number, device=h.device))


class Residual(nn.Module):
    """A block of the discriminator: two convolutions and a skip connection, halving the sides."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = EqualizedConv2d(inputs, inputs, 3)
        self.second = EqualizedConv2d(inputs, outputs, 3)
        self.skip = EqualizedConv2d(inputs, outputs, 1)
        self.bias1 = nn.Parameter(torch.zeros(inputs))
        self.bias2 = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H / 2, W / 2] for x [B, inputs, H, W]."""
        h = bias_act(self.first(x), self.bias1)
        h = bias_act(self.second(halve(h)), self.bias2)
        return cast(Tensor, (h + self.skip(halve(x))) * math.sqrt(0.5))


class StyleDiscriminator(nn.Module):
    """Features [B, n_features] of pictures.

    The standard deviation of a minibatch is a channel of the last layers, so that the score of a
    sample depends on others, of its process and of its part of a batch. R1 differentiates the sum
    of the scores all the same, as the paper does. Features are divided by sqrt(n_features), which
    gives the layer of scores behind them the learning rate of the others.

    Parameters
    ----------
    shape : (int, int, int)
    size : str or Size
        As of `StyleGenerator`.

    Attributes
    ----------
    n_features : int
    """

    def __init__(self, shape: tuple[int, ...], size: str | Size) -> None:
        super().__init__()
        size = SIZES[size] if isinstance(size, str) else size
        sides, channels = stages(shape, size)
        last = channels[-1]
        self.enter = EqualizedConv2d(shape[0], channels[0], 1)
        self.enter_bias = nn.Parameter(torch.zeros(channels[0]))
        self.blocks = nn.Sequential(*(Residual(a, b) for a, b in pairwise(channels)))
        self.mix = EqualizedConv2d(last + 1, last, 3)
        self.mix_bias = nn.Parameter(torch.zeros(last))
        self.out = EqualizedLinear(last * math.prod(sides[-1]), last)
        self.n_features = last

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, n_features]."""
        h = self.blocks(bias_act(self.enter(x), self.enter_bias))
        h = self.mix(append_minibatch_std(h, GROUP))
        h = bias_act(h, self.mix_bias).flatten(1)
        return bias_act(self.out(h)) * self.n_features**-0.5
