"""`ProgressiveGenerator` and `ProgressiveDiscriminator`: networks that grow (Karras et al. 2018).

Both have a stage for each resolution, from the smallest sides up, and a buffer `level`. A whole
level n means that the stages 0 to n are in use and samples have the sides of stage n. Between n and
n + 1 the new stage fades in (the paper's figure 2): with alpha = level - n, up and down for
nearest-neighbour enlarging and means of 2 x 2 squares, and stage n + 1 of each network

    generator:      (1 - alpha) up(toRGB_n(h_n)) + alpha toRGB_n+1(h_n+1)
    discriminator:  (1 - alpha) fromRGB_n(down(x)) + alpha down(h_n+1(fromRGB_n+1(x)))

so that samples and scores are continuous in the level, and stages that are not in use cost nothing.
The layers are those of the paper's table 2 for sides that are halved down to 4 to 7: equalised
convolutions, leaky ReLU, in the generator a pixel norm after each, at the discriminator's end the
deviation over a minibatch. By the latter a sample's score depends on its group of 4 samples, so
also on how a batch is split in parts or over processes, and the penalty on a sample's gradient has
the gradients of its group's scores, as the paper's does.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.models.networks.equalized import (
    EqualizedConv2d,
    EqualizedLinear,
    append_minibatch_std,
    pixel_norm,
)
from unsup_fast.models.networks.pooling import enlarge, shrink
from unsup_fast.models.networks.sides import halved

LARGEST_START = 7  # sides that are not halved
SLOPE = 0.2
GAIN = 2**0.5  # He's, of layers before a rectifier


class Size(NamedTuple):
    """Dimensions of both networks."""

    channels: int
    """Channels at full resolution; they double with each halving."""
    most: int
    """Channels at most."""


SIZES = {
    "tiny": Size(8, 32),
    "small": Size(16, 128),
    "base": Size(32, 256),
    "large": Size(64, 512),
}
"""By name; the paper's networks have 512 channels up to 32 x 32, and half of them at each doubling
from there on."""


class Stage(NamedTuple):
    """What a level means.

    Attributes
    ----------
    top : int
        The largest stage in use.
    alpha : float
        Its weight, above 0; at 1 it is finished.
    """

    top: int
    alpha: float


class Layer(nn.Module):
    """An equalised convolution, a bias and leaky ReLU.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
    normalize : bool
        Whether a pixel norm follows.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, *, normalize: bool = False) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(inputs, outputs, kernel, gain=GAIN)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.normalize = normalize

    def forward(self, x: Tensor) -> Tensor:
        """Return [B, outputs, H, W] for x [B, inputs, H, W]."""
        h = bias_act(self.conv(x), self.bias, slope=SLOPE, gain=1.0)
        return pixel_norm(h) if self.normalize else h


class ToPicture(nn.Module):
    """The paper's toRGB: pictures [B, channels, H, W] from features, each pixel a linear map."""

    def __init__(self, inputs: int, channels: int) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(inputs, channels, 1)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, h: Tensor) -> Tensor:
        """Return pictures, whose values are not bounded."""
        return cast(Tensor, self.conv(h) + self.bias[:, None, None])


class Growing(nn.Module):
    """A network with a level, at first that of all stages.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of a picture at full resolution.
    size : str
        One of `SIZES`.

    Attributes
    ----------
    sides : list of (int, int)
        Height and width at each stage.
    widths : list of int
        Channels at each stage.
    level : tensor of shape ()
        A buffer, so files of weights have it.

    Raises
    ------
    ValueError
        If the sides cannot be halved.
    """

    level: Tensor

    def __init__(self, shape: tuple[int, ...], size: str) -> None:
        super().__init__()
        sides, (channels, most) = halved(shape[1:], LARGEST_START), SIZES[size]
        self.sides = sides[::-1]
        self.widths = [min(most, channels * 2**i) for i in range(len(sides))][::-1]
        self.register_buffer("level", torch.tensor(float(len(sides) - 1)))

    @property
    def n_stages(self) -> int:
        """Return the number of stages, at least 2."""
        return len(self.sides)

    def set_level(self, level: float) -> None:
        """Set the level.

        Raises
        ------
        ValueError
            If it is below 0 or above that of the last stage.
        """
        self._check(level)
        self.level.fill_(level)

    def stage(self) -> Stage:
        """Return the stage of the present level, the last one on torch's device "meta".

        It waits for a GPU, which has the level.
        """
        last = self.n_stages - 1
        level = float(last) if self.level.is_meta else float(self.level)
        self._check(level)
        below = min(int(level), last - 1)
        if level == below:
            return Stage(top=below, alpha=1.0)
        return Stage(top=below + 1, alpha=level - below)

    def _check(self, level: float) -> None:
        if not 0 <= level <= self.n_stages - 1:
            raise ValueError(
                f"level={level} must be from 0 to {self.n_stages - 1}, that of the last of "
                f"{self.n_stages} stages"
            )


class ProgressiveGenerator(Growing):
    """Pictures at the sides of the present stage from latents [B, n_inputs].

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of a picture at full resolution.
    n_inputs : int
    size : str
        One of `SIZES`.
    """

    def __init__(self, shape: tuple[int, ...], n_inputs: int, size: str) -> None:
        super().__init__(shape, size)
        height, width = self.sides[0]
        self.start = EqualizedLinear(n_inputs, self.widths[0] * height * width, gain=GAIN)
        self.blocks = nn.ModuleList([Layer(self.widths[0], self.widths[0], 3, normalize=True)])
        for below, width in zip(self.widths[:-1], self.widths[1:], strict=True):
            block = [Layer(below, width, 3, normalize=True), Layer(width, width, 3, normalize=True)]
            self.blocks.append(nn.Sequential(*block))
        self.pictures = nn.ModuleList(ToPicture(width, shape[0]) for width in self.widths)

    def forward(self, z: Tensor) -> Tensor:
        """Return pictures [B, C, *sides[top]]; values are not bounded."""
        top, alpha = self.stage()
        h = self.start(pixel_norm(z)).view(len(z), self.widths[0], *self.sides[0])
        h = pixel_norm(bias_act(h, slope=SLOPE, gain=1.0))  # [B, C, H, W]
        below = h = self.blocks[0](h)
        for stage in range(1, top + 1):
            below, h = h, self.blocks[stage](enlarge(h, self.sides[stage]))
        x: Tensor = self.pictures[top](h)
        if alpha == 1:
            return x
        return torch.lerp(enlarge(self.pictures[top - 1](below), self.sides[top]), x, alpha)


class ProgressiveDiscriminator(Growing):
    """Features [B, n_features] of pictures at the sides of the present stage.

    Parameters
    ----------
    shape : (int, int, int)
        Channels, height and width of a picture at full resolution.
    size : str
        One of `SIZES`.

    Attributes
    ----------
    n_features : int
    growing_steps : tensor of shape ()
        A buffer: the steps in which a training grows the networks; see `gan.growing`.
    """

    growing_steps: Tensor

    def __init__(self, shape: tuple[int, ...], size: str) -> None:
        super().__init__(shape, size)
        self.register_buffer("growing_steps", torch.tensor(0))
        self.pictures = nn.ModuleList(Layer(shape[0], width, 1) for width in self.widths)
        width, (height, length) = self.widths[0], self.sides[0]
        self.blocks = nn.ModuleList([Layer(width + 1, width, 3)])
        for below, width in zip(self.widths[:-1], self.widths[1:], strict=True):
            self.blocks.append(nn.Sequential(Layer(width, width, 3), Layer(width, below, 3)))
        self.n_features = self.widths[0]
        n_values = self.n_features * height * length
        self.end = EqualizedLinear(n_values, self.n_features, gain=GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, n_features].

        Raises
        ------
        ValueError
            If pictures do not have the sides of the present stage.
        """
        top, alpha = self.stage()
        if x.shape[2:] != self.sides[top]:
            height, width = self.sides[top]
            raise ValueError(
                f"pictures have the shape {tuple(x.shape)}; at level={float(self.level):g} the "
                f"discriminator takes {height} x {width}"
            )
        h = self.pictures[top](x)
        for stage in range(top, 0, -1):
            h = shrink(self.blocks[stage](h), self.sides[stage - 1])
            if stage == top and alpha < 1:
                h = torch.lerp(self.pictures[top - 1](shrink(x, self.sides[top - 1])), h, alpha)
        h = self.blocks[0](append_minibatch_std(h))
        return bias_act(self.end(h.flatten(1)), slope=SLOPE, gain=1.0)  # [B, n_features]
