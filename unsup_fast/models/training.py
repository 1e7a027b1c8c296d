"""The training loop that all models share: a model says what one step is, the loop does the rest.

Nothing random is carried from step to step: what step i draws follows from the seed and i alone.
So a run that was killed goes on from its last checkpoint to the same bits.
"""

import csv
import hashlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from unsup_fast.models import checkpoint

METRICS = "metrics.csv"


@dataclass(frozen=True)
class Options:
    """How to train, for any model.

    Attributes
    ----------
    steps : int
        Updates in all.
    batch_size : int
        Examples of a step, over all processes.
    learning_rate : float
        After the warm-up.
    warmup : int
        Steps over which the learning rate rises from zero.
    decay : int
        Last steps over which it falls to zero on a line.
    clip : float
        Largest norm of a network's gradient; longer ones are shortened.
    ema : float
        Share of the averaged weights that a step keeps, late in training.
    seed : int
        Of weights, batches, noise and dropout.
    save_every, show_every : int
        Steps between checkpoints, and between grids of samples.
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

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, as a share of `learning_rate`."""
        rise = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        fall = min(1.0, (self.steps - step) / self.decay) if self.decay else 1.0
        return min(rise, fall)

    def averaging(self, step: int) -> float:
        """Return the share of the averaged weights that a step keeps; early ones keep less."""
        return min(self.ema, (step + 1) / (step + 10))


class Now:
    """The step that is being done: what a model's step may ask and do."""

    def __init__(self, accelerator: Any, options: Options) -> None:
        self.accelerator, self.options, self.index = accelerator, options, 0

    def mine(self, values: Any) -> Any:
        """Return this process's share of one value for each example of the step."""
        share = self.accelerator.process_index
        return values.tensor_split(self.accelerator.num_processes)[share]

    def descend(self, loss: Any, optimiser: Any, network: Any) -> None:
        """Move one network's weights down the gradient of a loss, clipped and warmed up."""
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(network.parameters(), self.options.clip)
        for group in optimiser.param_groups:
            group["lr"] = self.options.learning_rate * self.options.rate(self.index)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)


@dataclass
class State:
    """What training changes."""

    networks: Mapping[str, Any]
    optimisers: Mapping[str, Any]
    averages: Mapping[str, Any]
    """A copy of each network whose weights are running means of its weights."""
    step: int = 0
    seconds: float = 0.0


def begin(networks: Mapping[str, Any], optimisers: Mapping[str, Any]) -> State:
    """Return the state before the first step."""
    averages = {name: deepcopy(network).requires_grad_(False) for name, network in networks.items()}
    return State(networks, optimisers, averages)


def order(n: int, options: Options, step: int) -> Any:
    """Return the indices of the examples of a step, [batch_size].

    Epochs are permutations that follow from the seed; a batch may hold the end of one and the
    start of the next.
    """
    first = step * options.batch_size
    found: list[Any] = []
    left = options.batch_size
    while left:
        epoch, place = divmod(first + options.batch_size - left, n)
        found.append(_epoch(n, options.seed, epoch)[place : place + left])
        left -= len(found[-1])
    return torch.cat(found)


@lru_cache(maxsize=2)
def _epoch(n: int, seed: int, epoch: int) -> Any:
    return torch.randperm(n, generator=torch.Generator().manual_seed(number("epoch", seed, epoch)))


def number(purpose: str, seed: int, index: int) -> int:
    """Return a seed of its own for the `index`-th use of a purpose, from 0 to 2^63 - 1."""
    digest = hashlib.sha256(f"{purpose} {seed} {index}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def train(
    state: State,
    step: Callable[[Any, Now], dict[str, Any]],
    batch: Callable[[Any], Any],
    n: int,
    options: Options,
    folder: Path,
    *,
    accelerator: Any,
    show: Callable[[State], None] | None = None,
    keep: Callable[[State], None] | None = None,
    progress: Callable[[State, dict[str, float], float], None] | None = None,
) -> State:
    """Train until `options.steps`, from where `folder` left off.

    Parameters
    ----------
    state : State
        As of `begin`; brought to the last checkpoint of `folder` if there is one.
    step : callable (batch, now) -> dict of str to tensor
        Does one update by `now.descend`, and returns the losses to be shown.
    batch : callable (indices [B]) -> batch
        Fetches examples.
    n : int
        How many examples there are.
    options : Options
    folder : path
        Where checkpoints and `metrics.csv` go.
    accelerator : accelerate.Accelerator
        Devices, precision and processes.
    show : callable (state), optional
        Called every `options.show_every` steps and at the end, as for grids of samples.
    keep : callable (state), optional
        Called after each checkpoint, to write what others will read.
    progress : callable (state, losses, examples a second), optional
        Called about twice a second.

    Returns
    -------
    State
        Trained.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C or SIGTERM, once the step is finished and saved.
    FloatingPointError
        If a loss is not finite; the last checkpoint stays.
    ValueError
        If the checkpoint in `folder` is of other options or networks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.restore(folder, state, asdict(options))
    now = Now(accelerator, options)
    losses: dict[str, float] = {}
    saved, shown = state.step, state.step
    with _interruptible() as stopped, _metrics(folder, state.step) as record:
        pace = _Pace(options.batch_size)
        while state.step < options.steps and not stopped.is_set():
            now.index = state.step
            torch.manual_seed(number("step", options.seed, state.step))
            made = step(batch(order(n, options, state.step)), now)
            _average(state, options.averaging(state.step))
            state.step += 1
            state.seconds += pace.lap()
            if pace.due() or state.step == options.steps:
                losses = {name: float(value) for name, value in made.items()}
                _check(losses, state.step)
                record(state, losses, pace.rate())
                if progress is not None:
                    progress(state, losses, pace.rate())
            if state.step - saved >= options.save_every:
                checkpoint.save(folder, state, asdict(options))
                if keep is not None:
                    keep(state)
                saved = state.step
            if show is not None and state.step - shown >= options.show_every:
                show(state)
                shown = state.step
        if state.step != saved:
            checkpoint.save(folder, state, asdict(options))
            if keep is not None:
                keep(state)
    if stopped.is_set():
        raise KeyboardInterrupt
    if show is not None and shown != state.step:
        show(state)
    return state


class _Pace:
    """How fast steps go."""

    EVERY = 0.5  # seconds between looks at the losses, which wait for the device

    def __init__(self, examples: int) -> None:
        self._examples, self._steps = examples, 0
        self._start = self._last = self._looked = time.monotonic()

    def lap(self) -> float:
        """Return the seconds since the step before ended."""
        before, self._last = self._last, time.monotonic()
        self._steps += 1
        return self._last - before

    def due(self) -> bool:
        """Whether it is time to look at the losses."""
        if self._last - self._looked < self.EVERY:
            return False
        self._looked = self._last
        return True

    def rate(self) -> float:
        """Return the examples a second."""
        return self._steps * self._examples / max(self._last - self._start, 1e-9)


@torch.no_grad()
def _average(state: State, kept: float) -> None:
    """Move the averaged weights towards those of now."""
    for name, network in state.networks.items():
        average = state.averages[name]
        torch._foreach_lerp_(list(average.parameters()), list(network.parameters()), 1 - kept)
        for to, value in zip(average.buffers(), network.buffers(), strict=True):
            to.copy_(value)


def _check(losses: dict[str, float], step: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{name} is {value} at step {step}: training has diverged; lower learning_rate, "
                "or go on from the last checkpoint with a longer warmup"
            )


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C or SIGTERM sets; a second one raises at once."""
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(number: int, frame: Any) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = {s: signal.signal(s, stop) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


@contextmanager
def _metrics(folder: Path, step: int) -> Iterator[Callable[[State, dict[str, float], float], None]]:
    """Give a function that adds a row to the metrics; rows after `step` are dropped first."""
    path = folder / METRICS
    rows: list[dict[str, str]] = []
    if step and path.exists():
        with path.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        if rows:
            writer.writerow(rows[0])
            writer.writerows(row.values() for row in rows)

        def record(state: State, losses: dict[str, float], rate: float) -> None:
            if file.tell() == 0:
                writer.writerow(["step", "seconds", *losses, "examples_per_second"])
            writer.writerow([state.step, f"{state.seconds:.3f}", *losses.values(), f"{rate:.1f}"])
            file.flush()

        yield record
