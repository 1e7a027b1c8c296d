"""Levels of noise, and what a model estimates there of the image."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.solvers.path import Path
from unsup_fast.solvers.prediction import image_weights, output_weights
from unsup_fast.solvers.schedules import Array

Call = Callable[[Tensor, Tensor], Tensor]
"""A network bound to its labels: (x [B, ...], time [B]) -> output like x."""
LEAST_SIGNAL = 1e-3
"""The least signal at which noise still says something of the image, in float32."""


class Levels(NamedTuple):
    """L levels x = signal x_0 + sigma eps, float64 [L], and the model's output there.

    Attributes
    ----------
    times : ndarray of shape (L,)
        Time passed to the network.
    signal, sigma : ndarray of shape (L,)
    image_x, image_output : ndarray of shape (L,)
        x_0 = image_x x + image_output (output).
    of_image, of_noise : ndarray of shape (L,)
        output = of_image x_0 + of_noise eps.
    """

    times: Array
    signal: Array
    sigma: Array
    image_x: Array
    image_output: Array
    of_image: Array
    of_noise: Array

    @property
    def angles(self) -> Array:
        """Return atan(sigma / signal), from 0 for the image to pi / 2 for noise."""
        return np.arctan2(self.sigma, self.signal)


def levels(prediction: str, times: Array, signal: Array, sigma: Array) -> Levels:
    """Return levels with the weights of a prediction type.

    Raises
    ------
    ValueError
        If the image cannot be computed from the noise, as no signal is left.
    """
    if prediction == "epsilon" and signal.min() < LEAST_SIGNAL:
        raise ValueError(
            f"the schedule's last levels have a signal of {signal.min():.1e}, and a network that "
            "predicts noise says next to nothing of the image there; distill a model that was "
            "trained with objective='v_prediction' or with schedule='linear'"
        )
    image_x, image_output = image_weights(prediction, signal, sigma)
    of_image, of_noise = output_weights(prediction, signal, sigma)
    return Levels(times, signal, sigma, image_x, image_output, of_image, of_noise)


def starts(prediction: str, path: Path) -> Levels:
    """Return the levels where the steps of a path start."""
    return levels(prediction, path.timesteps, path.signal, path.sigma)


def rows(values: Array, index: Tensor, like: Tensor) -> Tensor:
    """Return values [L] at indices [B] as [B, 1, ...], to be multiplied with a batch."""
    picked = torch.from_numpy(values)[index].to(like.device, like.dtype)  # [B]
    return picked.view(-1, *(1 for _ in like.shape[1:]))


def image(call: Call, at: Levels, index: Tensor, x: Tensor) -> Tensor:
    """Return a model's estimate of x_0 for samples [B, ...] at levels [B], float32.

    It is not clipped to the range of pictures: a clipped target would be less wide than the
    teacher's, stage by stage, as estimates err to both sides of a pixel that is black.
    It is x itself where no noise is left: the boundary condition of consistency models (Song et
    al. 2023, eq. 5) holds by the form of every prediction type but "sample".
    """
    times = torch.from_numpy(at.times)[index].to(x.device, x.dtype)  # [B]
    output = call(x, times).to(x.dtype)
    return rows(at.image_x, index, x) * x + rows(at.image_output, index, x) * output


def guided(network: Module, label: Tensor | None, weight: Tensor | None, any_class: int) -> Call:
    """Return a network bound to labels and weights of classifier-free guidance.

    Parameters
    ----------
    network : torch.nn.Module
        Called as network(x, time, label).
    label : int64 tensor of shape (B,), or None
    weight : tensor of shape (B,), or None
        uncond + weight (cond - uncond); None is 1 everywhere, without a second call.
    any_class : int
        The label that hides the class: such rows are not guided.
    """

    def call(x: Tensor, time: Tensor) -> Tensor:
        output: Tensor = network(x, time, label).to(x.dtype)  # autocast returns bfloat16
        if weight is None or label is None:
            return output
        uncond = network(x, time, None).to(x.dtype)
        weights = torch.where(label == any_class, 1.0, weight).to(x.dtype)  # [B]
        return torch.lerp(uncond, output, weights.view(-1, *(1 for _ in x.shape[1:])))

    return call
