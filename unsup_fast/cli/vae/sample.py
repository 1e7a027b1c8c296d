"""`unsup-fast vae sample`: new pictures by a trained model."""

from time import perf_counter

import numpy as np

from unsup_fast import pictures
from unsup_fast.cli import files, terminal
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import classes
from unsup_fast.cli.training.samples import SUFFIXES, check_memory, write
from unsup_fast.cli.vae import models
from unsup_fast.cli.vae.settings import SampleSettings
from unsup_fast.report.numbers import counted, seconds, short


def run(settings: SampleSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError
        If an option or an input is unusable; raised before sampling starts.
    ImportError
        If torch is missing.
    """
    console = terminal.console(quiet=settings.quiet)
    models.check_torch()
    inputs = RunFolder(settings.run_path).inputs()
    files.check_file(settings.out, "-o", SUFFIXES, settings.overwrite, inputs)
    with Interrupts() as interrupts:
        try:
            model = models.load(settings.run_path, device_of(settings.device))
            chosen = classes.labels_of(settings.labels, model.config.classes)
            classes.check_enough(settings.n, settings.labels, chosen)
            check_memory(settings.n, model.config.shape, "-n")
            labels = classes.spread(chosen, settings.n)
            begun = perf_counter()
            with named():
                images = model.sample(
                    settings.n,
                    label=labels,
                    seed=settings.seed,
                    temperature=settings.temperature,
                )
                samples = np.asarray(pictures.to_bytes(images))  # [n, C, H, W]
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
