"""Schedulers that look up abar_t: their schedule in float64, and noise at any timestep."""

from typing import Any

import numpy as np
import torch

from unsup_fast.kernels.noise import noise as add
from unsup_fast.models.diffusion import schedules
from unsup_fast.models.diffusion.schedules import Array
from unsup_fast.schedulers._fused import Fused, alike, state, unchanged


def exact(config: Any) -> Array:
    """Return abar_t of a configuration: what diffusers computes in float32, in float64."""
    if config.trained_betas is not None:
        betas = np.asarray(config.trained_betas, np.float64)
    else:
        betas = _betas(config)
    made = schedules.alphas_cumprod(betas)
    return schedules.zero_terminal_snr(made) if config.rescale_betas_zero_snr else made


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


class Tabled(Fused):
    """Base of the schedulers whose steps are looked up by their timestep."""

    _exact: Any = None
    _given: tuple[Any, ...] = ()
    _values: Any = None
    _roots: tuple[Any, Any] | None = None

    alphas_cumprod: Any

    def _alphas(self) -> Array:
        """Return abar_t [T]: the configuration's, or `alphas_cumprod` where that was changed."""
        now = state(self.alphas_cumprod)
        if self._exact is None:
            self._exact, self._given = exact(self.config), now
            self._values = self.alphas_cumprod.cpu().clone()
        elif not unchanged(self._given, now):
            values, self._given = self.alphas_cumprod.cpu().clone(), now
            if not torch.equal(values, self._values):  # else it was copied, or moved to a device
                self._exact, self._values = values.double().numpy(), values
                self._roots = None
        made: Array = self._exact
        return made

    def _levels(self, timesteps: Any, x: Any) -> tuple[Any, Any]:
        """Return sqrt(abar_t) and sqrt(1 - abar_t), float64 [B], or of one number for all."""
        alphas = self._alphas()
        if self._roots is None or self._roots[0].device != x.device:
            made = torch.from_numpy(np.stack([np.sqrt(alphas), np.sqrt(1 - alphas)])).to(x.device)
            self._roots = made[0], made[1]
        places = torch.as_tensor(timesteps, device=x.device).long().flatten()
        if places.numel() == 1:
            places = places.expand(len(x))
        return self._roots[0][places], self._roots[1][places]

    def add_noise(self, original_samples: Any, noise: Any, timesteps: Any) -> Any:
        """Return sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise, the weights in float64.

        diffusers rounds abar_t to the type of the samples before it takes 1 - abar_t, which in
        bfloat16 is zero for t = 0 to 9 of the linear schedule: no noise at all. Here it is there.

        Parameters
        ----------
        original_samples, noise : tensor of shape (B, ...)
        timesteps : int tensor of shape (B,) or (1,)

        Returns
        -------
        tensor of shape (B, ...)
        """
        image, noise = alike(original_samples, noise)
        signal, sigma = self._levels(timesteps, image)
        return add(image, signal, sigma, eps=noise)

    def get_velocity(self, sample: Any, noise: Any, timesteps: Any) -> Any:
        """Return sqrt(abar_t) noise - sqrt(1 - abar_t) sample, the weights in float64.

        Parameters
        ----------
        sample, noise : tensor of shape (B, ...)
        timesteps : int tensor of shape (B,) or (1,)

        Returns
        -------
        tensor of shape (B, ...)
        """
        sample, noise = alike(sample, noise)
        signal, sigma = self._levels(timesteps, sample)
        return add(noise, signal, -sigma, eps=sample)
