"""What updates of a generator with styles have in addition: mixed styles, path lengths, means."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.models.gan.config import Config
from unsup_fast.models.gan.path_length import path_lengths, path_penalty, update_path_mean
from unsup_fast.models.gan.recipes import Recipe
from unsup_fast.models.gan.styled import body_of, mixed_styles
from unsup_fast.models.training import StepContext

MEANS = ("styles", "path_lengths")
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
        self._means: list[Tensor] = []  # of the styles of this update's samples
        self._lengths: list[Tensor] = []

    def sample(self, z: Tensor, label: Tensor | None, seeds: Tensor) -> Tensor:
        """Return samples [B, ...] of latents z [B, Z], classes [B] and their seeds [B]."""
        if self._body is None:
            out: Tensor = self._generator(z, label)
            return out
        ws = mixed_styles(self._generator, z, label, seeds, self._recipe.mixing)  # [B, L, W]
        self._means.append(ws.detach().mean((0, 1)))
        return self._body.synthesize(ws, seeds)

    def path_penalty(self, z: Tensor, label: Tensor | None, seeds: Tensor) -> PathPenalty:
        """Return the penalty of path lengths, of every second sample.

        It is multiplied by the steps between penalties. Call it outside of autocast: it is a
        gradient of a gradient.
        """
        assert self._body is not None
        recipe = self._recipe
        z, label = z[::2], None if label is None else label[::2]
        ws = mixed_styles(self._generator, z, label, seeds[::2], recipe.mixing)
        lengths = path_lengths(self._body, ws, seeds[::2])  # [B / 2]
        self._lengths.append(lengths.detach().mean())
        weight = recipe.path_length * recipe.path_every
        return PathPenalty(
            loss=weight * path_penalty(lengths, self._body.path_mean), length=self._lengths[-1]
        )

    def due(self, context: StepContext) -> bool:
        """Return whether the generator's update of a step has a penalty of path lengths."""
        has, every = self._body is not None and self._recipe.path_length, self._recipe.path_every
        return bool(has) and context.index % every == 0

    def take(self) -> dict[str, Tensor]:
        """Return an update's means, of P parts: "styles" [P, W] and "path_lengths" [P], if any."""
        lists = zip(MEANS, (self._means, self._lengths), strict=True)
        taken = {name: torch.stack(means) for name, means in lists if means}
        self._means.clear()
        self._lengths.clear()
        return taken

    @torch.no_grad()
    def end(self, taken: Sequence[Mapping[str, Tensor]], context: StepContext) -> None:
        """Move the running means by what the updates of a step, on all processes, have computed.

        The mean of styles remembers less early on, as averaged weights do.

        Parameters
        ----------
        taken : sequence of mappings
            What `take` has returned in each update.
        context : StepContext
        """
        if self._body is None:
            return
        reduce = context.accelerator.reduce
        mean = reduce(torch.cat([each["styles"] for each in taken]).mean(0), "mean")  # [W]
        memory = min(MEMORY, (context.index + 1) / (context.index + 10))
        self._body.w_avg.lerp_(mean, 1 - memory)
        lengths = [each["path_lengths"] for each in taken if "path_lengths" in each]
        if lengths:
            update_path_mean(self._body, reduce(torch.cat(lengths).mean(), "mean"))


def split(outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """Remove what `StyleUpdates.take` has returned from an update's outputs, and return it."""
    return {name: outputs.pop(name) for name in MEANS if name in outputs}
