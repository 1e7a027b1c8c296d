"""`Perceptron`: matrices with leaky rectifiers between them, for rows."""

import math
from typing import cast

from torch import Tensor, nn

from unsup_fast.kernels.bias_act import bias_act

WIDTHS = {"tiny": (64,) * 2, "small": (128,) * 3, "base": (256,) * 3, "large": (512,) * 4}
"""Widths of the hidden layers, of each size."""


class Perceptron(nn.Module):
    """Hidden layers, and a matrix to an output of some shape if there is one.

    Parameters
    ----------
    n_inputs : int
        Values of an input, which may have any shape.
    size : str
        One of `WIDTHS`.
    shape : tuple of int, optional
        Shape of an output; by default the last hidden layer [B, n_features] is returned.

    Attributes
    ----------
    n_features : int
        Width of the last hidden layer.
    """

    def __init__(self, n_inputs: int, size: str, shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        widths = WIDTHS[size]
        self.hidden = nn.ModuleList(
            nn.Linear(a, b) for a, b in zip((n_inputs, *widths[:-1]), widths, strict=True)
        )
        self.out = None if shape is None else nn.Linear(widths[-1], math.prod(shape))
        self.shape, self.n_features = shape, widths[-1]

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs [B, *shape], or features [B, n_features]."""
        h = x.flatten(1)
        for module in self.hidden:
            layer = cast(nn.Linear, module)
            h = bias_act(h @ layer.weight.T, layer.bias, gain=1.0)
        if self.out is None or self.shape is None:
            return h
        return cast(Tensor, self.out(h)).view(-1, *self.shape)
