"""`unsup-fast gan interpolate`: pictures on paths between the latents of seeds."""

import numpy as np

from unsup_fast import pictures
from unsup_fast.cli import files, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.gan import models
from unsup_fast.cli.gan.settings import InterpolateSettings
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import classes
from unsup_fast.cli.training.samples import SUFFIXES, check_memory, write_arrays
from unsup_fast.report.numbers import counted


def run(settings: InterpolateSettings) -> int:
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
    n_paths, steps = len(settings.seeds) - 1, settings.n
    with Interrupts() as interrupts:
        try:
            model = models.load(settings.run_path, device_of(settings.device), best=settings.best)
            names = model.config.classes
            chosen = classes.labels_of(settings.labels, names)
            if names and not chosen:
                raise UserError("--label any: a path is of one class; name classes, or all")
            limit, psi = models.truncation_of(model, settings.truncation)
            check_memory(n_paths * steps, model.config.shape, "-n")
            labels = [chosen[row % len(chosen)] for row in range(n_paths)] if names else None
            with named():
                ends = model.latents(seed=settings.seeds, truncation=limit)
                rows = [
                    model.interpolate(
                        ends[row],
                        ends[row + 1],
                        steps,
                        label=None if labels is None else labels[row],
                        psi=psi,
                    )
                    for row in range(n_paths)
                ]  # each [S, C, H, W]
                paths = np.stack([np.asarray(pictures.to_bytes(row)) for row in rows])
            with interrupts.shield():
                if settings.out.suffix == ".png":
                    flat = paths.reshape(-1, *paths.shape[2:])  # [P S, C, H, W]
                    pictures.save_grid(settings.out, flat, columns=steps)
                else:
                    arrays = {"samples": np.moveaxis(paths, 2, -1)}  # [P, S, H, W, C]
                    arrays["seeds"] = np.array(settings.seeds)
                    if labels is not None:
                        arrays |= {"labels": np.array(labels), "classes": np.array(names)}
                    write_arrays(settings.out, arrays)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    console.print(
        terminal.plain(
            f"{counted(n_paths, 'path')} of {counted(steps, 'picture')} written to {settings.out}"
        )
    )
    return 0
