"""`unsup-fast vae reconstruct`: pictures, and what their latents keep of them."""

import math

import numpy as np

from unsup_fast import pictures
from unsup_fast._types import Array
from unsup_fast.cli import files, terminal
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import showing
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import data
from unsup_fast.cli.training.samples import SUFFIXES, check_memory, write_arrays
from unsup_fast.cli.vae import models
from unsup_fast.cli.vae.settings import ReconstructSettings
from unsup_fast.report.numbers import counted

COLUMNS = 16  # of a PNG
EMPTY = 128  # of cells without a picture, as between pictures


def run(settings: ReconstructSettings) -> int:
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
    inputs = models.inputs(settings)
    files.check_file(settings.out, "-o", SUFFIXES, settings.overwrite, inputs)
    with Interrupts() as interrupts:
        try:
            model = models.load(settings.run_path, device_of(settings.device))
            with showing(console, settings.quiet) as progress, named():
                dataset = data.read_for(settings, progress, model.config.shape)
                known = models.classes_of(dataset, model)
                n = len(dataset.pixels)
                rows = models.some(n, settings.n or n, settings.seed)
                check_memory(len(rows), model.config.shape, "-n")
                progress.begin("Reconstructing")
                originals = dataset.pixels[rows]  # [n, C, H, W]
                images = model.reconstruct(originals, models.at(known, rows), seed=settings.seed)
                reconstructions = np.asarray(pictures.to_bytes(images))
            with interrupts.shield():
                _write(settings, originals, reconstructions)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    console.print(
        terminal.plain(
            f"{counted(len(rows), 'picture')} and reconstructions written to {settings.out}, PSNR "
            f"{psnr(originals, reconstructions):.2f} dB"
        )
    )
    return 0


def psnr(originals: Array, reconstructions: Array) -> float:
    """Return the peak signal-to-noise ratio of bytes, in dB, by their mean squared error."""
    error = np.mean((originals.astype(np.float64) - reconstructions) ** 2)
    return 10 * math.log10(255**2 / error) if error else math.inf


def _write(settings: ReconstructSettings, originals: Array, reconstructions: Array) -> None:
    """Write pictures [n, C, H, W] as pairs in one PNG, or as an .npz of [n, H, W, C]."""
    if settings.out.suffix == ".npz":
        arrays = {"originals": originals, "reconstructions": reconstructions}
        write_arrays(settings.out, {name: np.moveaxis(x, 1, -1) for name, x in arrays.items()})
        return
    columns = min(COLUMNS, len(originals))
    n_rows = -(-len(originals) // columns)
    cells = np.full((n_rows, 2, columns, *originals.shape[1:]), EMPTY, np.uint8)
    for k, images in enumerate((originals, reconstructions)):
        for row in range(n_rows):
            some = images[row * columns : (row + 1) * columns]
            cells[row, k, : len(some)] = some
    pictures.save_grid(settings.out, cells.reshape(-1, *originals.shape[1:]), columns=columns)
