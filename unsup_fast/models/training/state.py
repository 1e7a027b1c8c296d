"""What a training run is: its options, its state, and the step that a model computes."""

import math
import operator
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from unsup_fast.models.training.accelerator import Accelerator

FREE = ("steps", "save_every", "sample_every", "judge_every")
"""Options that may change when a run resumes."""


@dataclass(frozen=True)
class TrainConfig:
    """The options of training, for any model.

    Attributes
    ----------
    steps : int
        Number of training steps.
    batch_size : int
        Examples a step, over all processes. It may exceed the number of examples: then a batch
        has some of them more than once.
    learning_rate : float
        Peak learning rate, to build optimizers with. The loop scales each group's own rate.
    warmup : int
        Linear warm-up from zero, in steps.
    decay : int
        Linear decay to zero at the end, in steps. A run that is extended during its decay rises to
        the full rate again: it differs from a run that had all steps from the start.
    clip : float
        Largest gradient norm of an optimizer; larger gradients are scaled down. inf clips none.
    accumulation : int
        Parts of a batch whose gradients are computed one after the other, to save memory (gradient
        accumulation), for models whose step does so.
    ema : float
        Decay of the averaged weights, late in training.
    seed : int
        Seed of weights, batches, noise and dropout.
    save_every, sample_every, judge_every : int
        Steps between checkpoints, between grids of samples, and between calls of a judge.

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    steps: int
    batch_size: int = 128
    learning_rate: float = 1e-3
    warmup: int = 200
    decay: int = 0
    clip: float = 1.0
    accumulation: int = 1
    ema: float = 0.999
    seed: int = 0
    save_every: int = 500
    sample_every: int = 1000
    judge_every: int = 5000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, _plain(field.name, value, field.type is float))
        for name in ("steps", "batch_size", "accumulation", *FREE):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"batch_size={self.batch_size} must be a multiple of "
                f"accumulation={self.accumulation}"
            )
        if self.warmup < 0:
            raise ValueError(f"warmup={self.warmup} must be at least 0, which is none")
        if not 0 <= self.decay <= self.steps:
            raise ValueError(
                f"decay={self.decay} must be from 0, which is none, to steps={self.steps}"
            )
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate={self.learning_rate} must be above 0 and finite")
        if not self.clip > 0:
            raise ValueError(f"clip={self.clip} must be above 0; pass inf to shorten no gradient")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema={self.ema} must be at least 0, which averages none, and below 1")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, as a fraction of the peak."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        fall = min(1.0, (self.steps - step) / self.decay) if self.decay else 1.0
        return min(rise, fall)

    def averaging(self, step: int) -> float:
        """Return the decay of the averaged weights at a step; it is smaller early on."""
        return min(self.ema, (step + 1) / (step + 10))


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
        self.accelerator, self.config, self.index = accelerator, config, 0

    def shard(self, whole: Tensor) -> Tensor:
        """Return this process's slice of a batch over all processes, [B / processes, ...].

        The indices that `train` passes to `batch` are sliced already. Draw numbers for the whole
        batch from a separate generator, seeded by `fold_in`, and slice them here: then several
        processes do what one would. torch's default generator has another seed in each process.
        """
        return whole.tensor_split(self.accelerator.num_processes)[self.accelerator.process_index]

    def optimizer_step(self, loss: Tensor | Iterable[Tensor], optimizer: Optimizer) -> Tensor:
        """Update an optimizer's weights by the clipped gradient of a loss, at the step's rate.

        The gradient is the mean over the processes. Weights of other optimizers get no gradient.

        Parameters
        ----------
        loss : tensor of shape (), or an iterable of them
            Several losses, such as a generator of those of a batch's parts, are differentiated one
            after the other; the gradient is that of their mean, and only one graph is in memory.
        optimizer : torch.optim.Optimizer

        Returns
        -------
        tensor of shape ()
            The loss, or the mean of several, without a graph.
        """
        weights = [
            weight
            for group in optimizer.param_groups
            for weight in group["params"]
            if weight.requires_grad
        ]
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
        if self.config.clip < math.inf:
            torch.nn.utils.clip_grad_norm_(weights, self.config.clip)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.config.rate(self.index)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
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


@dataclass
class State:
    """The state of a training run: all that its steps change."""

    networks: Mapping[str, Module]
    optimizers: Mapping[str, Optimizer]
    ema: Mapping[str, Module]
    """By name, copies of networks whose weights are running means of theirs."""
    scheduled: frozenset[str] = frozenset()
    """Settings of optimizers that steps set themselves, such as "betas"."""
    step: int = 0
    seconds: float = 0.0
    """Time spent on steps, without checkpoints and pictures; resumed runs add to it."""


def init_state(
    networks: Mapping[str, Module],
    optimizers: Mapping[str, Optimizer],
    *,
    ema: Collection[str] | None = None,
    scheduled: Collection[str] = (),
) -> State:
    """Return the state before the first step.

    Parameters
    ----------
    networks : mapping of str to torch.nn.Module
        On the accelerator's device, neither compiled nor wrapped: steps may call compiled forms.
        A network need not have parameters.
    optimizers : mapping of str to torch.optim.Optimizer
        Optimizers of their parameters. The rates of their groups are the peak rates.
    ema : collection of str, optional
        Names of the networks whose weights are averaged; all by default.
    scheduled : collection of str
        Settings of optimizers that steps set themselves, such as "betas": they may differ from
        those of the checkpoint when a run resumes.

    Returns
    -------
    State
        Training state, whose averaged networks are in evaluation mode.

    Raises
    ------
    ValueError
        If a name is not a plain word, or `ema` names no network, or `scheduled` no option.
    """
    for name in (*networks, *optimizers):
        if not name.isidentifier():
            raise ValueError(f"{name!r} names a network or optimizer; use letters, digits and _")
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", float(group["lr"]))
    averaged = tuple(networks) if ema is None else ema
    unknown = sorted(set(averaged) - set(networks))
    if unknown:
        raise ValueError(f"ema={unknown} names no network; pass some of {sorted(networks)}")
    options = {key for each in optimizers.values() for group in each.param_groups for key in group}
    strange = sorted(set(scheduled) - options)
    if strange:
        raise ValueError(f"scheduled={strange} names no option; pass some of {sorted(options)}")
    copies = {
        name: deepcopy(network).eval().requires_grad_(False)
        for name, network in networks.items()
        if name in averaged
    }
    return State(networks, optimizers, copies, frozenset(scheduled))


def _plain(name: str, value: Any, real: bool) -> float:
    """Return a number as Python's own."""
    try:
        return float(value) if real else operator.index(value)
    except (TypeError, ValueError):
        wanted = "a number" if real else "a whole number"
        raise ValueError(f"{name}={value!r} must be {wanted}") from None
