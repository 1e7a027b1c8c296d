"""`Growth`: a training that begins with small pictures and doubles their sides (the notes' 4.4.4).

Karras et al. 2018 train each stage for 800,000 pictures and fade the next one in over as many. Here
both last equally long too, but in shares of the training, so that any number of steps has all
stages: with S stages and T growing steps there are 2 (S - 1) phases of T / (2 (S - 1)) steps,

    stage 0, fade to 1, stage 1, fade to 2, ..., stage S - 2, fade to S - 1

and the last stage has the steps after T. The level of a step is a function of the step, T and S
alone. T follows from the number of steps that a training begins with and is saved in its
checkpoint: a run that is extended by other `steps` goes on with the T that it has, never falls back
to a smaller resolution, and trains the last stage for longer. One that is cut short before T ends
with smaller pictures, which `GAN.generate` enlarges; `grown` says so.
"""

import warnings

import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.models.networks.pooling import enlarge, shrink
from unsup_fast.models.networks.progressive import (
    Growing,
    ProgressiveDiscriminator,
    ProgressiveGenerator,
)
from unsup_fast.models.training import StepContext


def level_of_step(step: int, growing_steps: int, n_stages: int) -> float:
    """Return the level of a step: n in stage n, from n to n + 1 while stage n + 1 fades in.

    Parameters
    ----------
    step : int
        From 0.
    growing_steps : int
        T, the steps before the last stage; 0 for the last stage from the start.
    n_stages : int
        S, at least 2.
    """
    last = n_stages - 1
    if step >= growing_steps:
        return float(last)
    stage, rest = divmod(last * step, growing_steps)  # exact: a stage and a fade are T / (S - 1)
    return stage + max(0, 2 * rest - growing_steps) / growing_steps


def pictures_at(x: Tensor, network: Growing) -> Tensor:
    """Return real pictures at the level of a network: [B, C, H, W] with the sides of its stage.

    While a stage fades in they are interpolated between the two resolutions as generated ones are
    (the paper's figure 2).

    Parameters
    ----------
    x : tensor of shape (B, C, H, W)
        At full resolution.
    network : Growing
    """
    top, alpha = network.stage()
    x = shrink(x, network.sides[top])
    if alpha == 1:
        return x
    return torch.lerp(enlarge(shrink(x, network.sides[top - 1]), network.sides[top]), x, alpha)


def grown(network: Module) -> str:
    """Return how far a generator has grown, as "grown to 8 x 8 of 32 x 32"; empty if to the end.

    Also empty for a generator that does not grow.
    """
    body = getattr(network, "body", None)
    if not isinstance(body, ProgressiveGenerator):
        return ""
    top, alpha = body.stage()
    last = body.n_stages - 1
    if top == last and alpha == 1:
        return ""
    names = [" x ".join(map(str, sides)) for sides in body.sides]
    if alpha == 1:
        return f"grown to {names[top]} of {names[last]}"
    return f"grown to {names[top - 1]} of {names[last]} ({names[top]} is {alpha:.0%} faded in)"


class Growth:
    """Sets the level of both networks in each step of a training.

    The averaged generator has that of the generator, whose buffers the loop copies.

    Parameters
    ----------
    generator, discriminator : torch.nn.Module
        Whose bodies grow.
    share : float
        Share of the training that has growing steps.
    """

    def __init__(self, generator: Module, discriminator: Module, share: float) -> None:
        assert isinstance(generator.body, ProgressiveGenerator)
        assert isinstance(discriminator.body, ProgressiveDiscriminator)
        self._generator, self._discriminator = generator.body, discriminator.body
        self._share = share

    def __call__(self, x: Tensor, context: StepContext) -> Tensor:
        """Set the level of a step; return its real pictures at this level.

        Parameters
        ----------
        x : tensor of shape (B, C, H, W)
            At full resolution.
        context : StepContext
        """
        body = self._discriminator
        if context.index == 0:
            body.growing_steps.fill_(round(self._share * context.config.steps))
        level = level_of_step(context.index, int(body.growing_steps), body.n_stages)
        for network in (self._generator, body):
            network.set_level(level)
        return pictures_at(x, body)

    def warn(self, network: Module, step: int) -> None:
        """Warn once a training has ended of an averaged generator that has not grown to the end.

        Parameters
        ----------
        network : torch.nn.Module
        step : int
            Number of steps that are done.
        """
        reached, last = grown(network), int(self._discriminator.growing_steps)
        if reached and step < last:
            warnings.warn(
                f"samples are {reached}, and enlarged: training ended after step {step}, and the "
                f"networks grow until step {last}; resume it",
                RuntimeWarning,
                stacklevel=3,
            )
