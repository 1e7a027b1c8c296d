"""What updates of a generator with styles have in addition: mixed styles, path lengths, means."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.models.gan.config import Config
from unsup_fast.models.gan.path_length import path_lengths, path_penalty, update_path_mean
from unsup_fast.models.gan.recipes import Recipe
from unsup_fast.models.gan.styled import body_of, mixed_styles
from unsup_fast.models.training import StepContext

MEMORY = 0.998  # of the running mean of styles (Karras et al. 2019, appendix B)


def check_styles(generator: Module, config: Config, recipe: Recipe, shards: int) -> None:
    """Raise a ValueError for settings of styles without them, or that styles do not allow."""
    if body_of(generator) is None:
        if recipe.mixing or recipe.path_length:
            raise ValueError(
                f"mixing={recipe.mixing} and path_length={recipe.path_length} are of the networks "
                f'"stylegan2" and "stylegan", and config.network is "{config.network}"; pass '
                "dataclasses.replace(recipe, mixing=0.0, path_length=0.0)"
            )
        return
    if shards:
        raise ValueError(
            f"shards={shards} needs a generator without running means over a batch, such as that "
            "of styles; pass shards=0"
        )


class PathPenalty(NamedTuple):
    """What path lengths add to the generator's loss, and what is reported of them.

    Attributes
    ----------
    loss : tensor of shape ()
    length : tensor of shape ()
        Mean length, without a graph.
    """

    loss: Tensor
    length: Tensor


class StyleUpdates:
    """Samples of a generator in training, its penalty, and its running means.

    Of a generator without styles it only calls it.

    Parameters
    ----------
    generator : torch.nn.Module
    recipe : Recipe
    """

    def __init__(self, generator: Module, recipe: Recipe) -> None:
        self._generator, self._recipe = generator, recipe
        self._body = body_of(generator)
        self._means: list[Tensor] = []  # of the styles of this step's samples
        self._lengths: list[Tensor] = []

    def sample(self, z: Tensor, label: Tensor | None, seeds: Tensor) -> Tensor:
        """Return samples [B, ...] of latents z [B, Z], classes [B] and their seeds [B]."""
        if self._body is None:
            out: Tensor = self._generator(z, label)
            return out
        ws = mixed_styles(self._generator, z, label, seeds, self._recipe.mixing)  # [B, L, W]
        self._means.append(ws.detach().mean((0, 1)))
        return self._body.synthesize(ws, seeds)

    def path_penalty(
        self, z: Tensor, label: Tensor | None, seeds: Tensor, context: StepContext
    ) -> PathPenalty | None:
        """Return the penalty of path lengths at a step that has one, of every second sample.

        It is multiplied by the steps between penalties. Call it outside of autocast: it is a
        gradient of a gradient.
        """
        recipe = self._recipe
        if self._body is None or not recipe.path_length or context.index % recipe.path_every:
            return None
        z, label = z[::2], None if label is None else label[::2]
        ws = mixed_styles(self._generator, z, label, seeds[::2], recipe.mixing)
        lengths = path_lengths(self._body, ws, seeds[::2])  # [B / 2]
        self._lengths.append(lengths.detach().mean())
        weight = recipe.path_length * recipe.path_every
        return PathPenalty(
            loss=weight * path_penalty(lengths, self._body.path_mean), length=self._lengths[-1]
        )

    @torch.no_grad()
    def end(self, context: StepContext) -> None:
        """Move the running means by what this step, on all processes, has computed.

        The mean of styles remembers less early on, as averaged weights do.
        """
        if self._body is None:
            return
        reduce = context.accelerator.reduce
        mean = reduce(torch.stack(self._means).mean(0), "mean")  # [W]
        memory = min(MEMORY, (context.index + 1) / (context.index + 10))
        self._body.w_avg.lerp_(mean, 1 - memory)
        if self._lengths:
            update_path_mean(self._body, reduce(torch.stack(self._lengths).mean(), "mean"))
        self._means.clear()
        self._lengths.clear()
