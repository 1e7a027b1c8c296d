"""The examples of a training run, and what each of its steps draws for them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor

from unsup_fast.models.diffusion.config import Config
from unsup_fast.models.training import StepContext, fold_in
from unsup_fast.models.training.data import as_samples, check_labels, to_float
from unsup_fast.models.training.draws import spread_seed

Batch = tuple[Tensor, Tensor | None]
"""Images [B, ...] on the device, and their classes [B] on the host."""


class Draws(NamedTuple):
    """A process's part of a step's batch.

    Attributes
    ----------
    images : tensor of shape (B, ...)
        Mirrored where the step says so.
    label : int64 tensor of shape (B,), or None
        On the device; the number of classes stands for "any class".
    levels : int64 tensor of shape (B,)
        Levels of noise, on the host.
    seeds : int64 tensor of shape (B,)
        Seed of the noise of each image, on the host.
    uniform : tensor of shape (B,)
        A number from 0 to 1 for each image, on the host.
    """

    images: Tensor
    label: Tensor | None
    levels: Tensor
    seeds: Tensor
    uniform: Tensor


class Examples:
    """Pictures or rows, with or without classes.

    Parameters
    ----------
    data : array or tensor of shape (N, ...)
        uint8 pictures [N, C, H, W], or floats.
    labels : array or tensor of shape (N,), optional
    config : Config
    label_dropout : float
        Probability that the class of an image is hidden.
    flip : bool
        Whether to mirror half of the pictures, left to right.

    Raises
    ------
    TypeError, ValueError
        If they do not fit each other.
    """

    def __init__(
        self,
        data: Tensor | npt.NDArray[Any],
        labels: Tensor | npt.ArrayLike | None,
        config: Config,
        *,
        label_dropout: float,
        flip: bool,
    ) -> None:
        self.samples = _samples(data, config)
        if (labels is None) != (not config.classes):
            raise ValueError("labels and config.classes go together; pass both or neither")
        self._any_class = len(config.classes)
        self.classes: Tensor | None = None
        if labels is not None:
            self.classes = check_labels(labels, len(self.samples), self._any_class)  # [N]
        if not 0 <= label_dropout <= 1:
            raise ValueError(f"label_dropout={label_dropout} must be between 0 and 1")
        if flip and len(config.shape) != 3:
            raise ValueError("flip=True mirrors pictures [N, C, H, W]; leave it out for other data")
        self._label_dropout, self._flip = label_dropout, flip

    def __len__(self) -> int:
        return len(self.samples)

    def fetch(self, indices: Tensor, device: torch.device) -> Batch:
        """Return the examples of these indices."""
        images = to_float(self.samples.index_select(0, indices)).to(device)
        return images, None if self.classes is None else self.classes[indices]

    def draw(
        self,
        batch: Batch,
        context: StepContext,
        levels: Callable[[int, torch.Generator], Tensor],
    ) -> Draws:
        """Return a batch with all that its step draws.

        Parameters
        ----------
        batch : (images, label)
            As `fetch` returns it.
        context : StepContext
        levels : callable (n, generator) -> int64 tensor of shape (n,)
            Draws the levels of a batch over all processes.
        """
        images, label = batch
        size, seed = context.config.batch_size, context.config.seed
        random = torch.Generator().manual_seed(fold_in("batch", seed, context.index))
        drawn = context.shard(levels(size, random))  # [B]
        seeds = context.shard(spread_seed(fold_in("noise", seed, context.index), size))
        unconditional = context.shard(torch.rand(size, generator=random) < self._label_dropout)
        flipped = context.shard(torch.rand(size, generator=random) < 0.5).to(images.device)
        uniform = context.shard(torch.rand(size, generator=random))
        if self._flip:
            images = torch.where(flipped[:, None, None, None], images.flip(-1), images)
        if label is not None:
            label = label.masked_fill(unconditional, self._any_class).to(images.device)
        if images.ndim == 4:
            images = images.contiguous(memory_format=torch.channels_last)
        return Draws(images, label, drawn, seeds, uniform)


def _samples(data: Tensor | npt.NDArray[Any], config: Config) -> Tensor:
    """Return data as a tensor on the host, uint8 or float32."""
    samples = as_samples(data, config.shape)
    if samples.dtype == torch.uint8:
        return samples
    most = float(samples.abs().max())
    if config.clip is not None and most > config.clip:
        raise ValueError(
            f"data reaches {most:g}, beyond config.clip={config.clip}, where samples end; scale "
            "it, or pass Config(clip=None)"
        )
    return samples
