"""Progressive distillation: a student takes one step where its teacher takes two.

Salimans & Ho, "Progressive distillation for fast sampling of diffusion models", ICLR 2022,
algorithm 2. The student of k steps learns the two DDIM steps of its teacher, the student of 2 k
steps, over each of its own. With signals a, a', a'' and noise levels s, s', s'' at the start, the
middle and the end of a step and the teacher's estimates x_0' and x_0'' of the image at the first
two, the teacher ends at

    x'' = (s''/s) x + (a'' - (s''/s) a) x~,    x~ = (1 - w) x_0' + w x_0'',
    w = (a'' - a' s''/s') / (a'' - a s''/s),

so one DDIM step with the estimate x~ ends there too: x~ is the student's target. It is a mean of
the two estimates, with weights from 0 to 1, so it lies where pictures do; the paper's formula for
it, (x'' - (s''/s) x) / (a'' - (s''/s) a), is a difference of almost equal numbers.

The loss is that of the estimate, times max(snr, 1) (the paper's "truncated snr").
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unsup_fast.kernels.noise import noise
from unsup_fast.models.diffusion.config import Config
from unsup_fast.models.diffusion.distillation.levels import (
    Call,
    Levels,
    image,
    rows,
    starts,
)
from unsup_fast.solvers.schedules import Array


class Halving(NamedTuple):
    """What the student of k steps learns of a teacher of 2 k.

    Attributes
    ----------
    steps : int
        k.
    teacher : Levels
        Levels where the teacher's 2 k steps start; the student's are every other one.
    next_signal, next_sigma : ndarray of shape (2 k,)
        Levels where they arrive.
    weights : ndarray of shape (k,)
        w, the weight of the second estimate in the target.
    loss : ndarray of shape (k,)
        Weight of the squared error of the output.
    """

    steps: int
    teacher: Levels
    next_signal: Array
    next_sigma: Array
    weights: Array
    loss: Array


def halving(config: Config, steps: int) -> Halving:
    """Return the levels and weights of the student of so many steps.

    Raises
    ------
    ValueError
        If the teacher would take more steps than the model has levels, or its output says nothing
        of the image at the highest.
    """
    if 2 * steps > config.n_timesteps:
        raise ValueError(
            f"a student of {steps} steps needs a teacher of {2 * steps}, and the model has "
            f"{config.n_timesteps} levels; pass a smaller teacher_steps"
        )
    path = config.path(2 * steps, "ddim")
    teacher = starts(config.training_objective().prediction, path)
    signal, sigma = teacher.signal[::2], teacher.sigma[::2]
    end_signal, end_sigma = path.next_signal[1::2], path.next_sigma[1::2]
    middle = teacher.signal[1::2] / teacher.sigma[1::2]
    weights = (end_signal - end_sigma * middle) / (end_signal - end_sigma * signal / sigma)
    snr = (signal / sigma) ** 2
    loss = teacher.image_output[::2] ** 2 * np.maximum(snr, 1.0)
    return Halving(steps, teacher, path.next_signal, path.next_sigma, weights, loss)


def draw_levels(stage: Halving, n: int, generator: torch.Generator) -> Tensor:
    """Return the student's step of each of n images: evenly many of each, in random order."""
    start = torch.randint(stage.steps, (), generator=generator)
    return (torch.randperm(n, generator=generator) + start) % stage.steps


def progressive_loss(
    student: Call,
    teacher: Call,
    images: Tensor,
    stage: Halving,
    *,
    index: Tensor,
    seed: Tensor,
) -> Tensor:
    """Return the loss of a batch, a scalar with a gradient of the student's weights.

    Parameters
    ----------
    student, teacher : callable (x [B, ...], time [B]) -> output like x
    images : float32 tensor of shape (B, ...)
    stage : Halving
    index : int64 tensor of shape (B,)
        Step of the student, from 0 to k - 1, on the host.
    seed : int64 tensor of shape (B,)
        Seed of each image's noise.
    """
    at, first, second = stage.teacher, 2 * index, 2 * index + 1
    signal, sigma = (torch.from_numpy(values)[first] for values in (at.signal, at.sigma))
    x = noise(images, signal.to(images.device), sigma.to(images.device), seed=seed)  # [B, ...]
    with torch.no_grad():
        one = image(teacher, at, first, x)
        eps = (x - rows(at.signal, first, x) * one) / rows(at.sigma, first, x)
        middle = rows(stage.next_signal, first, x) * one + rows(stage.next_sigma, first, x) * eps
        two = image(teacher, at, second, middle)
        target = torch.lerp(one, two, rows(stage.weights, index, x))
        eps = (x - rows(at.signal, first, x) * target) / rows(at.sigma, first, x)
        output = rows(at.of_image, first, x) * target + rows(at.of_noise, first, x) * eps
    times = torch.from_numpy(at.times)[first].to(x.device, x.dtype)
    error = student(x, times).to(x.dtype) - output
    return (rows(stage.loss, index, x) * error.square()).mean()
