"""`unsup-fast gan invert`: styles whose pictures are near to others."""

from typing import TYPE_CHECKING

import numpy as np

from unsup_fast import metrics, pictures
from unsup_fast._types import Array
from unsup_fast.cli import files, terminal
from unsup_fast.cli.gan import models
from unsup_fast.cli.gan.settings import InvertSettings
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import data
from unsup_fast.cli.training.data import some
from unsup_fast.cli.training.pairs import in_pairs, psnr
from unsup_fast.cli.training.samples import SUFFIXES, check_memory, write_arrays
from unsup_fast.report.numbers import counted

if TYPE_CHECKING:
    from unsup_fast.models.gan.inversion import Inversion

COLUMNS = 16  # of a PNG


def run(settings: InvertSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    ImportError
        If torch is missing, or the package of the perceptual distance.
    """
    console = terminal.console(quiet=settings.quiet)
    models.check_torch()
    from unsup_fast.models.gan import styles

    inputs = files.inputs_of(DATA=settings.data) + RunFolder(settings.run_path).inputs()
    files.check_file(settings.out, "-o", SUFFIXES, settings.overwrite, inputs)
    with Interrupts() as interrupts:
        try:
            device = device_of(settings.device)
            model = models.load(settings.run_path, device, best=settings.best)
            models.styled(model)
            distance = metrics.PerceptualDistance(device=device) if settings.perceptual else None
            with showing(console, settings.quiet) as progress, named():
                dataset = data.read_for(settings, progress, model.config.shape)
                n = len(dataset.pixels)
                originals = dataset.pixels[some(n, settings.n or n, settings.seed)]  # [n, C, H, W]
                check_memory(len(originals), model.config.shape, "-n")
                progress.begin("Searching styles")
                inversion = styles.invert(
                    model,
                    originals,
                    settings.steps,
                    space="ws" if settings.each_layer else "w",
                    distance=distance,
                    weight=settings.perceptual,
                    progress=lambda done, total, decibels: progress.part(
                        done, total, f"searched, PSNR {decibels:.1f} dB"
                    ),
                )
                images = np.asarray(pictures.to_bytes(inversion.reconstruction))
            with interrupts.shield():
                _write(settings, originals, images, inversion)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    console.print(
        terminal.plain(
            f"{counted(len(originals), 'picture')} and the nearest of the generator written to "
            f"{settings.out}, PSNR {psnr(originals, images):.2f} dB"
        )
    )
    return 0


def _write(
    settings: InvertSettings, originals: Array, images: Array, inversion: "Inversion"
) -> None:
    """Write pictures [n, C, H, W] as pairs in one PNG, or as an .npz with their styles."""
    if settings.out.suffix == ".npz":
        arrays = {
            "originals": np.moveaxis(originals, 1, -1),
            "reconstructions": np.moveaxis(images, 1, -1),
            "w": inversion.w.cpu().numpy(),
            "psnr": inversion.psnr.cpu().numpy(),
        }
        write_arrays(settings.out, arrays)
        return
    columns = min(COLUMNS, len(originals))
    pictures.save_grid(settings.out, in_pairs(originals, images, columns), columns=columns)
