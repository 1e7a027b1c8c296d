"""Layers that a style controls: modulated convolutions (StyleGAN2) and AdaIN (StyleGAN).

A style w [B, W] gives each channel of a layer's input a scale, by a matrix whose biases are 1:

- `ModulatedConv2d` (Karras et al. 2020, eq. 1-3): the scale s_i multiplies the weights w_oik of
  input channel i, and each output is divided by the norm of its weights, sqrt(sum_ik (s_i w_oik)^2
  + eps). Inputs are multiplied by s and outputs by the inverse norm instead, which is the same map:
  one convolution serves the whole batch, where weights of each sample would need groups.
- `AdaptiveConv2d` (Karras et al. 2019, eq. 1): each channel of a sample is brought to mean 0 and
  variance 1 over its pixels, then multiplied by a scale and moved by a shift, both of the style.

Styles are computed in float32 also under autocast.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from unsup_fast.kernels.bias_act import bias_act
from unsup_fast.kernels.style_act import style_act
from unsup_fast.models.networks.conv2d import conv2d
from unsup_fast.models.networks.equalized import EPS, EqualizedConv2d, EqualizedLinear
from unsup_fast.models.networks.full_precision import full_precision


class ModulatedConv2d(nn.Module):
    """A convolution without bias whose weights are scaled by a style.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Odd; sides do not change.
    width : int
        W, numbers of a style.
    demodulate : bool
        Whether outputs are divided by the norm of their weights.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, width: int, *, demodulate: bool = True
    ) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(inputs, outputs, kernel)
        self.scale = EqualizedLinear(width, inputs, bias=1.0)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return [B, outputs, H, W] for x [B, inputs, H, W] and styles w [B, width]."""
        y, inverse = self.undivided(x, w)
        return y if inverse is None else y * _planes(inverse, y)

    def undivided(self, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return [B, outputs, H, W] and its factors [B, outputs], None without demodulation.

        Their product is what `forward` returns. Factors are of float32 at least.
        """
        weight = self.conv.weight * self.conv.scale  # [O, I, k, k]
        inverse = None
        with full_precision(x):
            scale = self.scale(w)  # [B, I]
            if self.demodulate:
                norm = scale.square() @ weight.square().sum((2, 3)).T  # [B, O]
                inverse = (norm + EPS).rsqrt()
        return conv2d(x * _planes(scale, x), weight, padding=self.conv.padding), inverse


class AdaptiveConv2d(nn.Module):
    """AdaIN of a style, then a convolution without bias.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel : int
        Odd; sides do not change.
    width : int
        W, numbers of a style.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, width: int) -> None:
        super().__init__()
        self.conv = EqualizedConv2d(inputs, outputs, kernel)
        self.scale = EqualizedLinear(width, inputs, bias=1.0)
        self.shift = EqualizedLinear(width, inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return [B, outputs, H, W] for x [B, inputs, H, W] and styles w [B, width]."""
        y: Tensor = self.conv(self.adapt(x, w))
        return y

    def adapt(self, x: Tensor, w: Tensor) -> Tensor:
        """Return x [B, inputs, H, W] with the mean and deviation of channels that w [B, W] sets."""
        with full_precision(x):
            scale, shift = self.scale(w), self.shift(w)  # [B, I]
        return normalized(x) * _planes(scale, x) + _planes(shift, x)


def normalized(x: Tensor) -> Tensor:
    """Return x [B, C, H, W] with mean 0 and variance 1 of each channel of a sample.

    Moments are computed in float32 at least.
    """
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    centered = wide - wide.mean((2, 3), keepdim=True)
    variance = centered.square().mean((2, 3), keepdim=True)  # [B, C, 1, 1]
    return (centered * (variance + EPS).rsqrt()).to(x.dtype)


Convolution = Callable[[int, int, int, int], ModulatedConv2d | AdaptiveConv2d]
"""A new convolution of (inputs, outputs, kernel, width)."""


class StyledLayer(nn.Module):
    """A convolution of a style, noise, a bias and leaky ReLU.

    Noise is the same in all channels, of which each learns its strength, from 0 (Karras et al.
    2019, section 2), or all learn one (Karras et al. 2020).

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    width : int
        W, numbers of a style.
    convolution : Convolution
    """

    def __init__(self, inputs: int, outputs: int, width: int, convolution: Convolution) -> None:
        super().__init__()
        self.conv = convolution(inputs, outputs, 3, width)
        n_strengths = outputs if isinstance(self.conv, AdaptiveConv2d) else 1
        self.strength = nn.Parameter(torch.zeros(n_strengths, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor, noise: Tensor | None) -> Tensor:
        """Return [B, outputs, H, W].

        Parameters
        ----------
        x : tensor of shape (B, inputs, H, W)
        w : tensor of shape (B, width)
        noise : tensor of shape (B, 1, H, W) or None
        """
        if isinstance(self.conv, ModulatedConv2d):
            y, inverse = self.conv.undivided(x, w)
            strength = None if noise is None else self.strength.view(())
            noise = None if noise is None else noise[:, 0]  # [B, H, W]
            return style_act(y, inverse, noise, strength, self.bias)
        y = self.conv(x, w)
        if noise is not None:
            y = torch.addcmul(y, self.strength.to(y.dtype), noise.to(y.dtype))
        return bias_act(y, self.bias)


class ToPicture(nn.Module):
    """Channels of a picture from features, by a 1 x 1 convolution of a style and a bias.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    width : int
        W, numbers of a style.
    convolution : Convolution
        Without demodulation.
    """

    def __init__(self, inputs: int, outputs: int, width: int, convolution: Convolution) -> None:
        super().__init__()
        self.conv = convolution(inputs, outputs, 1, width)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Return [B, outputs, H, W] in float32 at least."""
        y: Tensor = self.conv(x, w)
        return y + self.bias[:, None, None]


def _planes(values: Tensor, x: Tensor) -> Tensor:
    """Return values [B, C] as [B, C, 1, 1] of the type of x."""
    return values.to(x.dtype)[:, :, None, None]
