"""The step that a model computes: its part of a batch, and the update of its weights."""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from unsup_fast.models.training import shards
from unsup_fast.models.training.accelerator import Accelerator
from unsup_fast.models.training.draws import fold_in
from unsup_fast.models.training.state import TrainConfig


class StepContext:
    """The present training step, for the function that computes it.

    Attributes
    ----------
    accelerator : accelerate.Accelerator
        Compute losses `with context.accelerator.autocast()`, but call `optimizer_step` outside of
        it: autocast caches the cast weights.
    config : TrainConfig
    index : int
        Index of the step, from 0.
    """

    def __init__(self, accelerator: Accelerator, config: TrainConfig) -> None:
        self.accelerator, self.config = accelerator, config
        self.begin(0)

    def begin(self, index: int) -> None:
        """Begin a step; the loop calls it."""
        self.index, self._n_means = index, 0

    def shard(self, whole: Tensor) -> Tensor:
        """Return this process's slice of a batch over all processes, [B / processes, ...].

        The indices that `train` passes to `batch` are sliced already. Draw numbers for the whole
        batch from a separate generator, seeded by `fold_in`, and slice them here: then several
        processes do what one would. torch's default generator has another seed in each process.
        """
        return whole.tensor_split(self.accelerator.num_processes)[self.accelerator.process_index]

    def parts(self, n: int) -> list[slice]:
        """Return slices of this process's n rows, whose losses are computed one after the other.

        They are the process's shards if `config.shards` is set, else `config.accumulation` parts.
        """
        n_parts = self._n_shards or self.config.accumulation
        if n % n_parts:
            raise ValueError(f"n={n} rows must be a multiple of the {n_parts} parts of a step")
        size = n // n_parts
        return [slice(start, start + size) for start in range(0, n, size)]

    def mean(self, values: Iterator[Tensor]) -> Tensor:
        """Return the mean of one number for each of `parts`, such as a penalty to log.

        Parameters
        ----------
        values : iterator of tensors of shape ()
            With `config.shards`, it computes each number when it is asked for it: torch's default
            generator is seeded before each of them.

        Returns
        -------
        tensor of shape ()
            Without a graph: of this process, or with `config.shards` of all.
        """
        if not self.config.shards:
            return torch.stack([value.detach() for value in values]).mean()
        vectors = (value.detach().reshape(1).clone() for value in self._seeded(values))
        return shards.mean(vectors, self.config.shards, self.accelerator)[0]

    def learning_rate(self, group: Mapping[str, Any]) -> float:
        """Return the rate of this step for a group of an optimizer's parameters."""
        rate: float = group["initial_lr"] * self.config.rate(self.index)
        return rate

    def optimizer_step(self, loss: Tensor | Iterable[Tensor], optimizer: Optimizer) -> Tensor:
        """Update an optimizer's weights by the clipped gradient of a loss, at the step's rate.

        The gradient is the mean over the processes. Weights of other optimizers get no gradient. A
        rate that is a tensor is left to who has set it.

        Parameters
        ----------
        loss : tensor of shape (), or an iterable of them
            Several losses, such as a generator of those of a batch's parts, are differentiated one
            after the other; the gradient is that of their mean, and only one graph is in memory.
            With `config.shards`, an iterator that computes one loss for each of `parts` when it is
            asked for it: torch's default generator is seeded before each of them. Weights that a
            loss does not depend on then have a gradient of zero.
        optimizer : torch.optim.Optimizer

        Returns
        -------
        tensor of shape ()
            The loss, or the mean of several, without a graph: of this process, or with
            `config.shards` of all.
        """
        weights = [
            weight
            for group in optimizer.param_groups
            for weight in group["params"]
            if weight.requires_grad
        ]
        mean = self._shards_mean if self.config.shards else self._parts_mean
        value = mean(loss, weights)
        if self.config.clip < math.inf:
            torch.nn.utils.clip_grad_norm_(weights, self.config.clip)
        for group in optimizer.param_groups:
            if not isinstance(group["lr"], Tensor):
                group["lr"] = self.learning_rate(group)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return value

    @property
    def _n_shards(self) -> int:
        """Shards of this process."""
        return self.config.shards // self.accelerator.num_processes

    def _parts_mean(self, loss: Tensor | Iterable[Tensor], weights: list[Tensor]) -> Tensor:
        """Set gradients to those of the mean over parts and processes; return the mean loss."""
        parts: list[Tensor] = []
        for part in (loss,) if isinstance(loss, Tensor) else loss:
            self.accelerator.backward(part, inputs=weights)
            parts.append(part.detach())
        if not parts:
            raise ValueError("loss is empty; pass a loss, or one for each part of a batch")
        if len(parts) > 1:
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            torch._foreach_div_(gradients, len(parts))
        self._share(weights)
        return torch.stack(parts).mean() if len(parts) > 1 else parts[0]

    def _share(self, weights: list[Tensor]) -> None:
        """Replace gradients by their means over the processes, in one message."""
        if self.accelerator.num_processes == 1:
            return
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        parts = self.accelerator.reduce(flat, "mean").split([g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def _shards_mean(self, loss: Tensor | Iterable[Tensor], weights: list[Tensor]) -> Tensor:
        """Set gradients to those of the mean over all shards; return the mean loss."""

        def flat(part: Tensor) -> Tensor:
            self.accelerator.backward(part, inputs=weights)
            gradients = [
                torch.zeros_like(weight) if weight.grad is None else weight.grad
                for weight in weights
            ]
            for weight in weights:
                weight.grad = None
            return torch.cat([*(each.flatten() for each in gradients), part.detach().reshape(1)])

        vectors = map(flat, self._seeded(loss))
        total = shards.mean(vectors, self.config.shards, self.accelerator)
        *means, value = total.split([*(weight.numel() for weight in weights), 1])
        for weight, gradient in zip(weights, means, strict=True):
            weight.grad = torch.empty_like(weight).copy_(gradient.view_as(weight))
        return value[0].clone()

    def _seeded(self, losses: Tensor | Iterable[Tensor]) -> Iterator[Tensor]:
        """Yield what an iterator computes for each shard of this process, from a seed of its own.

        Raises
        ------
        ValueError
            If it is no iterator, or has other than one value for each shard.
        """
        n = self._n_shards
        if not isinstance(losses, Iterator):
            raise ValueError(
                f"shards={self.config.shards} needs an iterator, such as a generator, that "
                f"computes a loss for each of context.parts(n), got {type(losses).__name__}"
            )
        step = fold_in("step", self.config.seed, self.index)
        first = self._n_means * self.config.shards + n * self.accelerator.process_index
        self._n_means += 1
        for shard in range(n):
            torch.manual_seed(fold_in("shard", step, first + shard))
            value = next(losses, None)
            if value is None:
                raise ValueError(
                    f"there are {shard} losses, and this process has {n} of shards="
                    f"{self.config.shards}; compute one for each of context.parts(n)"
                )
            yield value
        if next(losses, None) is not None:
            raise ValueError(
                f"there are more than {n} losses, and this process has {n} of shards="
                f"{self.config.shards}; compute one for each of context.parts(n)"
            )
