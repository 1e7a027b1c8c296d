"""Diffusion models of latents: what is shown of them, and their decoder."""

from typing import TYPE_CHECKING, Any

from unsup_fast.cli.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

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


def refuse(run: "Path", config: Any, command: str) -> None:
    """Raise UserError for a model of latents, which a command for pictures cannot use."""
    if are_latents(config):
        raise UserError(
            f"{run}: its model makes latents, and {command} needs one that makes pictures; use "
            "diffusion sample --decoder"
        )
