"""What a step of each method draws and computes: the levels of its images, and their loss."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast.models.base import evaluating
from unsup_fast.models.diffusion._examples import Draws
from unsup_fast.models.diffusion.config import Config
from unsup_fast.models.diffusion.distillation import consistency, progressive
from unsup_fast.models.diffusion.distillation.levels import Call, guided
from unsup_fast.models.diffusion.distillation.stages import StagedConfig
from unsup_fast.models.diffusion.model import STUDENTS, Diffusion
from unsup_fast.models.training import State, StepContext


class Method(ABC):
    """A method of distillation.

    Parameters
    ----------
    teacher : torch.nn.Module
        In evaluation mode, without gradients.
    config : Config
        Configuration of the student.
    """

    def __init__(self, teacher: Module, config: Config) -> None:
        self.teacher, self.config = teacher, config
        self._any_class = len(config.classes)

    def networks(self) -> Mapping[str, Module]:
        """Return networks besides the student that change in training, for checkpoints."""
        return {}

    def model_config(self, step: int) -> Config:
        """Return the configuration of the averaged student at a step, with its own sampler."""
        return self.config

    def begin(self, state: State, context: StepContext) -> None:  # noqa: B027  (few methods need it)
        """Prepare a step."""

    def end(self, state: State) -> None:  # noqa: B027  (few methods need it)
        """Update what follows the student after a step."""

    def finish(self, state: State) -> None:  # noqa: B027  (few methods need it)
        """Write what is left when training has ended."""

    @abstractmethod
    def draw(self, n: int, generator: torch.Generator, *, step: int) -> Tensor:
        """Return what a step draws of the level of each of n images, int64 [n]."""

    @abstractmethod
    def loss(self, state: State, draws: Draws, rows: slice, context: StepContext) -> Tensor:
        """Return the loss of some rows of a batch."""

    def _bound(
        self, network: Module, draws: Draws, rows: slice, weight: Tensor | None = None
    ) -> Call:
        """Return a network bound to the labels of some rows, and to weights of guidance [B]."""
        label = None if draws.label is None else draws.label[rows]
        return guided(network, label, weight, self._any_class)


class Progressive(Method):
    """Progressive distillation, a stage for each number of steps; see `progressive`.

    Parameters
    ----------
    teacher, config
        As for `Method`.
    options : StagedConfig
    chain : tuple of int
        Steps of the student of each stage.
    guidance : float, optional
        Weight of the guidance of the first teacher.
    folder : Path
        Has the students of finished stages.
    writes : bool
        Whether this process writes them.
    """

    def __init__(
        self,
        teacher: Module,
        config: Config,
        options: StagedConfig,
        chain: tuple[int, ...],
        guidance: float | None,
        folder: Path,
        *,
        writes: bool,
    ) -> None:
        super().__init__(teacher, config)
        self._options, self._chain, self._guidance = options, chain, guidance
        self._folder, self._writes = folder, writes
        self._halvings = [progressive.halving(config, steps) for steps in chain]
        self._stage = 0

    def model_config(self, step: int) -> Config:
        """Return the configuration of the student of the stage that ends at or after a step."""
        stage = self._options.stage(max(step - 1, 0))
        return replace(self.config, steps=self._chain[stage])

    def begin(self, state: State, context: StepContext) -> None:
        """Make the student the next one's teacher where a stage begins."""
        stage = self._options.stage(context.index)
        if stage == self._stage:
            return
        if context.index == self._options.stages[stage]:
            self._save(state, stage - 1)
            averaged = state.ema["network"].state_dict()
            for network in (self.teacher, state.networks["network"]):
                network.load_state_dict(averaged)
            for optimizer in state.optimizers.values():
                optimizer.state.clear()
        else:
            self._load(stage - 1)
        self._stage = stage

    def finish(self, state: State) -> None:
        """Write the last student."""
        if state.step == self._options.steps:
            self._save(state, len(self._chain) - 1)

    def _save(self, state: State, stage: int) -> None:
        """Write the student of a stage that has ended."""
        if self._writes:
            config = replace(self.config, steps=self._chain[stage])
            Diffusion(state.ema["network"], config).save(self._path(stage))

    def draw(self, n: int, generator: torch.Generator, *, step: int) -> Tensor:
        """See `Method`."""
        return progressive.draw_levels(self._halvings[self._options.stage(step)], n, generator)

    def loss(self, state: State, draws: Draws, rows: slice, context: StepContext) -> Tensor:
        """See `Method`."""
        images, weight = draws.images[rows], None
        if self._guidance is not None and self._stage == 0:
            weight = torch.full((len(images),), self._guidance, device=images.device)
        return progressive.progressive_loss(
            self._bound(state.networks["network"], draws, rows),
            self._bound(self.teacher, draws, rows, weight),
            images,
            self._halvings[self._stage],
            index=draws.levels[rows],
            seed=draws.seeds[rows],
        )

    def _path(self, stage: int) -> Path:
        return self._folder / STUDENTS / str(self._chain[stage])

    def _load(self, stage: int) -> None:
        """Read the student of an earlier stage as the teacher.

        Raises
        ------
        ValueError
            If it is missing or damaged.
        """
        path, device = self._path(stage), next(self.teacher.parameters()).device
        try:
            before = Diffusion.load(path, network=self.teacher, device=device)
        except (OSError, ValueError) as error:
            raise ValueError(
                f"the run cannot resume without the student of {self._chain[stage]} steps: {error}"
            ) from None
        self.teacher = before.network


class Tune(Method):
    """Consistency tuning; see `consistency`.

    Parameters
    ----------
    teacher, config
        As for `Method`; the teacher is only where the student starts.
    n_steps : int
        Number of training steps, which the stages share evenly.
    """

    def __init__(self, teacher: Module, config: Config, n_steps: int) -> None:
        super().__init__(teacher, config)
        self._trajectory, self._n_steps = consistency.trajectory(config), n_steps
        self._nearer = [
            consistency.nearer_levels(self._trajectory.at, stage)
            for stage in range(consistency.N_STAGES)
        ]

    def draw(self, n: int, generator: torch.Generator, *, step: int) -> Tensor:
        """See `Method`."""
        return consistency.draw_levels(self._trajectory.probs, n, generator)

    def loss(self, state: State, draws: Draws, rows: slice, context: StepContext) -> Tensor:
        """See `Method`."""
        stage = min(consistency.N_STAGES * context.index // self._n_steps, len(self._nearer) - 1)
        network, index = state.networks["network"], draws.levels[rows]
        return consistency.tuning_loss(
            self._bound(network, draws, rows),
            _without_dropout(network, self._bound(network, draws, rows)),
            draws.images[rows],
            self._trajectory.at,
            index=index,
            below=torch.from_numpy(self._nearer[stage])[index],
            seed=draws.seeds[rows],
        )


class Distill(Method):
    """Latent consistency distillation; see `consistency`.

    Parameters
    ----------
    teacher, config
        As for `Method`. With `config.guidance` the student takes the weight as an input.
    student : torch.nn.Module
        The student before training.
    guidance : float, optional
        Weight of the teacher's guidance, for a student that does not take it as an input.
    """

    def __init__(
        self, teacher: Module, config: Config, student: Module, guidance: float | None
    ) -> None:
        super().__init__(teacher, config)
        self._at, self._guidance = consistency.trajectory(config).at, guidance
        self._n_levels = len(self._at.times) - 1
        self._target = deepcopy(student).eval().requires_grad_(False)

    def networks(self) -> Mapping[str, Module]:
        """Return the averaged weights that are the target."""
        return {"target": self._target}

    def begin(self, state: State, context: StepContext) -> None:
        """Set the target to evaluation mode, which the loop ends for all networks."""
        self._target.eval()

    def end(self, state: State) -> None:
        """Average the student's weights into the target."""
        weights = [weight.detach() for weight in state.networks["network"].parameters()]
        torch._foreach_lerp_(list(self._target.parameters()), weights, 1 - consistency.TARGET_DECAY)

    def draw(self, n: int, generator: torch.Generator, *, step: int) -> Tensor:
        """See `Method`: levels from 1, stratified."""
        even = np.full(self._n_levels, 1 / self._n_levels)
        return consistency.draw_levels(even, n, generator)

    def loss(self, state: State, draws: Draws, rows: slice, context: StepContext) -> Tensor:
        """See `Method`."""
        images, index = draws.images[rows], draws.levels[rows]
        weight = self._weights(draws.uniform[rows], images.device)
        return consistency.distilling_loss(
            self._student(state.networks["network"], draws, rows, weight),
            self._student(self._target, draws, rows, weight),
            self._bound(self.teacher, draws, rows, weight),
            images,
            self._at,
            index=index,
            below=consistency.skip(index, self._n_levels),
            seed=draws.seeds[rows],
        )

    def _student(self, network: Module, draws: Draws, rows: slice, weight: Tensor | None) -> Call:
        """Return a network bound to labels, and to the weights that it takes as an input."""
        if self.config.guidance is None:
            return self._bound(network, draws, rows)
        label = None if draws.label is None else draws.label[rows]
        return lambda x, time: network(x, time, label, weight)

    def _weights(self, uniform: Tensor, device: torch.device) -> Tensor | None:
        """Return the weight of guidance of each row, [B], or None for no guidance."""
        if self.config.guidance is not None:
            low, high = self.config.guidance
            return (low + (high - low) * uniform).to(device)
        if self._guidance is None:
            return None
        return torch.full((len(uniform),), self._guidance, device=device)


def _without_dropout(network: Module, call: Call) -> Call:
    def called(x: Tensor, time: Tensor) -> Tensor:
        with evaluating(network):
            return call(x, time)

    return called
