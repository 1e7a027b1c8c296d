"""`Inputs`: all that an update reads besides weights and buffers.

They are drawn on the host, from the seed and the index of the update alone, before anything is
computed. What computes an update then decides nothing by their values, nor by the step's: it is the
same operations each time, which a CUDA graph can hold.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from unsup_fast.models.gan.recipes import Recipe
from unsup_fast.models.gan.view import View
from unsup_fast.models.training import StepContext, fold_in
from unsup_fast.models.training.draws import spread_seed


class Inputs(NamedTuple):
    """The inputs of an update, of this process's B samples, on the device.

    Attributes
    ----------
    real : tensor of shape (B, ...)
    label : tensor of shape (B,), or None
    seeds : int64 tensor of shape (B,)
        Latents, mixed styles and noise follow from them.
    real_draws, fake_draws : tensors of shape (B, n)
        Numbers that augment real and generated samples.
    mix : tensor of shape (B,), or None
        Shares of real samples in those of the gradient penalty.
    weights : tensor of shape (2,), or None
        Factors of the mean squared gradient norms of "r1" and "r2".
    """

    real: Tensor
    label: Tensor | None
    seeds: Tensor
    real_draws: Tensor
    fake_draws: Tensor
    mix: Tensor | None = None
    weights: Tensor | None = None

    def part(self, rows: slice) -> "Inputs":
        """Return the inputs of some samples."""
        return Inputs(
            real=self.real[rows],
            label=None if self.label is None else self.label[rows],
            seeds=self.seeds[rows],
            real_draws=self.real_draws[rows],
            fake_draws=self.fake_draws[rows],
            mix=None if self.mix is None else self.mix[rows],
            weights=self.weights,
        )

    def clone(self) -> "Inputs":
        """Return the inputs in memory of their own."""
        return Inputs._make(None if value is None else value.clone() for value in self)

    def copy_(self, other: "Inputs") -> None:
        """Copy other inputs of the same shapes into these."""
        for own, value in zip(self, other, strict=True):
            if own is not None and value is not None:
                own.copy_(value)


def draw(
    real: Tensor,
    label: Tensor | None,
    number: int,
    context: StepContext,
    recipe: Recipe,
    view: View,
    *,
    penalized: bool,
) -> Inputs:
    """Return the inputs of an update.

    Parameters
    ----------
    real : tensor of shape (B, ...)
        On the device.
    label : tensor of shape (B,), optional
    number : int
        Of the update in its step: the discriminator's from 0, then the generator's.
    context : StepContext
    recipe : Recipe
    view : View
    penalized : bool
        Whether the update has penalties of gradients.
    """
    config, device = context.config, context.accelerator.device
    index = context.index * (recipe.n_critic + 1) + number  # among all updates of a training
    seeds = spread_seed(fold_in("latents", config.seed, index), config.batch_size)
    mix = weights = None
    if penalized and recipe.gradient_penalty:
        random = torch.Generator().manual_seed(fold_in("mix", config.seed, index))
        mix = context.shard(torch.rand(config.batch_size, generator=random)).to(device)
    if penalized and (recipe.r1 or recipe.r2):
        progress = min(1.0, context.index / config.steps)
        factor = recipe.penalty_every * recipe.r_final**progress
        weights = torch.tensor([factor * recipe.r1 / 2, factor * recipe.r2 / 2]).to(device)
    return Inputs(
        real=real,
        label=label,
        seeds=context.shard(seeds).to(device),
        real_draws=view.draws("real", index, context),
        fake_draws=view.draws("fake", index, context),
        mix=mix,
        weights=weights,
    )
