"""A command that writes pictures of a model that draws all of them in one call."""

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from unsup_fast import pictures
from unsup_fast.cli import files, terminal
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import classes
from unsup_fast.cli.training.options import SamplesSettings
from unsup_fast.cli.training.samples import SUFFIXES, check_memory, write
from unsup_fast.report.numbers import counted, seconds, short

if TYPE_CHECKING:
    import torch

    from unsup_fast.models.gan import GAN
    from unsup_fast.models.vae import VAE

ModelT = TypeVar("ModelT", "GAN", "VAE")


def run(
    settings: SamplesSettings,
    device: str | None,
    load: Callable[["torch.device"], ModelT],
    draw: Callable[[ModelT, list[int] | None], "torch.Tensor"],
) -> int:
    """Run the command and return its exit status.

    Parameters
    ----------
    settings : SamplesSettings
    device : str or None
    load : callable (device) -> model
    draw : callable (model, labels) -> tensor of shape (n, C, H, W)
        Returns pictures in [-1, 1], one for each label, or of any class for None.

    Raises
    ------
    UserError
        If an option or an input is unusable; raised before sampling starts.
    """
    console = terminal.console(quiet=settings.quiet)
    inputs = RunFolder(settings.run_path).inputs()
    files.check_file(settings.out, "-o", SUFFIXES, settings.overwrite, inputs)
    with Interrupts() as interrupts:
        try:
            model = load(device_of(device))
            chosen = classes.labels_of(settings.labels, model.config.classes)
            classes.check_enough(settings.n, settings.labels, chosen)
            check_memory(settings.n, model.config.shape, "-n")
            labels = classes.spread(chosen, settings.n)
            begun = perf_counter()
            with named():
                samples = np.asarray(pictures.to_bytes(draw(model, labels)))  # [n, C, H, W]
            took = perf_counter() - begun
            with interrupts.shield():
                write(settings.out, samples, labels, model.config.classes, len(chosen))
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    console.print(
        terminal.plain(
            f"{counted(settings.n, 'picture')} written to {settings.out}, {seconds(took)} "
            f"({short(settings.n / took)}/s)"
        )
    )
    return 0
