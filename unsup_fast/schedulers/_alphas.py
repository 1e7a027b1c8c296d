"""Base of the schedulers that look up abar_t: float64 schedules, and noise at any timestep."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from unsup_fast.kernels.noise import noise as add
from unsup_fast.schedulers._fused import Fused, Timestep, is_half, same_shape, state, unchanged
from unsup_fast.solvers import schedules
from unsup_fast.solvers.schedules import Array

ROUNDING = 1e-4  # what float32 may lose in a product of 1,000 factors


def exact(config: Any, rounded: Array) -> Array:
    """Return abar_t of a configuration: what diffusers computes in float32, in float64.

    Parameters
    ----------
    config : FrozenDict
    rounded : ndarray of shape (T,)
        diffusers' own, the result for schedules that `schedules` refuses or does not know.
    """
    try:
        with np.errstate(all="ignore"):
            alphas = _of_options(config)
    except ValueError:
        return rounded
    same = alphas.shape == rounded.shape and np.allclose(alphas, rounded, rtol=0, atol=ROUNDING)
    return alphas if same else rounded


def _of_options(config: Any) -> Array:
    if config.trained_betas is not None:
        betas = np.asarray(config.trained_betas, np.float64)
    else:
        betas = _betas(config)
    alphas = schedules.alphas_cumprod(betas)
    return schedules.zero_terminal_snr(alphas) if config.rescale_betas_zero_snr else alphas


def _betas(config: Any) -> Array:
    n, name = config.num_train_timesteps, config.beta_schedule
    ends = {"beta_start": config.beta_start, "beta_end": config.beta_end}
    if name == "linear":
        return schedules.linear_betas(n, **ends)
    if name == "scaled_linear":
        return schedules.scaled_linear_betas(n, **ends)
    if name == "sigmoid":
        return schedules.sigmoid_betas(n, **ends)
    if name == "squaredcos_cap_v2":
        return schedules.cosine_betas(n)
    return _laplace_betas(n)


def _laplace_betas(n: int) -> Array:
    """Return variances whose log signal-to-noise ratio is Laplace's quantile function."""
    middle = 0.5 - np.arange(n + 1) / n
    log_snr = -0.5 * np.copysign(1.0, middle) * np.log(1 - 2 * np.abs(middle) + 1e-6)
    left = 1 / np.sqrt(1 + np.exp(-log_snr))
    return np.asarray(np.minimum(1 - left[1:] / left[:-1], 0.999), np.float64)


class AlphaSchedule(Fused):
    """Base of the schedulers whose steps are looked up by their timestep."""

    _exact: Array | None = None
    _exact_of: tuple[Any, ...] = ()
    _values: Tensor | None = None
    _roots: tuple[Tensor, Tensor] | None = None

    alphas_cumprod: Tensor

    def _alphas(self) -> Array:
        """Return abar_t [T]: the configuration's, or `alphas_cumprod` where that was changed."""
        now = state(self.alphas_cumprod)
        if self._exact is None:
            self._values = self.alphas_cumprod.cpu().clone()
            self._exact, self._exact_of = exact(self.config, self._values.double().numpy()), now
        elif not unchanged(self._exact_of, now):
            values, self._exact_of = self.alphas_cumprod.cpu().clone(), now
            if self._values is None or not torch.equal(
                values, self._values
            ):  # else it was copied, or moved to a device
                self._exact, self._values = values.double().numpy(), values
                self._roots = None
        return self._exact

    def _exact_value(self, timestep: Timestep) -> float:
        """Return the number in a timestep; in a half type, the timestep it was rounded from.

        Raises
        ------
        ValueError
            If it may have been rounded from several timesteps, or from no timestep.
        """
        if not is_half(timestep):
            return self._value(timestep)
        times = self.timesteps
        same = times[times.to(timestep.dtype) == timestep.to(times.device)]
        if same.numel() != 1:
            raise ValueError(
                f"timestep={float(timestep):g} in {timestep.dtype} fits {same.numel()} of the "
                f"scheduler's {len(times)} timesteps; pass it in the type of scheduler.timesteps"
            )
        return float(same)

    def _levels(self, timesteps: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return sqrt(abar_t) and sqrt(1 - abar_t) at timesteps, float64 [B]."""
        alphas = self._alphas()
        if self._roots is None or self._roots[0].device != x.device:
            with np.errstate(invalid="ignore"):
                roots = np.stack([np.sqrt(alphas), np.sqrt(1 - alphas)])  # [2, T]
            signal, sigma = torch.from_numpy(roots).to(x.device)
            self._roots = signal, sigma
        signal, sigma = (roots[timesteps] for roots in self._roots)
        return signal.expand(len(x)), sigma.expand(len(x))

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise, the weights in float64.

        diffusers rounds abar_t to the type of the samples before it takes 1 - abar_t, which in
        bfloat16 is zero for t = 0 to 9 of the linear schedule: no noise at all. Here it is exact.

        Parameters
        ----------
        original_samples, noise : tensor of shape (B, ...)
        timesteps : int tensor of shape (B,) or (1,)

        Returns
        -------
        tensor of shape (B, ...)

        Raises
        ------
        ValueError
            If timesteps are not whole numbers, or of a type that rounds those of the schedule.
        """
        indices = indices_of(timesteps, len(self._alphas()), original_samples.device)
        image, noise = same_shape(original_samples, noise, indices.numel())
        signal, sigma = self._levels(indices, image)
        return add(image, signal, sigma, eps=noise)

    def get_velocity(self, sample: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """Return sqrt(abar_t) noise - sqrt(1 - abar_t) sample, the weights in float64.

        Parameters
        ----------
        sample, noise : tensor of shape (B, ...)
        timesteps : int tensor of shape (B,) or (1,)

        Returns
        -------
        tensor of shape (B, ...)

        Raises
        ------
        ValueError
            As for `add_noise`.
        """
        indices = indices_of(timesteps, len(self._alphas()), sample.device)
        sample, noise = same_shape(sample, noise, indices.numel())
        signal, sigma = self._levels(indices, sample)
        return add(noise, signal, -sigma, eps=sample)


def indices_of(timesteps: Timestep, n_timesteps: int, device: torch.device) -> Tensor:
    """Return timesteps as indices into a schedule, int64 [B], on a device."""
    tensor = torch.as_tensor(timesteps, device=device).flatten()
    if not tensor.is_floating_point():
        return tensor.long()
    exact_to = 2 / torch.finfo(tensor.dtype).eps  # whole numbers are exact up to here
    if n_timesteps > exact_to:
        raise ValueError(
            f"timesteps are {tensor.dtype}, which rounds whole numbers above {exact_to:.0f}, and "
            f"the schedule has {n_timesteps}; pass them as int64"
        )
    if (tensor != tensor.round()).any():
        raise ValueError(f"timesteps={tensor.tolist()} are not whole numbers; pass them as int64")
    return tensor.long()
