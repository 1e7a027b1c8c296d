"""Training objectives: every loss of diffusion as one weighted regression.

    loss = mean over b of weight_t / (T p_t) mean (network(x_t, time_t) - target)^2

with x_t = signal_t x_0 + sigma_t eps and t = t_b of T levels drawn with probability p_t. Its
expectation is that of weight_t times the error with t drawn uniformly.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from unsup_fast.kernels.noise import noise
from unsup_fast.models.training.draws import Seed, spread_seed
from unsup_fast.solvers.schedules import Array, cumulative, shift_sigmas

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""Called as network(x [B, ...], time [B], label [B] or None); returns a tensor like x."""

OBJECTIVES = ("sample", "epsilon", "v_prediction", "min_snr", "flow_prediction")


class TrainingObjective(NamedTuple):
    """A regression at T levels; all numbers are float64.

    Attributes
    ----------
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        Type of the network's output.
    times : ndarray of shape (T,)
        Time passed to the network at each level.
    signal, sigma : ndarray of shape (T,)
        x_t = signal x_0 + sigma eps.
    weights : ndarray of shape (T,)
        Weights of the squared error.
    level_probs : ndarray of shape (T,)
        Probability of each level to be drawn; it changes the variance of the loss, not its
        expectation.
    """

    prediction: str
    times: Array
    signal: Array
    sigma: Array
    weights: Array
    level_probs: Array


def sample_prediction(alphas_cumprod: npt.ArrayLike) -> TrainingObjective:
    """Return the loss of the predicted image with the weights of the likelihood's bound.

    Weights are half of snr_(t-1) - snr_t, snr = abar / (1 - abar), which is
    abar_(t-1) (1 - alpha_t)^2 / (2 v (1 - abar_t)^2) with v the posterior's variance; at timestep
    0 v is the decoder's variance 1 - abar_0, and the weight is 1 / (2 v). They are scaled to a mean
    of 1. Nearly all weight is at the lowest noise: this is a loss for likelihoods; v-prediction
    learns pictures sooner.

    Half of the levels are drawn in proportion to weight (1 - abar), where 1 - abar is the error for
    standard normal data: drawn uniformly, a few images would make up most of the loss.
    """
    abar = cumulative(alphas_cumprod)
    if abar[0] == 1:
        raise ValueError("alphas_cumprod begins at 1, where no noise is left; pass it without that")
    snr = abar / (1 - abar)
    weights = np.append(1 / (1 - abar[0]), snr[:-1] - snr[1:]) / 2
    shares = weights * (1 - abar)
    level_probs = (shares / shares.sum() + 1 / abar.size) / 2
    return _vp_objective("sample", abar, weights / weights.mean(), level_probs)


def epsilon(alphas_cumprod: npt.ArrayLike) -> TrainingObjective:
    """Return the simple loss of the predicted noise (Ho et al. 2020, eq. 14)."""
    abar = cumulative(alphas_cumprod)
    return _vp_objective("epsilon", abar, np.ones_like(abar))


def v_prediction(alphas_cumprod: npt.ArrayLike) -> TrainingObjective:
    """Return the loss of the predicted v = signal eps - sigma x_0 (Salimans & Ho 2022)."""
    abar = cumulative(alphas_cumprod)
    return _vp_objective("v_prediction", abar, np.ones_like(abar))


def min_snr(alphas_cumprod: npt.ArrayLike, *, gamma: float = 5.0) -> TrainingObjective:
    """Return the loss of v, weighted by min(snr, gamma) / (snr + 1) (Hang et al. 2023)."""
    if not gamma > 0:
        raise ValueError(f"gamma={gamma} must be above 0; 5 is usual")
    abar = cumulative(alphas_cumprod)
    return _vp_objective("v_prediction", abar, np.minimum(abar, gamma * (1 - abar)))


def flow_prediction(n_levels: int = 1000, *, shift: float = 1.0) -> TrainingObjective:
    """Return the loss of flow matching, eps - x_0 (Lipman et al. 2023; Liu et al. 2023)."""
    if n_levels < 1:
        raise ValueError(f"n_levels={n_levels} must be at least 1; 1000 is usual")
    even = np.full(n_levels, 1 / n_levels)
    sigma = shift_sigmas((np.arange(n_levels) + 0.5) / n_levels, shift)
    return TrainingObjective(
        "flow_prediction", 1000 * sigma, 1 - sigma, sigma, np.ones(n_levels), even
    )


def build(name: str, alphas_cumprod: npt.ArrayLike) -> TrainingObjective:
    """Return an objective by its name; "flow_prediction" takes as many levels as the schedule has.

    Raises
    ------
    ValueError
        If the name is not one of `OBJECTIVES`.
    """
    if name == "flow_prediction":
        return flow_prediction(cumulative(alphas_cumprod).size)
    builders = {
        "sample": sample_prediction,
        "epsilon": epsilon,
        "v_prediction": v_prediction,
        "min_snr": min_snr,
    }
    if name not in builders:
        raise ValueError(f"objective={name!r} is unknown; pass one of {list(OBJECTIVES)}")
    return builders[name](alphas_cumprod)


def sample_levels(
    objective: TrainingObjective, n: int, generator: torch.Generator | None = None
) -> Tensor:
    """Return the levels of a batch, drawn with their probabilities, stratified, in random order.

    They are the quantiles of u_i = (i + U) / n for one U (Kingma et al. 2021, appendix I.1): a
    level of probability p is drawn n p times, rounded up or down, so the loss varies less.

    Parameters
    ----------
    objective : TrainingObjective
        TrainingObjective of T levels.
    n : int
        Number of images.
    generator : torch.Generator, optional
        Generator on the host; torch's default one by default.

    Returns
    -------
    int64 tensor of shape (n,)
    """
    return stratified(objective.level_probs, n, generator)


def stratified(probs: Array, n: int, generator: torch.Generator | None = None) -> Tensor:
    """Return n levels drawn with probabilities [T], as `sample_levels` does: int64 [n]."""
    start = torch.rand((), dtype=torch.float64, generator=generator)  # U
    quantiles = (torch.randperm(n, generator=generator) + start) / n  # [n]
    below = torch.from_numpy(np.cumsum(probs)[:-1])  # [T - 1]
    return torch.searchsorted(below, quantiles, right=True)


def loss(
    network: Network,
    images: Tensor,
    label: Tensor | None,
    objective: TrainingObjective,
    *,
    noise_levels: Tensor,
    seed: Seed,
) -> Tensor:
    """Return the loss of a batch, a scalar tensor with a gradient.

    Parameters
    ----------
    network : callable (x [B, ...], time [B], label [B] or None) -> tensor like x
    images : tensor of shape (B, ...)
    label : int64 tensor of shape (B,) or None
    objective : TrainingObjective
    noise_levels : int64 tensor of shape (B,)
        Level of each image, on the host, from 0 to T - 1, as `sample_levels` returns them.
    seed : int, or one int an image
        Seed of the noise, as for `unsup_fast.models.diffusion.sampling.initial_noise`: with one
        seed an image (see `spread_seed`), a slice of a batch has the noise that it has in the
        batch.

    Returns
    -------
    tensor of shape ()
        float32, or float64 for float64 images.

    Raises
    ------
    ValueError
        If noise levels are not one for each image, or out of range.
    """
    _check_levels(noise_levels, len(images), len(objective.times))
    level_weights = objective.weights / (len(objective.times) * objective.level_probs)
    times, signal, sigma, weights = (
        torch.from_numpy(array)[noise_levels].to(images.device)
        for array in (objective.times, objective.signal, objective.sigma, level_weights)
    )
    kind = None if objective.prediction == "sample" else objective.prediction
    seeds = spread_seed(seed, len(images))
    if kind is None:
        x_t, target = noise(images, signal, sigma, seed=seeds), images
    else:
        x_t, target = noise(images, signal, sigma, seed=seeds, target=kind)
    dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
    error = network(x_t, times.to(dtype), label).to(dtype) - target
    return (weights.to(dtype) * error.square().flatten(1).mean(1)).mean()


def _check_levels(levels: Tensor, n: int, n_levels: int) -> None:
    if levels.shape != (n,):
        raise ValueError(
            f"levels have shape {tuple(levels.shape)}; pass one for each of {n} images"
        )
    if n and not 0 <= int(levels.min()) <= int(levels.max()) < n_levels:
        raise ValueError(
            f"levels lie between {int(levels.min())} and {int(levels.max())}; the objective has "
            f"those from 0 to {n_levels - 1}"
        )


def _vp_objective(
    prediction: str, abar: Array, weights: Array, level_probs: Array | None = None
) -> TrainingObjective:
    times = np.arange(abar.size, dtype=np.float64)
    even = np.full(abar.size, 1 / abar.size)
    level_probs = even if level_probs is None else level_probs
    return TrainingObjective(
        prediction, times, np.sqrt(abar), np.sqrt(1 - abar), weights, level_probs
    )
