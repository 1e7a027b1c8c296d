"""The bound of the likelihood: reconstruction, prior matching and consistency, in nats.

    log p(x_0) >= E log p(x_0 | x_1) - KL(q(x_T | x_0) || N(0, 1))
                  - sum_t E KL(q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t))

x_1 is the sample at timestep 0 and x_T that at the last one. p takes the posterior's mean with the
model's image instead of x_0, and a variance of its own. Each term is a float64 number for each
image; the draws are the caller's, or `likelihood_bound`'s.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from unsup_fast.information import kl_gaussian_diag
from unsup_fast.models.diffusion.process import (
    alpha_sigma,
    convert_prediction,
    q_posterior_weights,
    q_sample,
)
from unsup_fast.models.training.draws import Seed
from unsup_fast.solvers.schedules import Array

VARIANCES = ("fixed_small", "fixed_large")
PIXEL = 2 / 255  # from one 8-bit value to the next where they lie between -1 and 1


class Bound(NamedTuple):
    """The terms of the bound for B images, in float64 nats.

    Attributes
    ----------
    reconstruction : tensor of shape (B,)
        E log p(x_0 | x_1).
    prior : tensor of shape (B,)
        KL(q(x_T | x_0) || N(0, 1)).
    consistency : tensor of shape (B, T - 1)
        KL divergences of the steps that arrive at timesteps 0, 1 ... T - 2.
    total : tensor of shape (B,)
        The lower bound of log p(x_0).
    bits : tensor of shape (B,)
        Its negative in bits per dimension.
    """

    reconstruction: Tensor
    prior: Tensor
    consistency: Tensor
    total: Tensor
    bits: Tensor


def prior_matching(x0: Tensor, alphas_cumprod: Tensor | Array) -> Tensor:
    """Return KL(q(x_T | x_0) || N(0, 1)), summed over the dimensions of each image: (B,)."""
    signal, sigma = alpha_sigma(alphas_cumprod, len(alphas_cumprod) - 1, x0)
    mean = signal[:, None] * x0.flatten(1)  # [B, D]
    return kl_gaussian_diag(mean, (sigma**2)[:, None].expand_as(mean), validate=False)


def consistency(
    x0: Tensor,
    x_t: Tensor,
    image: Tensor,
    timesteps: int | Tensor,
    alphas_cumprod: Tensor | Array,
    *,
    variance: str | float | Tensor = "fixed_small",
) -> Tensor:
    """Return KL(q(x_(t-1) | x_t, x_0) || p(x_(t-1) | x_t)), summed over dimensions: (B,).

    With v and w the variances of q and p, it is the sum over dimensions of
    (v / w - 1 - log(v / w) + abar_(t-1) (1 - alpha_t)^2 / (1 - abar_t)^2 (image - x_0)^2 / w) / 2.

    Parameters
    ----------
    x0, x_t, image : tensors of shape (B, ...)
        The images, their noisy samples, and the model's images of these.
    timesteps : int or int64 tensor of shape (B,)
        t, at least 1.
    alphas_cumprod : float64 tensor or ndarray of shape (n_timesteps,)
        The schedule.
    variance : {"fixed_small", "fixed_large"} or tensor
        w: the posterior's (then v / w = 1), 1 - alpha_t, or numbers that broadcast against x_t.

    Returns
    -------
    float64 tensor of shape (B,)
    """
    if not isinstance(timesteps, torch.Tensor) and timesteps < 1:
        raise ValueError(
            f"timesteps={timesteps}: the step that arrives at the image is the reconstruction; "
            "pass timesteps of at least 1"
        )
    _, of_image, of_posterior = q_posterior_weights(x_t, timesteps, alphas_cumprod)
    difference = _rows(of_image, x0) * (image.double() - x0.double()).flatten(1)  # [B, D]
    var_q = _rows(of_posterior, x0).expand_as(difference)
    var_p = _variance(variance, timesteps, alphas_cumprod, x_t, of_posterior).expand_as(difference)
    return kl_gaussian_diag(difference, var_q, torch.zeros_like(difference), var_p, validate=False)


def gaussian_log_likelihood(x0: Tensor, mean: Tensor, variance: float | Tensor) -> Tensor:
    """Return log N(x_0; mean, variance), summed over the dimensions of each image: (B,).

    Parameters
    ----------
    x0, mean : tensors of shape (B, ...)
        Images and the decoder's means.
    variance : float or tensor
        A number, one number an image, or one for each value of each image.

    Returns
    -------
    float64 tensor of shape (B,)
    """
    var = _spread(variance, x0)  # [B, D] or [B, 1]
    residual = (x0.double() - mean.double()).flatten(1)  # [B, D]
    terms = residual**2 / var + torch.log(2 * math.pi * var).expand_as(residual)
    return -terms.sum(1) / 2


def discretized_log_likelihood(x0: Tensor, mean: Tensor, variance: float | Tensor) -> Tensor:
    """Return the log probability of 8-bit images under a normal distribution: (B,).

    Values lie at -1, -1 + 2/255 ... 1; each has the probability of the interval of width 2/255
    around it, and the outermost intervals extend to infinity (Ho et al. 2020, eq. 13).

    Parameters
    ----------
    x0, mean : tensors of shape (B, ...)
        Images and the decoder's means.
    variance : float or tensor
        A number, one number an image, or one for each value of each image.

    Returns
    -------
    float64 tensor of shape (B,)
    """
    std = torch.sqrt(_spread(variance, x0))  # [B, D] or [B, 1]
    values = x0.double().flatten(1)  # [B, D]
    residual = values - mean.double().flatten(1)
    # Mirror the interval to the side where its logarithms are small and do not cancel.
    flipped = torch.where(residual > 0, -1.0, 1.0)
    high = (flipped * residual + PIXEL / 2) / std
    low = (flipped * residual - PIXEL / 2) / std
    edge = 1 - PIXEL / 2
    outermost_high = (flipped > 0) & (values > edge) | (flipped < 0) & (values < -edge)
    outermost_low = (flipped > 0) & (values < -edge) | (flipped < 0) & (values > edge)
    high = torch.where(outermost_high, math.inf, high)
    above = torch.special.log_ndtr(high)
    gap = torch.special.log_ndtr(low) - above
    inside = above + torch.log(-torch.expm1(gap))
    return torch.where(outermost_low, above, inside).sum(1)


def bits_per_dimension(
    log_likelihood: Tensor, n_dimensions: int, *, bin_width: float = 1.0
) -> Tensor:
    """Return -log2 p / D, where a density counts as that of a bin of width `bin_width`.

    8-bit values between -1 and 1 have bins of width 2/255.
    """
    return -log_likelihood / (n_dimensions * math.log(2)) - math.log2(bin_width)


def likelihood_bound(
    model: Callable[[Tensor, Tensor], Tensor],
    x0: Tensor,
    alphas_cumprod: Tensor | Array,
    *,
    seed: Seed,
    prediction: str = "epsilon",
    variance: str = "fixed_small",
    decoder: str = "discretized",
    decoder_variance: float | None = None,
) -> Bound:
    """Return the bound with one draw of x_t for each timestep, without gradients.

    Parameters
    ----------
    model : callable
        Called as model(x_t, t) with int64 t of shape (B,), once for each timestep.
    x0 : tensor of shape (B, ...)
        Images; from -1 to 1 in steps of 2/255 for the discretised decoder.
    alphas_cumprod : float64 tensor or ndarray of shape (T,)
        The schedule.
    seed : int, or one int a sample
        Seed of the noise; timestep t takes stream t.
    prediction : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The type of the model's output.
    variance : {"fixed_small", "fixed_large"}
        The variance of p(x_(t-1) | x_t).
    decoder : {"discretized", "gaussian"}
        p(x_0 | x_1): 8-bit values, or a density.
    decoder_variance : float, optional
        The decoder's variance, as the posterior's is zero there; by default 1 - abar at timestep 0.

    Returns
    -------
    Bound
    """
    if decoder not in ("discretized", "gaussian"):
        raise ValueError(f"decoder={decoder!r} is unknown; pass 'discretized' or 'gaussian'")
    schedule = torch.as_tensor(alphas_cumprod).to(x0.device)
    decode = discretized_log_likelihood if decoder == "discretized" else gaussian_log_likelihood
    steps = []
    for t in range(len(schedule)):
        x_t = q_sample(x0, t, schedule, seed=seed, stream=t)
        times = torch.full(x0.shape[:1], t, dtype=torch.int64, device=x0.device)  # [B]
        signal, sigma = alpha_sigma(schedule, t, x0)
        with torch.no_grad():
            output = model(x_t, times)
        image = convert_prediction(
            output, x_t, signal, sigma, prediction_type=prediction, to="sample"
        )
        if t == 0:
            spread = sigma**2 if decoder_variance is None else decoder_variance
            reconstruction = decode(x0, image, spread)
        else:
            steps.append(consistency(x0, x_t, image, t, schedule, variance=variance))
    prior = prior_matching(x0, schedule)
    terms = torch.stack(steps, 1) if steps else prior.new_zeros(len(x0), 0)
    total = reconstruction - prior - terms.sum(1)
    return Bound(reconstruction, prior, terms, total, bits_per_dimension(total, x0[0].numel()))


def _variance(
    variance: str | float | Tensor,
    timesteps: int | Tensor,
    alphas_cumprod: Tensor | Array,
    x: Tensor,
    of_posterior: Tensor,
) -> Tensor:
    """Return the variance of p(x_(t-1) | x_t): [B, 1] or [B, D]."""
    if isinstance(variance, torch.Tensor):
        return _spread(variance, x)
    if variance == "fixed_small":
        return of_posterior[:, None]
    if variance == "fixed_large":
        signal, _ = alpha_sigma(alphas_cumprod, timesteps, x)
        before, _ = alpha_sigma(alphas_cumprod, timesteps - 1, x)
        return 1 - (signal / before)[:, None] ** 2
    raise ValueError(f"variance={variance!r} is unknown; pass one of {list(VARIANCES)} or a tensor")


def _spread(variance: float | Tensor, x: Tensor) -> Tensor:
    """Return variances, float64 [B, 1] or [B, D]."""
    values = torch.as_tensor(variance, dtype=torch.float64, device=x.device)
    if values.ndim <= 1:
        return values.reshape(-1, 1)
    return values.expand(x.shape).flatten(1)


def _rows(value: Tensor, x: Tensor) -> Tensor:
    return value.reshape(-1, 1).to(x.device)  # [B, 1]
