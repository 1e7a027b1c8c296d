"""`unsup-fast vae traverse`: what each latent of a picture does to it."""

import numpy as np

from unsup_fast import pictures
from unsup_fast.cli import files, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import trained_on
from unsup_fast.cli.training.data import some
from unsup_fast.cli.training.samples import SUFFIXES, write_arrays
from unsup_fast.cli.vae import models
from unsup_fast.cli.vae.settings import TraverseSettings
from unsup_fast.report.numbers import count, counted

LATENTS = 8  # that are shown by default
PICTURES = 1000  # by whose KL they are chosen


def run(settings: TraverseSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    ImportError
        If torch is missing.
    """
    console = terminal.console(quiet=settings.quiet)
    models.check_torch()
    run_path = settings.run_path
    inputs = trained_on.inputs(settings, run_path) + RunFolder(run_path).inputs()
    files.check_file(settings.out, "-o", SUFFIXES, settings.overwrite, inputs)
    with Interrupts() as interrupts:
        try:
            model = models.load(run_path, device_of(settings.device))
            most = model.config.latent - 1
            if settings.latents is not None and max(settings.latents) > most:
                raise UserError(
                    f"--latents {max(settings.latents)}: the model has the latents 0 to {most}; "
                    "pass some of these"
                )
            with showing(console, settings.quiet) as progress, named():
                dataset = trained_on.read(settings, run_path, model.config.shape, progress)
                n, row = len(dataset.pixels), settings.picture
                if row >= n:
                    raise UserError(
                        f"--picture {row}: there are {count(n)}, counted from 0; pass {n - 1} or "
                        "less"
                    )
                known = models.classes_of(dataset, model)
                progress.begin("Traversing")
                values = np.linspace(-settings.span, settings.span, settings.columns)
                latents = settings.latents
                if latents is None:
                    from unsup_fast.models import vae

                    rows = some(n, PICTURES, settings.seed)
                    statistics = vae.latent_statistics(
                        model, dataset.pixels[rows], models.at(known, rows), seed=settings.seed
                    )
                    latents = tuple(statistics.busiest[:LATENTS].tolist())
                images = model.traverse(
                    dataset.pixels[row : row + 1],
                    models.at(known, [row]),
                    latents=latents,
                    values=values,
                    seed=settings.seed,
                )
                traversed = np.asarray(pictures.to_bytes(images))  # [L, V, C, H, W]
            with interrupts.shield():
                if settings.out.suffix == ".png":
                    flat = traversed.reshape(-1, *traversed.shape[2:])
                    pictures.save_grid(settings.out, flat, columns=len(values))
                else:
                    shown = np.moveaxis(traversed, 2, -1)  # [L, V, H, W, C]
                    arrays = {"pictures": shown, "latents": np.array(latents), "values": values}
                    write_arrays(settings.out, arrays)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    console.print(
        terminal.plain(
            f"Traversals of {counted(len(latents), 'latent')} written to {settings.out}: "
            f"{', '.join(map(str, latents))}"
        )
    )
    return 0
