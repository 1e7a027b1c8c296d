"""What a training run is: its options, its state, and the step that a model computes."""

import math
import operator
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any

import torch


@dataclass(frozen=True)
class Options:
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
    ema : float
        Decay of the averaged weights, late in training.
    seed : int
        Seed of weights, batches, noise and dropout.
    save_every, show_every : int
        Steps between checkpoints, and between grids of samples.

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
    ema: float = 0.999
    seed: int = 0
    save_every: int = 500
    show_every: int = 1000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, _plain(field.name, value, field.type is float))
        for name in ("steps", "batch_size", "save_every", "show_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
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
    options : Options
    index : int
        Index of the step, from 0.
    """

    def __init__(self, accelerator: Any, options: Options) -> None:
        self.accelerator, self.options, self.index = accelerator, options, 0

    def mine(self, whole: Any) -> Any:
        """Return this process's slice of a batch over all processes, [B / processes, ...].

        The indices that `train` passes to `batch` are sliced already. Draw numbers for the whole
        batch from a separate generator, seeded by `number`, and slice them here: then several
        processes do what one would. torch's default generator has another seed in each process.
        """
        return whole.tensor_split(self.accelerator.num_processes)[self.accelerator.process_index]

    def optimizer_step(self, loss: Any, optimizer: Any) -> None:
        """Update an optimizer's weights by the clipped gradient of a loss, at the step's rate.

        The gradient is the mean over the processes. Weights of other optimizers get no gradient.
        """
        weights = [
            weight
            for group in optimizer.param_groups
            for weight in group["params"]
            if weight.requires_grad
        ]
        self.accelerator.backward(loss, inputs=weights)
        self._share(weights)
        torch.nn.utils.clip_grad_norm_(weights, self.options.clip)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * self.options.rate(self.index)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _share(self, weights: list[Any]) -> None:
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

    networks: Mapping[str, Any]
    optimizers: Mapping[str, Any]
    averages: Mapping[str, Any]
    """A copy of each network whose weights are running means of its weights."""
    step: int = 0
    seconds: float = 0.0
    """Time spent on steps, without checkpoints and pictures; resumed runs add to it."""


def begin(networks: Mapping[str, Any], optimizers: Mapping[str, Any]) -> State:
    """Return the state before the first step.

    Parameters
    ----------
    networks : mapping of str to torch.nn.Module
        On the accelerator's device, neither compiled nor wrapped: steps may call compiled forms.
    optimizers : mapping of str to torch.optim.Optimizer
        Optimizers of their parameters. The rates of their groups are the peak rates.

    Returns
    -------
    State
        Training state, whose averages are in evaluation mode.

    Raises
    ------
    ValueError
        If a name is not a plain word.
    """
    for name in (*networks, *optimizers):
        if not name.isidentifier():
            raise ValueError(f"{name!r} names a network or optimizer; use letters, digits and _")
    for optimizer in optimizers.values():
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", float(group["lr"]))
    averages = {
        name: deepcopy(network).eval().requires_grad_(False) for name, network in networks.items()
    }
    return State(networks, optimizers, averages)


def _plain(name: str, value: Any, real: bool) -> float:
    """Return a number as Python's own."""
    try:
        return float(value) if real else operator.index(value)
    except (TypeError, ValueError):
        wanted = "a number" if real else "a whole number"
        raise ValueError(f"{name}={value!r} must be {wanted}") from None
