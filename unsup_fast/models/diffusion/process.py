"""The forward process q, its posterior, and conversion of predictions, on torch tensors.

Timesteps count from 0: x at timestep t has abar = alphas_cumprod[t], and timestep -1 is the image
itself. Coefficients are float64 and cast once; no function waits for a device.
"""

from typing import overload

import torch
from torch import Tensor

from unsup_fast.kernels.noise import noise
from unsup_fast.models.training.draws import Seed
from unsup_fast.solvers.prediction import image_weights, noise_weights, output_weights
from unsup_fast.solvers.schedules import Array


def alpha_sigma(
    alphas_cumprod: Tensor | Array, timesteps: int | Tensor, x: Tensor
) -> tuple[Tensor, Tensor]:
    """Return sqrt(abar_t) and sqrt(1 - abar_t), float64 of shape (B,), on the device of x.

    Parameters
    ----------
    alphas_cumprod : float64 tensor or ndarray of shape (n_timesteps,)
        The schedule; a tensor on the device of x is not copied.
    timesteps : int or int64 tensor of shape (B,)
        -1 is the image itself.
    x : tensor of shape (B, ...)
        A sample.

    Returns
    -------
    signal, sigma : float64 tensors of shape (B,)

    Raises
    ------
    TypeError
        If the schedule is not float64 or timesteps are not whole.
    ValueError
        If timesteps on the host are out of range or not one for each sample.
    """
    abar = _abar(alphas_cumprod, timesteps, x)
    return torch.sqrt(abar), torch.sqrt(1 - abar)


@overload
def q_sample(
    x0: Tensor,
    timesteps: int | Tensor,
    alphas_cumprod: Tensor | Array,
    *,
    eps: Tensor | None = None,
    seed: Seed | None = None,
    stream: int = 0,
    target: None = None,
    out: Tensor | None = None,
) -> Tensor: ...
@overload
def q_sample(
    x0: Tensor,
    timesteps: int | Tensor,
    alphas_cumprod: Tensor | Array,
    *,
    eps: Tensor | None = None,
    seed: Seed | None = None,
    stream: int = 0,
    target: str,
    out: Tensor | None = None,
) -> tuple[Tensor, Tensor]: ...
def q_sample(
    x0: Tensor,
    timesteps: int | Tensor,
    alphas_cumprod: Tensor | Array,
    *,
    eps: Tensor | None = None,
    seed: Seed | None = None,
    stream: int = 0,
    target: str | None = None,
    out: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return a draw of q(x_t | x_0) = N(sqrt(abar_t) x_0, 1 - abar_t).

    Parameters
    ----------
    x0 : tensor of shape (B, ...)
        Images.
    timesteps : int or int64 tensor of shape (B,)
        t of each image.
    alphas_cumprod : float64 tensor or ndarray of shape (n_timesteps,)
        The schedule.
    eps : tensor like x0, optional
        The noise; by default drawn from `seed`.
    seed, stream, target, out
        As for `unsup_fast.kernels.noise.noise`; target is None or a prediction other than "sample".

    Returns
    -------
    tensor like x0, or a pair of them
        x_t, and the target.
    """
    signal, sigma = alpha_sigma(alphas_cumprod, timesteps, x0)
    if target is None:
        return noise(x0, signal, sigma, eps=eps, seed=seed, stream=stream, out=out)
    return noise(x0, signal, sigma, eps=eps, seed=seed, stream=stream, target=target, out=out)


def q_posterior(
    x_t: Tensor,
    x0: Tensor,
    timesteps: int | Tensor,
    alphas_cumprod: Tensor | Array,
    *,
    previous: int | Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the normal distribution q(x_u | x_t, x_0) for u < t.

    With r = abar_t / abar_u, which is alpha_t for u = t - 1,

        mean      sqrt(r) (1 - abar_u) / (1 - abar_t) x_t + sqrt(abar_u) (1 - r) / (1 - abar_t) x_0
        variance  (1 - r) (1 - abar_u) / (1 - abar_t)

    Parameters
    ----------
    x_t, x0 : tensors of shape (B, ...)
        Noisy samples and images.
    timesteps : int or int64 tensor of shape (B,)
        t of each sample.
    alphas_cumprod : float64 tensor or ndarray of shape (n_timesteps,)
        The schedule.
    previous : int or int64 tensor of shape (B,), optional
        u; by default t - 1.

    Returns
    -------
    mean : tensor like x_t
    variance : float64 tensor of shape (B,)
    """
    of_x, of_image, variance = q_posterior_weights(
        x_t, timesteps, alphas_cumprod, previous=previous
    )
    mean = _along(of_x, x_t) * x_t + _along(of_image, x_t) * x0
    return mean.to(x_t.dtype), variance


def q_posterior_weights(
    x_t: Tensor,
    timesteps: int | Tensor,
    alphas_cumprod: Tensor | Array,
    *,
    previous: int | Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights of x_t and x_0 in the posterior's mean, and its variance: (B,) each."""
    abar = _abar(alphas_cumprod, timesteps, x_t)
    abar_prev = _abar(alphas_cumprod, timesteps - 1 if previous is None else previous, x_t)
    ratio = abar / abar_prev
    of_x = torch.sqrt(ratio) * (1 - abar_prev) / (1 - abar)
    of_image = torch.sqrt(abar_prev) * (1 - ratio) / (1 - abar)
    return of_x, of_image, (1 - ratio) * (1 - abar_prev) / (1 - abar)


def convert_prediction(
    output: Tensor,
    x_t: Tensor,
    signal: float | Tensor,
    sigma: float | Tensor,
    *,
    prediction_type: str,
    to: str,
) -> Tensor:
    """Return a model's output converted to another prediction type.

    Parameters
    ----------
    output : tensor of shape (B, ...)
        The model's output for x_t.
    x_t : tensor of shape (B, ...)
        signal x_0 + sigma eps.
    signal, sigma : float, or tensors of shape (B,)
        The level, as `alpha_sigma` returns it.
    prediction_type, to : {"epsilon", "sample", "v_prediction", "flow_prediction"}
        The prediction type of the output, and that of the result.

    Returns
    -------
    tensor like x_t
        Not finite where it does not follow from the output: x_0 from eps at signal 0, or eps from
        x_0 at sigma 0.
    """
    a, s = _along(signal, x_t), _along(sigma, x_t)
    of_image, of_noise = output_weights(to, a, s)
    if prediction_type == to:
        return output
    image_x, image_output = image_weights(prediction_type, a, s)
    noise_x, noise_output = noise_weights(prediction_type, a, s)
    if to == "sample":
        converted = image_x * x_t + image_output * output
    elif to == "epsilon":
        converted = noise_x * x_t + noise_output * output
    else:
        of_x = of_image * image_x + of_noise * noise_x
        converted = of_x * x_t + (of_image * image_output + of_noise * noise_output) * output
    return converted.to(x_t.dtype)


def _abar(alphas_cumprod: Tensor | Array, timesteps: int | Tensor, x: Tensor) -> Tensor:
    """Return abar at timesteps, float64 [B]; it is 1 at timestep -1."""
    schedule = torch.as_tensor(alphas_cumprod)
    if schedule.dtype != torch.float64 or schedule.ndim != 1:
        raise TypeError(
            f"alphas_cumprod must be a float64 vector, got {schedule.dtype} of shape "
            f"{tuple(schedule.shape)}; in a shorter type 1 - abar is lost at small timesteps"
        )
    times = torch.as_tensor(timesteps)
    if times.dtype not in (torch.int64, torch.int32) or times.ndim > 1:
        raise TypeError(
            f"timesteps must be an int or an int64 vector, got {times.dtype} of shape "
            f"{tuple(times.shape)}"
        )
    if times.ndim == 1 and times.shape != x.shape[:1]:
        raise ValueError(f"{times.numel()} timesteps are given for {len(x)} samples")
    if times.device.type == "cpu" and not (
        int(times.min()) >= -1 and int(times.max()) < schedule.numel()
    ):
        raise ValueError(
            f"timesteps lie between {int(times.min())} and {int(times.max())}; the schedule has "
            f"those from 0 to {schedule.numel() - 1}"
        )
    schedule, times = schedule.to(x.device), times.to(x.device).expand(x.shape[:1])
    return torch.where(times < 0, 1.0, schedule[times.clamp(min=0)])


def _along(value: float | Tensor, x: Tensor) -> float | Tensor:
    """Return numbers reshaped to broadcast against x; a single number is returned unchanged."""
    if not isinstance(value, torch.Tensor) or value.ndim == 0:
        return value
    return value.reshape(-1, *[1] * (x.ndim - 1))  # [B, 1, ...]
