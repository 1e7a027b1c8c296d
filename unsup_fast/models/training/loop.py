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

import json
import math
import os
import warnings
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from unsup_fast.models.training import checkpoint, ema, metrics_log, parallel, process
from unsup_fast.models.training.draws import number, order
from unsup_fast.models.training.state import Options, State, StepContext
from unsup_fast.storage.records import finite


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
        run was last started; see `metrics_log.seconds_left`. If it returns True, training ends
        after one more step, which is saved.

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
    parallel.check(n, options, accelerator)
    facts = {**(same or {}), "examples": n, **asdict(options)}
    facts = json.loads(json.dumps(finite(facts, as_text=True)))
    for module in (*state.networks.values(), *state.averages.values()):
        module.to(accelerator.device)
    devices = [accelerator.device] if accelerator.device.type == "cuda" else []
    with process.alone(folder) if main else nullcontext(), torch.random.fork_rng(devices):
        accelerator.wait_for_everyone()
        mark = checkpoint.restore(folder, state, facts)
        parallel.agree(state, accelerator)
        log = metrics_log.metrics(folder, mark) if main else nullcontext()
        with process.interruptible() as stopped, log as rows:
            pace, enough = metrics_log.Throughput(accelerator, options.batch_size), False
            context = StepContext(accelerator, options)
            _wake(state, pace)
            while state.step < options.steps:
                context.index = state.step
                torch.manual_seed(
                    parallel.process_seed(number("step", options.seed, state.step), accelerator)
                )
                losses = step(batch(context.mine(order(n, options, state.step))), context)
                ema.average(state, options.averaging(state.step), accelerator)
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
