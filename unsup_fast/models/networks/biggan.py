"""`BigGANGenerator` and `BigGANDiscriminator`: residual networks of Brock et al. 2019 (BigGAN).

Latents are hierarchical (section 3.1 there): they are cut into chunks, of which the first makes the
start of the generator and each of the others is the condition of one block, together with the
embedding of the class that all blocks share. If the number of latents is no multiple of the number
of chunks, the first chunks have one more. Both networks have self-attention at the resolution
nearest to 16 (Zhang et al. 2019), and matrices that are orthogonal at first.

All layers of the generator have the spectral norm 1, which is a part of it: saved models have it
too. Of the first layer it would leave outputs of variance latents / outputs, which biases that are
learned at the same rate soon outgrow: samples of a class become one picture. These outputs are
therefore scaled to variance 1, and the weights are stored larger by the same factor, which the norm
takes out again but which keeps Adam's steps small in proportion. The table of class embeddings is
no layer and keeps its scale, that of the latents which it is appended to. The discriminator's
spectral norms are those of its recipe.
"""

import math
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.models.networks.biggan_layers import ConditionalBatchNorm, SelfAttention
from unsup_fast.models.networks.conv2d import Conv2d
from unsup_fast.models.networks.sides import halved
from unsup_fast.models.networks.spectral import spectrally_normalize

LARGEST_START = 7  # sides that are not halved
ATTENDED = 16  # side that attention is nearest to
MOST_PIXELS = 2048  # that attention is between


class Size(NamedTuple):
    """Dimensions of both networks."""

    channels: int
    """Channels at full resolution; they double with each halving."""
    most: int
    """Channels at most."""


SIZES = {
    "tiny": Size(16, 64),
    "small": Size(32, 128),
    "base": Size(64, 512),
    "large": Size(96, 1024),
}
"""Dimensions by name."""


def stages(shape: tuple[int, ...], size: str) -> tuple[list[tuple[int, int]], list[int]]:
    """Return the sides and the channels of each resolution, from full down."""
    sides = halved(shape[1:], LARGEST_START)
    channels = [min(SIZES[size].most, SIZES[size].channels * 2**i) for i in range(len(sides))]
    return sides, channels


def attended(sides: list[tuple[int, int]]) -> int:
    """Return the index of the resolution with attention, that whose longer side is nearest to 16.

    Raises
    ------
    ValueError
        If it has too many pixels.
    """
    level = min(range(len(sides)), key=lambda i: abs(math.log2(max(sides[i]) / ATTENDED)))
    height, width = sides[level]
    if height * width > MOST_PIXELS:
        raise ValueError(
            f"sides {sides[0][0]} x {sides[0][1]} have no resolution for attention, which is "
            f"between at most {MOST_PIXELS} pixels: {height} x {width} is the nearest; pass "
            f"pictures whose sides can be halved to about {ATTENDED}"
        )
    return level


def chunk_sizes(latent: int, n_chunks: int) -> list[int]:
    """Return the latents of each chunk; the first `latent % n_chunks` have one more.

    Raises
    ------
    ValueError
        If there are fewer latents than chunks.
    """
    if latent < n_chunks:
        raise ValueError(
            f"latent={latent} must be at least {n_chunks}: the start of the generator and each of "
            f"its {n_chunks - 1} blocks take latents of their own"
        )
    size, more = divmod(latent, n_chunks)
    return [size + (i < more) for i in range(n_chunks)]


def _conv(a: int, b: int, kernel: int) -> Conv2d:
    return Conv2d(a, b, kernel, 1.0, padding=kernel // 2)


def _initialize(module: nn.Module) -> None:
    """Draw orthogonal weights (Saxe et al. 2014)."""
    if isinstance(module, Conv2d | nn.Linear):
        nn.init.orthogonal_(module.weight)


class UpBlock(nn.Module):
    """A residual block that doubles the sides, conditional on [B, n_inputs]."""

    def __init__(self, inputs: int, outputs: int, n_inputs: int) -> None:
        super().__init__()
        self.norm1 = ConditionalBatchNorm(inputs, n_inputs)
        self.conv1 = _conv(inputs, outputs, 3)
        self.norm2 = ConditionalBatchNorm(outputs, n_inputs)
        self.conv2 = _conv(outputs, outputs, 3)
        self.skip = _conv(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """Return [B, outputs, 2 H, 2 W] for x [B, inputs, H, W]."""
        h = _double(torch.relu(self.norm1(x, condition)))  # [B, inputs, 2 H, 2 W]
        h = self.conv2(torch.relu(self.norm2(self.conv1(h), condition)))
        return cast(Tensor, h + _double(self.skip(x)))  # a 1 x 1 convolution may come first


class DownBlock(nn.Module):
    """A residual block that halves the sides, or keeps sides and channels."""

    def __init__(self, inputs: int, outputs: int, *, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.bias1 = nn.Parameter(torch.zeros(inputs))
        self.conv1 = _conv(inputs, outputs, 3)
        self.bias2 = nn.Parameter(torch.zeros(outputs))
        self.conv2 = _conv(outputs, outputs, 3)
        self.skip = _conv(inputs, outputs, 1) if halves else None

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H / 2, W / 2], or of unchanged sides, for x [B, inputs, H, W]."""
        h = self.conv1(bias_act(x, self.bias1, slope=0.0, gain=1.0))
        h = self.conv2(bias_act(h, self.bias2, slope=0.0, gain=1.0))
        if self.skip is None:
            return cast(Tensor, x + h)
        return F.avg_pool2d(h, 2) + self.skip(F.avg_pool2d(x, 2))


class BigGANGenerator(nn.Module):
    """Pictures in [-1, 1] from latents with the embedding of the class appended to them.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of a picture.
    n_inputs : int
        Numbers of latents and embedding.
    size : str
        One of `SIZES`.
    latent : int
        How many of the inputs are latents; the others are the embedding.

    Raises
    ------
    ValueError
        If sides cannot be halved, or there are too few latents.
    """

    def __init__(self, shape: tuple[int, ...], n_inputs: int, size: str, latent: int) -> None:
        super().__init__()
        sides, channels = stages(shape, size)
        self.attends = len(sides) - 1 - attended(sides)  # counted from the smallest sides
        sides, channels = sides[::-1], channels[::-1]
        self.chunks = chunk_sizes(latent, len(sides))
        self.split = [latent, n_inputs - latent]
        self.start_shape = (channels[0], *sides[0])
        n_outputs = math.prod(self.start_shape)
        self.scale = math.sqrt(n_outputs / self.chunks[0])
        self.start = nn.Linear(self.chunks[0], n_outputs, bias=False)
        self.start_bias = nn.Parameter(torch.zeros(n_outputs))
        self.blocks = nn.ModuleList(
            UpBlock(channels[i], channels[i + 1], n_inputs - latent + self.chunks[i + 1])
            for i in range(len(sides) - 1)
        )
        self.attention = SelfAttention(channels[self.attends])
        self.norm = nn.BatchNorm2d(channels[-1])
        self.out = _conv(channels[-1], shape[0], 3)
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.apply(_initialize)
        with torch.no_grad():
            self.start.weight.mul_(self.scale)
        spectrally_normalize(self)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return pictures [B, C, H, W] for inputs [B, n_inputs]."""
        z, embedding = inputs.split(self.split, 1)  # [B, latent], [B, E]
        first, *chunks = z.split(self.chunks, 1)
        h = self.start(first) * self.scale + self.start_bias
        h = h.view(len(z), *self.start_shape)
        h = h.contiguous(memory_format=torch.channels_last)
        if self.attends == 0:
            h = self.attention(h)
        for i, (block, chunk) in enumerate(zip(self.blocks, chunks, strict=True), 1):
            h = block(h, torch.cat([embedding, chunk], 1))
            if self.attends == i:
                h = self.attention(h)
        out = self.out(torch.relu(self.norm(h)))  # [B, C, H, W]
        return torch.tanh(out + self.bias[:, None, None])


class BigGANDiscriminator(nn.Module):
    """Features [B, n_features] of pictures, sums over the pixels of the smallest resolution.

    Parameters
    ----------
    shape : (int, int, int)
    size : str
        One of `SIZES`.

    Attributes
    ----------
    n_features : int
    """

    def __init__(self, shape: tuple[int, ...], size: str) -> None:
        super().__init__()
        sides, channels = stages(shape, size)
        self.attends = attended(sides)
        self.enter = _conv(shape[0], channels[0], 3)
        self.attention = SelfAttention(channels[self.attends])
        self.blocks = nn.ModuleList(
            DownBlock(channels[i], channels[min(i + 1, len(sides) - 1)], halves=i < len(sides) - 1)
            for i in range(len(sides))
        )
        self.bias = nn.Parameter(torch.zeros(channels[-1]))
        self.n_features = channels[-1]
        self.apply(_initialize)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, n_features]."""
        h = self.enter(x)
        for level, block in enumerate(self.blocks):
            if level == self.attends:
                h = self.attention(h)
            h = block(h)
        return bias_act(h, self.bias, slope=0.0, gain=1.0).sum((2, 3))


def _double(x: Tensor) -> Tensor:
    """Return pictures whose pixels are repeated, [B, C, 2 H, 2 W]."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")
