"""What a training run is: its options and its state."""

import math
import operator
from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, fields
from typing import Any

from torch.nn import Module
from torch.optim import Optimizer

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
    shards : int
        Shards of a batch, a power of two. Gradients are computed shard by shard and added in a
        fixed order, so 1, 2, 4, ... processes, up to as many as shards, compute the same bits. 0
        cuts a batch by the processes alone: other numbers of them agree up to rounding.
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
    shards: int = 0
    ema: float = 0.999
    seed: int = 0
    save_every: int = 500
    sample_every: int = 1000
    judge_every: int = 5000

    def __post_init__(self) -> None:
        for field in fields(TrainConfig):
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
        if self.shards:
            self._check_shards()
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

    def _check_shards(self) -> None:
        if self.shards < 0 or self.shards.bit_count() != 1:
            raise ValueError(
                f"shards={self.shards} must be a power of two such as 8, or 0, which fixes no order"
            )
        if self.batch_size % self.shards:
            raise ValueError(
                f"batch_size={self.batch_size} must be a multiple of shards={self.shards}"
            )
        if self.accumulation > 1:
            raise ValueError(
                f"accumulation={self.accumulation} and shards={self.shards} exclude each other: "
                "shards are computed one after the other already; pass accumulation=1"
            )

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, as a fraction of the peak."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        fall = min(1.0, (self.steps - step) / self.decay) if self.decay else 1.0
        return min(rise, fall)

    def averaging(self, step: int) -> float:
        """Return the decay of the averaged weights at a step; it is smaller early on."""
        return min(self.ema, (step + 1) / (step + 10))


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
