"""The stages of progressive distillation: which student is trained at which step."""

import bisect
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from unsup_fast.models.training import TrainConfig

LAST_STAGES, LAST_SHARE = 2, 2
"""The last stages are the hardest: each gets twice the steps of an earlier one."""
DECAY = 0.5  # share of a stage in which the learning rate falls to zero


@dataclass(frozen=True)
class StagedConfig(TrainConfig):
    """Options of a training in stages, each with a warm-up, a decay and an average of its own.

    Attributes
    ----------
    stages : tuple of int
        The first step of each stage, and the number of all steps.
    """

    stages: tuple[int, ...] = ()

    def stage(self, step: int) -> int:
        """Return the number of the stage that a step belongs to, from 0."""
        return min(bisect.bisect_right(self.stages, step), len(self.stages) - 1) - 1

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, as a fraction of the peak."""
        stage = self.stage(step)
        first, end = self.stages[stage], self.stages[stage + 1]
        n, index = end - first, step - first
        warmup = min(self.warmup, n // 4)
        rise = min(1.0, (index + 1) / warmup) if warmup else 1.0
        return min(rise, (n - index) / (DECAY * n), 1.0)

    def averaging(self, step: int) -> float:
        """Return the decay of the averaged weights at a step; it is smaller early in a stage."""
        return super().averaging(step - self.stages[self.stage(step)])


def halvings(teacher_steps: int, steps: tuple[int, ...]) -> tuple[int, ...]:
    """Return the steps of each student, from half of the teacher's to the fewest.

    Raises
    ------
    ValueError
        If halving does not lead from the teacher's steps to all of `steps`.
    """
    chain = []
    k = teacher_steps
    while k % 2 == 0 and k // 2 >= min(steps):
        k //= 2
        chain.append(k)
    missing = sorted(set(steps) - set(chain))
    if missing:
        raise ValueError(
            f"steps={steps} cannot all be reached by halving teacher_steps={teacher_steps}, which "
            f"gives {chain}; pass such steps, or teacher_steps={min(steps)} times a power of two"
        )
    return tuple(chain)


def staged(options: TrainConfig, n_stages: int) -> StagedConfig:
    """Return options with their steps shared out over stages.

    Raises
    ------
    ValueError
        If there are fewer steps than stages.
    """
    if options.steps < LAST_SHARE * n_stages:
        raise ValueError(
            f"steps={options.steps} of training are too few for {n_stages} stages; pass at least "
            f"{LAST_SHARE * n_stages}, a few hundred a stage are usual"
        )
    shares = [1 if n_stages - i > LAST_STAGES else LAST_SHARE for i in range(n_stages)]
    ends = [round(options.steps * part / sum(shares)) for part in accumulate(shares, initial=0)]
    assert all(low < high for low, high in pairwise(ends))
    values: dict[str, Any] = {name: getattr(options, name) for name in vars(options)}
    return StagedConfig(**{**values, "decay": 0, "stages": tuple(ends)})
