"""Consistency: one network whose estimate of the image is the same along a path.

Two losses for it, f(x, t) being the estimate of the image from a sample at level t:

- `tune` (Geng et al., "Consistency models made easy", ICLR 2025): f(x_t, t) learns f(x_r, r), its
  own without a gradient, for two samples of one image and one noise. r is far below t at first,
  which is denoising, and comes near in eight stages; t is log-normal in sigma / signal. The paper
  measures t - r in sigma / signal; here it is the angle between signal and noise (Lu & Song,
  "Simplifying, stabilizing and scaling continuous-time consistency models", ICLR 2025), in which
  levels are even up to pure noise, where samples start: the ratio is 10^4 there and the weight
  1 / (t - r) would vanish.
- `distill` (Luo et al., "Latent consistency models", 2023): f(x_t, t, w) learns the averaged
  network's estimate at the level that one DDIM step of the teacher, guided with weight w, leads to,
  a fiftieth of the levels away.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor

from unsup_fast.kernels.noise import noise
from unsup_fast.models.diffusion.config import Config
from unsup_fast.models.diffusion.distillation.levels import Call, Levels, image, levels, rows
from unsup_fast.models.diffusion.objective import stratified
from unsup_fast.solvers.schedules import Array

N_STAGES = 8
MEAN, DEVIATION = -0.4, 1.4  # of log u
FAR, STEEP = 3.0, 2.0  # k and b of n(t)
EVEN = 0.1  # share of the images whose level is drawn evenly, so that the highest are trained
HUBER = 0.01
SKIPS = 50  # steps of the teacher from noise to image
TARGET_DECAY = 0.95  # of the averaged weights that are the target


class Trajectory(NamedTuple):
    """The levels of a consistency model, from the least noise to the most.

    Attributes
    ----------
    at : Levels
        T levels, and before them the image itself: index 0 is signal 1 and sigma 0.
    probs : ndarray of shape (T,)
        Probability of levels 1 to T in tuning.
    """

    at: Levels
    probs: Array


def trajectory(config: Config) -> Trajectory:
    """Return the levels of a model.

    Raises
    ------
    ValueError
        If its estimate does not become the sample where no noise is left, or says nothing of the
        image at the highest level.
    """
    if config.objective == "sample":
        raise ValueError(
            "a network that predicts the image may return anything where no noise is left, so it "
            "is no consistency model; distill it with method='progressive'"
        )
    objective = config.training_objective()
    at = levels(
        objective.prediction,
        np.append(0.0, objective.times),
        np.append(1.0, objective.signal),
        np.append(0.0, objective.sigma),
    )
    logs = np.log(at.sigma[1:] / at.signal[1:])  # [T]
    edges = np.concatenate([[-np.inf], (logs[1:] + logs[:-1]) / 2, [np.inf]])
    normal = np.diff(ndtr((edges - MEAN) / DEVIATION))
    return Trajectory(at, (1 - EVEN) * normal + EVEN / logs.size)


def draw_levels(probs: Array, n: int, generator: torch.Generator) -> Tensor:
    """Return levels of n images from 1, drawn with their probabilities, stratified."""
    return stratified(probs, n, generator) + 1


def nearer_levels(at: Levels, stage: int) -> Array:
    """Return for each level t the level r of its target in a stage, int64 [T + 1].

    r = t (1 - n(t) / 2^(stage + 1)), n(t) = 1 + k sigmoid(-b t), with angles t = atan(sigma /
    signal), rounded down to a level, and at least one level below t.
    """
    angles = at.angles
    near = 1 + FAR / (1 + np.exp(STEEP * angles))
    wanted = np.maximum(angles * (1 - near / 2 ** (stage + 1)), 0.0)
    below = np.searchsorted(angles, wanted, side="right") - 1
    return np.minimum(below, np.maximum(np.arange(angles.size) - 1, 0))


def tuning_loss(
    student: Call,
    frozen: Call,
    images: Tensor,
    at: Levels,
    *,
    index: Tensor,
    below: Tensor,
    seed: Tensor,
) -> Tensor:
    """Return the loss of consistency tuning, a scalar with a gradient of the student's weights.

    Parameters
    ----------
    student, frozen : callable (x [B, ...], time [B]) -> output like x
        The same weights; `frozen` without dropout.
    images : float32 tensor of shape (B, ...)
    at : Levels
        See `Trajectory`.
    index, below : int64 tensors of shape (B,)
        Levels t and r of each image, on the host.
    seed : int64 tensor of shape (B,)
        Seed of each image's noise, the same at both levels.
    """
    x, near = _noisy(images, at, index, seed), _noisy(images, at, below, seed)  # [B, ...]
    with torch.no_grad():
        target = image(frozen, at, below, near)
    error = _huber(image(student, at, index, x) - target)  # [B]
    angles = torch.from_numpy(at.angles)
    weight = (1 / (angles[index] - angles[below])).to(x.device, x.dtype)  # [B]
    return (weight * error).mean()


def distilling_loss(
    student: Call,
    target: Call,
    teacher: Call,
    images: Tensor,
    at: Levels,
    *,
    index: Tensor,
    below: Tensor,
    seed: Tensor,
) -> Tensor:
    """Return the loss of consistency distillation, a scalar with a gradient of the student.

    Parameters
    ----------
    student, target, teacher : callable (x [B, ...], time [B]) -> output like x
        The network, its averaged weights, and the guided teacher.
    images, at, index, below, seed
        As for `tuning_loss`; a DDIM step of the teacher leads from t to r.
    """
    x = _noisy(images, at, index, seed)  # [B, ...]
    with torch.no_grad():
        estimate = image(teacher, at, index, x)
        eps = (x - rows(at.signal, index, x) * estimate) / rows(at.sigma, index, x)
        near = rows(at.signal, below, x) * estimate + rows(at.sigma, below, x) * eps
        wanted = image(target, at, below, near)
    return _huber(image(student, at, index, x) - wanted).mean()


def skip(index: Tensor, n_levels: int) -> Tensor:
    """Return the levels that a step of the teacher leads to from levels [B]: at least the image."""
    return (index - max(1, round(n_levels / SKIPS))).clamp(min=0)


def _noisy(images: Tensor, at: Levels, index: Tensor, seed: Tensor) -> Tensor:
    signal, sigma = (torch.from_numpy(values)[index] for values in (at.signal, at.sigma))
    return noise(images, signal.to(images.device), sigma.to(images.device), seed=seed)


def _huber(error: Tensor) -> Tensor:
    """Return the pseudo-Huber distance of each row, scaled by its length: [B]."""
    return (error.square().flatten(1).mean(1) + HUBER**2).sqrt() - HUBER
