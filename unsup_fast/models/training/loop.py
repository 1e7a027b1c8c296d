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

    state = init_state({"network": network}, {"network": optimizer})
    train(state, step, examples.__getitem__, len(examples), TrainConfig(steps=1000), folder,
          accelerator=accelerate.Accelerator())
"""

import json
import math
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from unsup_fast.models.training import (
    checkpoint,
    ema,
    metrics_log,
    parallel,
    process,
    scores,
    shards,
)
from unsup_fast.models.training.accelerator import Accelerator
from unsup_fast.models.training.draws import batch_indices, fold_in
from unsup_fast.models.training.metrics_log import METRICS, SCORES
from unsup_fast.models.training.progress import Follow, following
from unsup_fast.models.training.state import State, TrainConfig
from unsup_fast.models.training.step import StepContext
from unsup_fast.storage.records import finite

Batch = TypeVar("Batch")


def train(
    state: State,
    step: Callable[[Batch, StepContext], Mapping[str, Tensor | float]],
    batch: Callable[[Tensor], Batch],
    n: int,
    config: TrainConfig,
    folder: str | os.PathLike[str],
    *,
    accelerator: Accelerator,
    batches: int = 1,
    fingerprint: Mapping[str, Any] | None = None,
    on_sample: Callable[[State], object] | None = None,
    on_checkpoint: Callable[[State], object] | None = None,
    judge: scores.Judge | None = None,
    best: tuple[str, str] | None = None,
    progress: bool | Follow | None = None,
) -> State:
    """Train until `config.steps`, from where `folder` left off.

    Parameters
    ----------
    state : State
        The state that `init_state` returned; the last checkpoint in `folder`, if any, is restored
        to it.
    step : callable (batch, context) -> mapping of str to tensor or float
        Does one update by `context.optimizer_step`, and returns the losses to show. The first step
        must return all of them, later ones may return fewer. torch's generators are seeded before
        it; it must not use others. With `config.shards` losses are those of `optimizer_step` and
        `context.mean`: of others, those of the main process are logged.
    batch : callable (indices [batches B / processes]) -> batch
        Fetches examples.
    n : int
        Number of examples.
    config : TrainConfig
        Must equal that of the checkpoint, except `steps`, `save_every`, `sample_every` and
        `judge_every`.
    folder : path
        Directory for checkpoints and `metrics.csv`, created if missing. All processes must see it.
    accelerator : accelerate.Accelerator
        Devices, precision and processes. Each process takes its slice of each batch, and gradients
        are averaged; only the main process writes and calls `on_sample`, `on_checkpoint`, `judge`
        and `progress`.
    batches : int
        Batches that `batch` fetches for each step, one after the other, for models that update
        several times a step.
    fingerprint : mapping, optional
        Further values that must not change when a run resumes, such as a model's configuration;
        they must be JSON values.
    on_sample : callable (state), optional
        Called every `config.sample_every` steps and at the end, for instance to draw samples. If it
        fails, training warns and continues.
    on_checkpoint : callable (state), optional
        Called before each checkpoint is written, to export the model: once the last checkpoint of
        a run is written, its final model is written too.
    judge : callable (state) -> mapping of str to float, optional
        Called every `config.judge_every` steps and at the end; what it returns becomes a row of
        `scores.csv`. If it fails, training warns and continues.
    best : (name, {"min", "max"}), optional
        The judge's score by which `best.safetensors` holds the best weights so far; see
        `scores.load_best`.
    progress : bool or callable (state, losses, examples a second), optional
        Whether to show a bar; by default on a terminal and in notebooks. A function is called about
        twice a second, with the losses' means since the last call. The rate is over about the last
        10 seconds of steps, since the run was last started; see `metrics_log.seconds_left`. If it
        returns True, training ends after one more step, which is saved.

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
        If a loss of any step or a weight is not finite; the last checkpoint is left unchanged.
    OSError
        If `folder` cannot be written, or another run trains there.
    ValueError
        If the checkpoint in `folder` is damaged, or of another configuration, other networks,
        optimizers or examples; or if the accelerator cannot be used.
    """
    folder = Path(folder)
    main = accelerator.is_main_process
    parallel.check(n, config, accelerator)
    scores.check_best(best, judge)
    facts = {**(fingerprint or {}), "examples": n, **asdict(config)}
    if batches != 1:
        facts["batches"] = batches
    if not config.shards:
        del facts["shards"]  # as in checkpoints of versions without shards
    facts = json.loads(json.dumps(finite(facts, as_text=True)))
    for module in (*state.networks.values(), *state.ema.values()):
        module.to(accelerator.device)
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    with process.alone(folder) if main else nullcontext(), torch.random.fork_rng(devices):
        accelerator.wait_for_everyone()
        marks = checkpoint.restore(folder, state, facts)
        parallel.agree(state, accelerator)
        log = metrics_log.opened(folder / METRICS, marks.get(METRICS)) if main else nullcontext()
        judged_at_all = parallel.any_has(judge, accelerator)  # processes read losses together
        judged: AbstractContextManager[scores.Scores | None] = nullcontext()
        if main and judge is not None:
            judged = scores.opened(folder, marks.get(SCORES), judge, best)
        following_ = following(progress if main else False, state, config.steps)
        with process.interruptible() as stopped, log as rows, judged as table, following_ as follow:
            pace, enough = metrics_log.Throughput(accelerator, batches * config.batch_size), False
            losses, context = metrics_log.Means(), StepContext(accelerator, config)
            fixed = shards.buffers(state.networks) if config.shards else None
            first = state.step
            _wake(state, pace)
            while state.step < config.steps:
                context.begin(state.step)
                seed = fold_in("step", config.seed, state.step)
                _seed_generators(parallel.process_seed(seed, accelerator), accelerator)
                indices = batch_indices(n, config, state.step, batches).chunk(batches)
                losses.add(step(batch(torch.cat([*map(context.shard, indices)])), context))
                if fixed is not None and state.step == first:
                    shards.check_buffers(fixed, state.networks)
                ema.average(state, config.averaging(state.step), accelerator)
                state.step += 1
                last = state.step == config.steps
                sampling = last or state.step % config.sample_every == 0
                saving = last or state.step % config.save_every == 0
                judging = judged_at_all and (last or state.step % config.judge_every == 0)
                ending = (stopped.is_set() or enough) and accelerator.num_processes == 1
                if not (pace.due() or sampling or saving or judging or ending):
                    continue
                means, stop, over, seconds = pace.look(
                    losses, stopped.is_set(), enough, agreed=bool(config.shards)
                )
                state.seconds += seconds
                _check_losses(means, state.step, folder)
                if rows is not None:
                    rows.add(state.step, state.seconds, means, pace.rate())
                if follow is not None:
                    enough = follow(state, means, pace.rate()) is True
                if main and sampling and on_sample is not None:
                    _try(on_sample, state)
                if judging and table is not None:
                    table.add(state)
                if saving or stop or over:
                    _check_weights(state, folder)
                    if fixed is not None:
                        shards.check_buffers(fixed, state.networks)
                    if rows is not None:
                        if on_checkpoint is not None:
                            on_checkpoint(state)
                        marks[METRICS] = rows.mark()
                        if table is not None:
                            marks[SCORES] = table.log.mark()
                        checkpoint.save(folder, state, facts, marks)
                if stop:
                    raise KeyboardInterrupt(stopped.number)
                if over:
                    break
                _wake(state, pace)
    return state


def _seed_generators(seed: int, accelerator: Accelerator) -> None:
    """Seed the generators of the devices that a step uses."""
    if accelerator.device.type == "cpu":  # torch.manual_seed also formats a stack trace for CUDA
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _wake(state: State, pace: metrics_log.Throughput) -> None:
    """Set networks to training mode, which sampling may have ended, and start the clock."""
    for network in state.networks.values():
        network.train()
    pace.go()


def _check_losses(losses: Mapping[str, float], step: int, folder: Path) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise _diverged(f"{name} is {value}", step, folder)


def _check_weights(state: State, folder: Path) -> None:
    for name, network in state.networks.items():
        finite = [weight.isfinite().all() for weight in network.parameters()]
        if finite and not torch.stack(finite).all():
            raise _diverged(f"a weight of {name!r} is not finite", state.step, folder)


def _diverged(what: str, step: int, folder: Path) -> FloatingPointError:
    return FloatingPointError(
        f"{what} at step {step}: training has diverged; train in another folder with a lower "
        f"learning_rate or a longer warmup ({folder} keeps its last good checkpoint, if it has one)"
    )


def _try(on_sample: Callable[[State], object], state: State) -> None:
    try:
        on_sample(state)
    except Exception as error:  # hours of training are worth more than a picture
        warnings.warn(
            f"showing step {state.step} failed, and training goes on: "
            f"{type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=3,
        )
