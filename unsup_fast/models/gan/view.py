"""`View`: what the discriminator sees of samples, blurred early in training and augmented."""

import math

import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.models.base import CUSTOM
from unsup_fast.models.gan.ada import Ada, signs
from unsup_fast.models.gan.augment import AUGMENTATIONS, augmented, check_pictures, n_draws
from unsup_fast.models.gan.config import Config
from unsup_fast.models.gan.recipes import Recipe
from unsup_fast.models.networks.conv2d import channels_last
from unsup_fast.models.training import StepContext, TrainConfig, fold_in


class View:
    """Maps samples to what the discriminator scores, real and generated ones alike.

    Draws follow from the seed, the update and the index of a sample in its batch alone, and blur
    follows from the step.

    Parameters
    ----------
    recipe : Recipe
    discriminator : torch.nn.Module
        With `augment="ada"` it gets the buffers of `Ada`.
    """

    def __init__(self, recipe: Recipe, discriminator: Module) -> None:
        self._recipe, self._augmentations = recipe, AUGMENTATIONS[recipe.augment]
        self._ada: Ada | None = None
        if recipe.augment == "ada":
            self._ada = Ada(discriminator, recipe.augment_target, recipe.augment_examples)

    def draws(self, kind: str, update: int, context: StepContext) -> Tensor:
        """Return numbers in [0, 1) for this process's samples of a batch: float32 [B, n].

        Parameters
        ----------
        kind : {"real", "fake"}
        update : int
            Index of the update among all updates of both players.
        context : StepContext
        """
        seed = fold_in(f"augment {kind}", context.config.seed, update)
        random = torch.Generator().manual_seed(seed)
        size = (context.config.batch_size, n_draws(self._augmentations))
        whole = torch.rand(size, generator=random)
        return context.shard(whole).to(context.accelerator.device)

    def __call__(self, x: Tensor, draws: Tensor, context: StepContext) -> Tensor:
        """Return samples [B, ...] as the discriminator sees them at a step."""
        sigma = self.sigma(context)
        if sigma == 0 and not self._augmentations:
            return x
        x = x.float()
        if sigma > 0:
            x = blurred(x, sigma)
        p = None if self._ada is None else self._ada.p
        return channels_last(augmented(x, draws, self._augmentations, p))

    def sigma(self, context: StepContext) -> float:
        """Return the standard deviation of the blur at a step, in pixels."""
        if not self._recipe.blur:
            return 0.0
        seen = context.index * self._recipe.n_critic * context.config.batch_size
        return self._recipe.blur * max(0.0, 1 - seen / self._recipe.blur_examples)

    def observe(
        self, real: Tensor, fake: Tensor, update: int, context: StepContext
    ) -> dict[str, Tensor]:
        """Let the scores [B] of an update steer the augmentation; return what to report of it.

        Parameters
        ----------
        real, fake : tensors of shape (B,)
        update : int
            Index of the update among all updates of the discriminator.
        context : StepContext
        """
        if self._ada is None:
            return {}
        return self._ada.observe(signs(self._recipe.loss, real, fake), update, context)


def check_view(recipe: Recipe, config: Config, options: TrainConfig) -> None:
    """Raise a ValueError if a discriminator cannot see samples as a recipe says."""
    if recipe.discriminator != "own" and config.network == CUSTOM:
        raise ValueError(
            f'discriminator="{recipe.discriminator}" is for networks of the library, and '
            'config.network is "custom"; pass dataclasses.replace(recipe, discriminator="own")'
        )
    names = [f"augment={recipe.augment!r}"] if recipe.augment != "none" else []
    names += [f"blur={recipe.blur}"] if recipe.blur else []
    if names:
        check_pictures(config.shape, " and ".join(names))
    if recipe.augment == "ada" and options.shards:
        raise ValueError(
            f'augment="ada" moves a probability in steps, and shards={options.shards} allows no '
            'such buffers; pass shards=0, or augment="diffaugment"'
        )


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Return pictures x [B, C, H, W] convolved with a Gaussian along both sides.

    At the borders its weights are divided by their sum inside of the picture, so constant pictures
    are unchanged.

    Parameters
    ----------
    x : tensor of shape (B, C, H, W)
    sigma : float
        Standard deviation in pixels, above 0.
    """
    rows, columns = (_gaussian(side, sigma).to(x) for side in x.shape[2:])
    return rows @ x @ columns.T


def _gaussian(side: int, sigma: float) -> Tensor:
    """Return weights [side, side] of pixels (columns) in blurred ones (rows)."""
    pixels = torch.arange(side, dtype=torch.float64)
    distance = (pixels[:, None] - pixels) / (math.sqrt(2) * sigma)
    weights = torch.exp(-distance.square())
    return weights / weights.sum(1, keepdim=True)
