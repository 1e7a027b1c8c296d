"""Diffusion models of latents: what is shown of them, and their decoder."""

from typing import TYPE_CHECKING, Any

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.vae import models as vae_models
from unsup_fast.report.numbers import counted

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from unsup_fast.models.vae import AutoencoderKL

RANGE = 3.0
"""Standard deviations at which a latent is drawn black or white."""


def are_latents(config: Any) -> bool:
    """Return whether a model makes latents: floats without bounds."""
    return config.clip is None


def shown(config: Any, x: "Tensor") -> "Tensor":
    """Return samples [n, C, H, W] as pictures: of latents the first three channels, or one."""
    if not are_latents(config):
        return x
    n_channels = 3 if x.shape[1] >= 3 else 1
    return (x[:, :n_channels] / RANGE).clamp(-1, 1)


def load_decoder(run: "Path", model: Any) -> "AutoencoderKL":
    """Return the autoencoder of a run, which decodes the latents that a model makes.

    Raises
    ------
    UserError
        If there is none, or the model makes pictures or other latents.
    """
    if not are_latents(model.config):
        raise UserError(f"--decoder {run}: the model makes pictures; leave it out")
    decoder = vae_models.load_autoencoder(run, model.device)
    channels = decoder.config.latent_channels
    if channels != model.config.shape[0]:
        raise UserError(
            f"--decoder {run}: decodes latents of {counted(channels, 'channel')}, the model makes "
            f"{model.config.shape[0]}; name the run whose latents it was trained on"
        )
    return decoder
