"""The training loop that all models share: a model defines one step, the loop does the rest.

No random state is carried from step to step: the draws of step i follow from the seed and i alone.
So a run that was killed resumes from its last checkpoint bit for bit, on the same machine, if the
operations of its device are deterministic.

    context.optimizer_step(loss, optimizer)

is all that a model's step must call; one with several networks calls it once for each of them:

    def step(batch, context):
        with context.accelerator.autocast():
            loss = network(batch).square().mean()
        context.optimizer_step(loss, optimizer)
        return {"loss": loss}

    state = begin({"network": network}, {"network": optimizer})
    train(state, step, examples.__getitem__, len(examples), Options(steps=1000), folder,
          accelerator=accelerate.Accelerator())
"""

import hashlib
import json
import math
import operator
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from unsup_fast.models import checkpoint, record, running
from unsup_fast.storage.records import finite

METRICS = record.FILE


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


def _plain(name: str, value: Any, real: bool) -> float:
    """Return a number as Python's own."""
    try:
        return float(value) if real else operator.index(value)
    except (TypeError, ValueError):
        wanted = "a number" if real else "a whole number"
        raise ValueError(f"{name}={value!r} must be {wanted}") from None


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


def order(n: int, options: Options, step: int) -> Any:
    """Return the indices of the examples of a step, [batch_size].

    Epochs are permutations that follow from the seed; a batch may hold the end of one and the
    start of the next.
    """
    first = step * options.batch_size
    parts: list[Any] = []
    left = options.batch_size
    while left:
        epoch, offset = divmod(first + options.batch_size - left, n)
        parts.append(_epoch(n, options.seed, epoch)[offset : offset + left])
        left -= len(parts[-1])
    return torch.cat(parts)


@lru_cache(maxsize=2)
def _epoch(n: int, seed: int, epoch: int) -> Any:
    return torch.randperm(n, generator=torch.Generator().manual_seed(number("epoch", seed, epoch)))


def number(purpose: str, seed: int, index: int) -> int:
    """Return a separate seed for the `index`-th use of a purpose, from 0 to 2^63 - 1."""
    digest = hashlib.sha256(f"{purpose} {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def train(
    state: State,
    step: Callable[[Any, StepContext], Mapping[str, Any]],
    batch: Callable[[Any], Any],
    n: int,
    options: Options,
    folder: str | os.PathLike[str],
    *,
    accelerator: Any,
    same: Mapping[str, Any] | None = None,
    show: Callable[[State], None] | None = None,
    keep: Callable[[State], None] | None = None,
    progress: Callable[[State, dict[str, float], float], bool | None] | None = None,
) -> State:
    """Train until `options.steps`, from where `folder` left off.

    Parameters
    ----------
    state : State
        The state that `begin` returned; the last checkpoint in `folder`, if any, is restored to it.
    step : callable (batch, context) -> mapping of str to tensor
        Does one update by `context.optimizer_step`, and returns the losses to show, with the same
        names at each step. torch's generators are seeded before it; it must not use others.
    batch : callable (indices [B / processes]) -> batch
        Fetches examples.
    n : int
        Number of examples.
    options : Options
        Must equal those of the checkpoint, except `steps`, `save_every` and `show_every`.
    folder : path
        Directory for checkpoints and `metrics.csv`, created if missing. All processes must see it.
    accelerator : accelerate.Accelerator
        Devices, precision and processes. Each process takes its slice of each batch, and gradients
        are averaged; only the main process writes and calls `show`, `keep` and `progress`.
    same : mapping, optional
        Further values that must not change when a run resumes, such as a model's configuration;
        they must be JSON values.
    show : callable (state), optional
        Called every `options.show_every` steps and at the end, for instance to draw samples. If it
        fails, training warns and continues.
    keep : callable (state), optional
        Called before each checkpoint is written, to export the model: once the last checkpoint of
        a run is written, its final model is written too.
    progress : callable (state, losses, examples a second), optional
        Called about twice a second. The rate is over about the last 10 seconds of steps, since the
        run was last started; see `record.seconds_left`. If it returns True, training ends after
        one more step, which is saved.

    Returns
    -------
    State
        The trained state; networks are in training mode.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once the step is finished and saved; at once after a second. Its
        argument is the signal. Only in the main thread, and only for signals that the process does
        not ignore.
    FloatingPointError
        If a loss or weight is not finite; the last checkpoint is left unchanged.
    OSError
        If `folder` cannot be written, or another run trains there.
    ValueError
        If the checkpoint in `folder` is damaged, or of other options, networks, optimizers or
        examples; or if the accelerator cannot be used.
    """
    folder = Path(folder)
    main = accelerator.is_main_process
    _check(n, options, accelerator)
    facts = {**(same or {}), "examples": n, **asdict(options)}
    facts = json.loads(json.dumps(finite(facts, as_text=True)))
    for module in (*state.networks.values(), *state.averages.values()):
        module.to(accelerator.device)
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    with running.alone(folder) if main else nullcontext(), torch.random.fork_rng(devices):
        accelerator.wait_for_everyone()
        mark = checkpoint.restore(folder, state, facts)
        _agree(state, accelerator)
        log = record.metrics(folder, mark) if main else nullcontext()
        with running.interruptible() as stopped, log as rows:
            pace, enough = record.Pace(accelerator, options.batch_size), False
            context = StepContext(accelerator, options)
            _wake(state, pace)
            while state.step < options.steps:
                context.index = state.step
                torch.manual_seed(_own(number("step", options.seed, state.step), accelerator))
                losses = step(batch(context.mine(order(n, options, state.step))), context)
                _average(state, options.averaging(state.step), accelerator)
                state.step += 1
                last = state.step == options.steps
                showing = last or state.step % options.show_every == 0
                saving = last or state.step % options.save_every == 0
                ending = (stopped.is_set() or enough) and accelerator.num_processes == 1
                if not (pace.due() or showing or saving or ending):
                    continue
                means, stop, over, seconds = pace.look(losses, stopped.is_set(), enough)
                state.seconds += seconds
                _check_losses(means, state.step, folder)
                if rows is not None:
                    rows.add(state.step, state.seconds, means, pace.rate())
                if main and progress is not None:
                    enough = progress(state, means, pace.rate()) is True
                if main and showing and show is not None:
                    _try(show, state)
                if saving or stop or over:
                    _check_weights(state, folder)
                    if rows is not None:
                        if keep is not None:
                            keep(state)
                        checkpoint.save(folder, state, facts, rows.mark())
                if stop:
                    raise KeyboardInterrupt(stopped.number)
                if over:
                    break
                _wake(state, pace)
    return state


def _own(seed: int, accelerator: Any) -> int:
    """Return the seed of this process; the main process has `seed` itself."""
    index = accelerator.process_index
    return number("process", seed, index) if index else seed


def _check(n: int, options: Options, accelerator: Any) -> None:
    processes = accelerator.num_processes
    kind = getattr(accelerator.distributed_type, "value", accelerator.distributed_type)
    if n < 1:
        raise ValueError(f"n={n} examples; training needs at least 1")
    if options.batch_size % processes:
        raise ValueError(
            f"batch_size={options.batch_size} must be a multiple of the {processes} processes"
        )
    if accelerator.mixed_precision not in ("no", "bf16"):
        raise ValueError(
            f"mixed_precision={accelerator.mixed_precision!r} would need scaled losses; pass 'no' "
            "or 'bf16'"
        )
    if kind != "NO" and not kind.startswith("MULTI_"):
        raise ValueError(f"processes of the kind {kind} share networks; use one of whole networks")
    if accelerator.gradient_accumulation_steps != 1:
        raise ValueError(
            f"gradient_accumulation_steps={accelerator.gradient_accumulation_steps} is not 1; "
            "choose how many examples a step has by batch_size"
        )


def _agree(state: State, accelerator: Any) -> None:
    """Broadcast the weights of the main process to all others."""
    if accelerator.num_processes == 1:
        return
    steps = accelerator.gather(torch.tensor([state.step], device=accelerator.device)).tolist()
    if len(set(steps)) > 1:
        raise ValueError(
            f"the processes found checkpoints of the steps {steps}; use a folder that all see"
        )
    for modules in (state.networks, state.averages):
        for module in modules.values():
            _broadcast(module.state_dict().values())


def _broadcast(tensors: Any) -> None:
    for tensor in tensors:
        dense = tensor.detach().contiguous()
        torch.distributed.broadcast(dense, 0)
        tensor.detach().copy_(dense)


def _wake(state: State, pace: record.Pace) -> None:
    """Set networks to training mode, which sampling may have ended, and start the clock."""
    for network in state.networks.values():
        network.train()
    pace.go()


def _average(state: State, decay: float, accelerator: Any) -> None:
    """Move the averaged weights towards the present ones; copy the main process's buffers."""
    for name, network in state.networks.items():
        average = state.averages[name]
        weights = [weight.detach() for weight in network.parameters()]
        torch._foreach_lerp_(list(average.parameters()), weights, 1 - decay)
        if accelerator.num_processes > 1:
            _broadcast(network.buffers())
        for to, value in zip(average.buffers(), network.buffers(), strict=True):
            to.copy_(value)


def _check_losses(losses: Mapping[str, float], step: int, folder: Path) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise _diverged(f"{name} is {value}", step, folder)


def _check_weights(state: State, folder: Path) -> None:
    for name, network in state.networks.items():
        finite = torch.stack([weight.isfinite().all() for weight in network.parameters()])
        if not finite.all():
            raise _diverged(f"a weight of {name!r} is not finite", state.step, folder)


def _diverged(what: str, step: int, folder: Path) -> FloatingPointError:
    return FloatingPointError(
        f"{what} at step {step}: training has diverged; train in another folder with a lower "
        f"learning_rate or a longer warmup ({folder} keeps its last good checkpoint, if it has one)"
    )


def _try(show: Callable[[State], None], state: State) -> None:
    try:
        show(state)
    except Exception as error:  # hours of training are worth more than a picture
        warnings.warn(
            f"showing step {state.step} failed, and training goes on: "
            f"{type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=3,
        )
