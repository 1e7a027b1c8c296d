"""What a network is trained for: every loss of diffusion as one weighted regression.

    loss = mean over b of weight_t mean (network(x_t, time_t) - target)^2,   t = t_b drawn evenly

with x_t = signal_t x_0 + sigma_t eps. Objectives differ in target and weights alone.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from unsup_fast.kernels.noise import noise
from unsup_fast.models.diffusion.schedules import Array, cumulative, shift_sigmas

OBJECTIVES = ("x0", "epsilon", "v_prediction", "min_snr", "flow")
TARGETS = {"epsilon": "eps", "v_prediction": "v", "flow": "flow"}


class Objective(NamedTuple):
    """A regression at T levels; all numbers are float64.

    Attributes
    ----------
    prediction : {"epsilon", "sample", "v_prediction", "flow"}
        What the network says.
    times : ndarray of shape (T,)
        What it is told of the level.
    signal, sigma : ndarray of shape (T,)
        x_t = signal x_0 + sigma eps.
    weights : ndarray of shape (T,)
        Of the squared error.
    """

    prediction: str
    times: Array
    signal: Array
    sigma: Array
    weights: Array


def x0(alphas_cumprod: npt.ArrayLike) -> Objective:
    """Return the weighted loss of the predicted image that the likelihood's bound asks for.

    Weights are half of snr_(t-1) - snr_t, snr = abar / (1 - abar), which is
    abar_(t-1) (1 - alpha_t)^2 / (2 v (1 - abar_t)^2) with v the posterior's variance; at timestep
    0 the decoder's variance 1 - abar_0 stands for v, and the weight is its half inverse. They are
    scaled to a mean of 1.
    """
    abar = cumulative(alphas_cumprod)
    snr = abar / (1 - abar)
    weights = np.append(1 / (1 - abar[0]), snr[:-1] - snr[1:]) / 2
    return _preserving("sample", abar, weights / weights.mean())


def epsilon(alphas_cumprod: npt.ArrayLike) -> Objective:
    """Return the simple loss of the predicted noise (Ho et al. 2020, eq. 14)."""
    abar = cumulative(alphas_cumprod)
    return _preserving("epsilon", abar, np.ones_like(abar))


def v_prediction(alphas_cumprod: npt.ArrayLike) -> Objective:
    """Return the loss of the predicted v = signal eps - sigma x_0 (Salimans & Ho 2022)."""
    abar = cumulative(alphas_cumprod)
    return _preserving("v_prediction", abar, np.ones_like(abar))


def min_snr(alphas_cumprod: npt.ArrayLike, *, gamma: float = 5.0) -> Objective:
    """Return that of v weighted by min(snr, gamma) / (snr + 1) (Hang et al. 2023)."""
    if not gamma > 0:
        raise ValueError(f"gamma={gamma} must be above 0; 5 is usual")
    abar = cumulative(alphas_cumprod)
    return _preserving("v_prediction", abar, np.minimum(abar, gamma * (1 - abar)))


def flow(n_levels: int = 1000, *, shift: float = 1.0) -> Objective:
    """Return flow matching's: eps - x_0 on straight paths (Lipman et al. 2023; Liu et al. 2023)."""
    sigma = shift_sigmas((np.arange(n_levels) + 0.5) / n_levels, shift)
    return Objective("flow", 1000 * sigma, 1 - sigma, sigma, np.ones(n_levels))


def loss(
    network: Any, images: Any, label: Any, objective: Objective, *, seed: int, generator: Any = None
) -> Any:
    """Return the loss of a batch, a tensor without shape that has a gradient.

    Parameters
    ----------
    network : callable (x [B, ...], time [B], label [B] or None) -> tensor like x
    images : tensor of shape (B, ...)
    label : int64 tensor of shape (B,) or None
    objective : Objective
    seed : int
        Draws the noise.
    generator : torch.Generator, optional
        Draws the levels; torch's own by default.

    Returns
    -------
    tensor of shape ()
        float32, or float64 for float64 images.
    """
    levels = torch.randint(len(objective.times), images.shape[:1], generator=generator)  # [B]
    times, signal, sigma, weights = (
        torch.from_numpy(array)[levels].to(images.device) for array in objective[1:]
    )
    kind = TARGETS.get(objective.prediction)
    found = noise(images, signal, sigma, seed=seed, target=kind)
    x_t, target = (found, images) if kind is None else found
    dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
    apart = network(x_t, times.to(dtype), label).to(dtype) - target
    return (weights.to(dtype) * apart.square().flatten(1).mean(1)).mean()


def _preserving(prediction: str, abar: Array, weights: Array) -> Objective:
    return Objective(
        prediction, np.arange(abar.size, dtype=np.float64), np.sqrt(abar), np.sqrt(1 - abar), weights
    )
