"""`unsup-fast vae reconstruct`: pictures, and what their latents keep of them."""

import numpy as np

from unsup_fast import pictures
from unsup_fast._types import Array
from unsup_fast.cli import files, terminal
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import showing
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import data
from unsup_fast.cli.training.data import some
from unsup_fast.cli.training.pairs import in_pairs, psnr
from unsup_fast.cli.training.samples import SUFFIXES, check_memory, write_arrays
from unsup_fast.cli.vae import models
from unsup_fast.cli.vae.settings import ReconstructSettings
from unsup_fast.report.numbers import counted

COLUMNS = 16  # of a PNG


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
    from unsup_fast.models import vae

    inputs = models.inputs(settings)
    files.check_file(settings.out, "-o", SUFFIXES, settings.overwrite, inputs)
    with Interrupts() as interrupts:
        try:
            model = models.load_any(settings.run_path, device_of(settings.device))
            with showing(console, settings.quiet) as progress, named():
                dataset = data.read_for(settings, progress, model.config.shape)
                known = models.classes_of(dataset, model)
                n = len(dataset.pixels)
                rows = some(n, settings.n or n, settings.seed)
                check_memory(len(rows), model.config.shape, "-n")
                progress.begin("Reconstructing")
                originals = dataset.pixels[rows]  # [n, C, H, W]
                if isinstance(model, vae.AutoencoderKL):
                    images = model.reconstruct(originals)
                else:
                    label = models.at(known, rows)
                    images = model.reconstruct(originals, label, seed=settings.seed)
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


def _write(settings: ReconstructSettings, originals: Array, reconstructions: Array) -> None:
    """Write pictures [n, C, H, W] as pairs in one PNG, or as an .npz of [n, H, W, C]."""
    if settings.out.suffix == ".npz":
        arrays = {"originals": originals, "reconstructions": reconstructions}
        write_arrays(settings.out, {name: np.moveaxis(x, 1, -1) for name, x in arrays.items()})
        return
    columns = min(COLUMNS, len(originals))
    pairs = in_pairs(originals, reconstructions, columns)
    pictures.save_grid(settings.out, pairs, columns=columns)
