"""`unsup-fast scenes`: captioned scenes in a file."""

from time import perf_counter

import numpy as np

from unsup_fast import pictures, scenes
from unsup_fast._memory import free_memory
from unsup_fast.cli import files, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import showing
from unsup_fast.cli.samples import named
from unsup_fast.cli.scenes.settings import DrawSettings
from unsup_fast.cli.training.samples import SUFFIXES, write_arrays
from unsup_fast.report.numbers import counted, seconds, short, size

BATCH = 1000
MOST_IN_A_PNG = 4096


def run(settings: DrawSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError
        If an option or an input is unusable; raised before anything is drawn.
    """
    console = terminal.console(quiet=settings.quiet)
    inputs = files.inputs_of(digits=settings.digits)
    files.check_file(settings.out, "-o", SUFFIXES, settings.overwrite, inputs)
    _check_amount(settings)
    begun = perf_counter()
    with Interrupts() as interrupts:
        try:
            digits = _digits(settings)
            with showing(console, settings.quiet) as progress:
                progress.begin("Drawing")
                images = np.empty((settings.n, 3, settings.side, settings.side), np.uint8)
                captions: list[str] = []
                arrays: list[dict[str, np.ndarray]] = []
                for first in range(0, settings.n, BATCH):
                    with named(settings.digits):
                        batch = scenes.draw(
                            min(BATCH, settings.n - first),
                            seed=settings.seed,
                            split=settings.split,
                            side=settings.side,
                            start=settings.start + first,
                            digits=digits,
                        )
                    images[first : first + BATCH] = batch.images
                    captions += batch.captions
                    arrays.append(batch.specifications.arrays())
                    progress.part(len(captions), settings.n, "drawn")
                progress.begin("Writing")
                if settings.out.suffix == ".png":
                    pictures.save_grid(settings.out, images)
                else:
                    specs = {
                        name: np.concatenate([each[name] for each in arrays]) for name in arrays[0]
                    }
                    write_arrays(
                        settings.out, {"images": images, "captions": np.array(captions), **specs}
                    )
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    took = perf_counter() - begun
    console.print(
        terminal.plain(
            f"{counted(settings.n, 'picture')} written to {settings.out}, {seconds(took)} "
            f"({short(settings.n / took)}/s)"
        )
    )
    return 0


def _check_amount(settings: DrawSettings) -> None:
    """Refuse more pictures than memory or a grid holds."""
    if settings.out.suffix == ".png" and settings.n > MOST_IN_A_PNG:
        raise UserError(
            f"-n {settings.n}: a .png shows at most {MOST_IN_A_PNG} pictures; pass a smaller -n, "
            "or name an .npz file"
        )
    needed, free = 2 * settings.n * 3 * settings.side**2, free_memory()
    if needed > free:
        raise UserError(
            f"-n {settings.n}: so many pictures need {size(needed)} of memory, {size(free)} are "
            "free; pass a smaller -n"
        )


def _digits(settings: DrawSettings) -> tuple[np.ndarray, np.ndarray] | None:
    """Return pictures of digits and their digits, as the names of their classes say."""
    if settings.digits is None:
        return None
    data = pictures.load(settings.digits, channels=1)
    if data.labels is None:
        raise UserError(
            f"--digits {settings.digits}: has no labels; pass pictures with labels 0 to 9"
        )
    wrong = [name for name in data.classes if name not in map(str, range(10))]
    if wrong:
        raise UserError(
            f"--digits {settings.digits}: class {wrong[0]} is no digit; pass classes 0 to 9"
        )
    return data.pixels, np.array(data.classes).astype(np.int64)[data.labels]
