"""`distill`: a model of few steps from one of many."""

import hashlib
import json
import math
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import Module

from unsup_fast._types import on_host
from unsup_fast.metrics import Judge
from unsup_fast.models.base import CUSTOM
from unsup_fast.models.diffusion._examples import Batch, Examples
from unsup_fast.models.diffusion.config import Config, guidance_range, network_of
from unsup_fast.models.diffusion.distillation.methods import Distill, Method, Progressive, Tune
from unsup_fast.models.diffusion.distillation.quality import compare
from unsup_fast.models.diffusion.distillation.stages import halvings, staged
from unsup_fast.models.diffusion.model import Diffusion
from unsup_fast.models.diffusion.training import BETAS, facts_of
from unsup_fast.models.training import State, StepContext, TrainConfig, init_state
from unsup_fast.models.training import precision as precisions
from unsup_fast.models.training import train as train_loop
from unsup_fast.models.training.accelerator import Accelerator, accelerator_for
from unsup_fast.models.training.progress import Follow

METHODS = ("progressive", "tune", "distill")
OPTIONS = TrainConfig(steps=2100, learning_rate=5e-4, warmup=50, ema=0.99)


def distill(
    model: Diffusion,
    data: Tensor | npt.NDArray[Any],
    folder: str | os.PathLike[str],
    *,
    method: str = "progressive",
    steps: Sequence[int] = (1, 2, 4, 8),
    options: TrainConfig = OPTIONS,
    labels: Tensor | npt.ArrayLike | None = None,
    guidance: float | Sequence[float] | None = None,
    teacher_steps: int = 32,
    n_samples: int = 1000,
    label_dropout: float = 0.1,
    flip: bool = False,
    precision: str = "auto",
    device: torch.device | str | None = None,
    accelerator: Accelerator | None = None,
    progress: bool | Follow | None = None,
    on_sample: Callable[[Diffusion, int], object] | None = None,
) -> Diffusion:
    """Train a student that needs few steps, from where `folder` left off.

    Parameters
    ----------
    model : Diffusion
        The teacher. It is not changed, and is not in the checkpoint: a run resumes with the same.
    data : array or tensor of shape (N, ...)
        As for `train`; best what the teacher was trained on.
    folder : path
        Directory for checkpoints, `metrics.csv` and the model; created if missing.
    method : {"progressive", "tune", "distill"}
        "progressive" halves the steps in stages (Salimans & Ho 2022): the student of each number of
        steps is a network of its own, in `folder/students/STEPS`; `load(folder, steps=4)` reads it.
        "tune" makes the network a consistency model by its own estimates (Geng et al. 2025) and
        "distill" by the steps of a guided teacher (Luo et al. 2023): one network for all steps.
    steps : sequence of int
        Numbers of steps that are wanted of the student.
    options : unsup_fast.models.training.TrainConfig
        Options of the training loop; `steps` are those of all stages, and may change when a run
        resumes for "distill" alone. "progressive" warms up and decays in each stage anew and
        ignores `decay`.
    labels : array or tensor of shape (N,), optional
        Classes, for a model with classes.
    guidance : float, or two, optional
        Weight of classifier-free guidance of the teacher, which the student learns: it calls its
        network once a step. Two numbers, for "distill" alone, are a range: the student takes
        the weight as an input, `student.sample(guidance=...)`.
    teacher_steps : int
        DDIM steps of the teacher that "progressive" starts from: a power of two times the fewest
        of `steps`.
    n_samples : int
        Samples by which student and teacher are compared in the end, in `distilled.json`; see
        `compare`. 0 leaves the comparison out.
    label_dropout, flip, precision, device, accelerator, progress, on_sample
        As for `train`.

    Returns
    -------
    Diffusion
        The student with averaged weights. Its `config` has its sampler and number of steps: the
        fewest of `steps` for "progressive", else the most.

    Raises
    ------
    TypeError, ValueError
        If the model cannot be distilled by this method, arguments do not fit each other, or
        `folder` holds another training.
    FloatingPointError, KeyboardInterrupt
        As `train`.
    """
    if n_samples < 0 or n_samples == 1:
        raise ValueError(
            f"n_samples={n_samples} must be at least 2, as a spread is measured, or 0 for no "
            "comparison"
        )
    folder = Path(folder)
    wanted = _wanted(steps)
    config = _student_config(model.config, method, guidance, wanted)
    examples = Examples(data, labels, config, label_dropout=label_dropout, flip=flip)
    if n_samples:
        _check_comparable(examples)
    accelerator, dtype = accelerator_for(accelerator, precision, device)
    student = _student(model, config).to(accelerator.device).train().requires_grad_(True)
    teacher = deepcopy(model.network).to(accelerator.device).eval().requires_grad_(False)
    weight = None if guidance is None or config.guidance is not None else float(guidance)  # type: ignore[arg-type]
    rule: Method
    if method == "progressive":
        chain = halvings(teacher_steps, wanted)
        options = staged(options, len(chain))
        writes = accelerator.is_main_process
        rule = Progressive(teacher, config, options, chain, weight, folder, writes=writes)
    elif method == "tune":
        rule = Tune(teacher, config, options.steps)
    else:
        rule = Distill(teacher, config, student, weight)
    optimizer = torch.optim.AdamW(
        student.parameters(), options.learning_rate, betas=BETAS, weight_decay=0.0, fused=True
    )
    state = init_state(
        {"network": student, **rule.networks()}, {"network": optimizer}, ema=["network"]
    )

    def step(batch: Batch, context: StepContext) -> dict[str, Tensor]:
        rule.begin(state, context)
        draws = examples.draw(batch, context, partial(rule.draw, step=context.index))

        def losses() -> Iterator[Tensor]:
            for rows in context.parts(len(draws.images)):
                with precisions.autocast(dtype, accelerator.device):
                    value = rule.loss(state, draws, rows, context)
                yield value

        value = context.optimizer_step(losses(), optimizer)
        rule.end(state)
        return {"loss": value}

    def averaged(state: State) -> Diffusion:
        return Diffusion(state.ema["network"], rule.model_config(state.step))

    def export(state: State) -> None:
        averaged(state).save(folder)
        rule.finish(state)

    train_loop(
        state,
        step,
        partial(examples.fetch, device=accelerator.device),
        len(examples),
        options,
        folder,
        accelerator=accelerator,
        fingerprint={
            **facts_of(config),
            "teacher": fingerprint(model),
            "method": method,
            "students": list(wanted),
            "guidance": guidance if guidance is None or weight is not None else list(guidance),  # type: ignore[arg-type]
            "teacher_steps": teacher_steps,
            "options.steps": None if method == "distill" else options.steps,
            "label_dropout": label_dropout,
            "flip": flip,
        },
        on_sample=None
        if on_sample is None
        else lambda state: on_sample(averaged(state), state.step),
        on_checkpoint=export,
        progress=progress,
    )
    if n_samples and accelerator.is_main_process and state.step == options.steps:
        middle = None if config.guidance is None else sum(config.guidance) / 2
        # A copy, as training has made the student of its own.
        on_device = deepcopy(model.network).to(accelerator.device)
        compare(
            Diffusion(on_device, model.config),
            folder,
            data,
            labels=labels,
            guidance=weight if middle is None else middle,
            n_samples=n_samples,
        )
    return averaged(state)


def fingerprint(model: Diffusion) -> str:
    """Return the SHA-256 of a model's configuration and weights, as hexadecimal digits."""
    digest = hashlib.sha256(json.dumps(asdict(model.config)).encode())
    for name, value in sorted(model.network.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(on_host(value).tobytes())
    return digest.hexdigest()


def _wanted(steps: Sequence[int]) -> tuple[int, ...]:
    try:
        wanted = tuple(sorted({operator.index(k) for k in steps}))
    except TypeError:
        wanted = ()
    if not wanted or wanted[0] < 1:
        raise ValueError(f"steps={steps} must be whole numbers of at least 1, as (1, 2, 4, 8)")
    return wanted


def _check_comparable(examples: Examples) -> None:
    """Raise a ValueError now for what `Judge` would refuse after the training."""
    if len(examples) < Judge.LEAST_ROWS:
        raise ValueError(
            f"data has {len(examples)} samples, and comparing needs {Judge.LEAST_ROWS}; pass "
            "n_samples=0"
        )
    if examples.classes is not None and examples.classes.unique().numel() < 2:
        raise ValueError("labels have one class, and comparing needs two; pass n_samples=0")


def _student_config(
    config: Config, method: str, guidance: float | Sequence[float] | None, steps: tuple[int, ...]
) -> Config:
    """Return the configuration of the student.

    Raises
    ------
    ValueError
        If the method is unknown, or cannot be guided so.
    """
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown; pass one of {list(METHODS)}")
    if config.guidance is not None:
        raise ValueError(
            "the model is itself a student that takes the guidance weight as an input; distill its "
            "teacher"
        )
    if steps[-1] > config.n_timesteps:
        raise ValueError(f"steps={steps} must be at most {config.n_timesteps}, the model's levels")
    if method == "progressive":
        student = replace(config, sampler="ddim", steps=steps[0], clip_estimates=False)
    else:
        student = replace(config, sampler="consistency", steps=steps[-1], clip_estimates=False)
    if guidance is None:
        return student
    if not config.classes:
        raise ValueError("guidance needs classes, and this model has none; leave it out")
    if method == "tune":
        raise ValueError(
            "method='tune' has no teacher to guide; leave guidance out, or pass method='distill'"
        )
    if isinstance(guidance, int | float):
        if not math.isfinite(guidance):
            raise ValueError(f"guidance={guidance} must be finite; 2 to 5 are usual")
        return student
    if method == "progressive":
        raise ValueError(
            f"guidance={guidance!r} is a range, and method='progressive' takes one weight; pass a "
            "number, or method='distill'"
        )
    if config.network == CUSTOM:
        raise ValueError(
            f"guidance={guidance!r} is a range, which becomes an input of the network, and this "
            "network is one of your own; pass a number"
        )
    return replace(student, guidance=guidance_range(guidance))


def _student(model: Diffusion, config: Config) -> Module:
    """Return a copy of the teacher's network, with an input for the guidance if it takes one."""
    if config.guidance is None:
        return deepcopy(model.network)
    student = network_of(config, 0)
    weights = {**student.state_dict(), **model.network.state_dict()}
    student.load_state_dict(weights)
    return student
