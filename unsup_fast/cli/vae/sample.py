"""`unsup-fast vae sample`: new pictures by a trained model."""

from functools import partial
from typing import TYPE_CHECKING

from unsup_fast.cli.training import sampling
from unsup_fast.cli.vae import models
from unsup_fast.cli.vae.settings import SampleSettings

if TYPE_CHECKING:
    from torch import Tensor

    from unsup_fast.models.vae import VAE


def run(settings: SampleSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError
        If an option or an input is unusable; raised before sampling starts.
    ImportError
        If torch is missing.
    """
    models.check_torch()

    def draw(model: "VAE", labels: list[int] | None) -> "Tensor":
        return model.sample(
            settings.n, label=labels, seed=settings.seed, temperature=settings.temperature
        )

    return sampling.run(settings, settings.device, partial(models.load, settings.run_path), draw)
