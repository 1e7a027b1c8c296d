"""`unsup-fast gan sample`: new pictures by a trained generator."""

from functools import partial
from typing import TYPE_CHECKING

from unsup_fast.cli.gan import models
from unsup_fast.cli.gan.settings import SampleSettings
from unsup_fast.cli.training import sampling

if TYPE_CHECKING:
    from torch import Tensor

    from unsup_fast.models.gan import GAN


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
    load = partial(models.load, settings.run_path, best=settings.best)

    def draw(model: "GAN", labels: list[int] | None) -> "Tensor":
        models.truncation_of(model, settings.truncation)  # refuses what the model cannot do
        return model.sample(
            settings.n, label=labels, seed=settings.seed, truncation=settings.truncation
        )

    return sampling.run(settings, settings.device, load, draw)
