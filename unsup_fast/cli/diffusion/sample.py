"""`unsup-fast diffusion sample`: new pictures by a trained model."""

import io
import math
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast import pictures
from unsup_fast.cli import files, terminal
from unsup_fast.cli.diffusion import models
from unsup_fast.cli.diffusion.settings import SampleSettings, SamplingSettings
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Silent, showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of, free_memory
from unsup_fast.report.numbers import count, counted, seconds, short, size

Array = npt.NDArray[Any]

SUFFIXES = (".png", ".npz")
PIXEL_BYTES = 9  # of a pixel of all pictures at once: two floats and a byte


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
    files.check_file(
        settings.out, "-o", SUFFIXES, settings.overwrite, RunFolder(settings.run_path).inputs()
    )
    with Interrupts() as interrupts:
        try:
            model = models.load(settings.run_path, device_of(settings.device), settings.steps)
            classes = models.labels_of(settings.labels, model.config.classes)
            if settings.labels and len(classes) > settings.n:
                raise UserError(
                    f"-n {settings.n}: is less than the {len(classes)} classes that --label names; "
                    f"pass -n {len(classes)} or more"
                )
            sampler = settings.sampler or model.config.sampler
            steps = settings.steps or model.config.steps
            check(model, steps, settings.n, "-n")
            labels = models.spread(classes, settings.n)
            begun = perf_counter()
            with showing(console, settings.quiet) as progress:
                samples = draw(model, settings, settings.n, labels, progress)
            took = perf_counter() - begun
            with interrupts.shield():
                write(settings.out, samples, labels, model.config.classes, len(classes))
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is kept.")
            return interrupts.status
    console.print(
        terminal.plain(
            f"{counted(settings.n, 'picture')} written to {settings.out}, {sampler}, "
            f"{counted(steps, 'step')}, {seconds(took)} ({short(settings.n / took)}/s)"
        )
    )
    return 0


def check(model: Any, steps: int, n: int, option: str) -> None:
    """Refuse more steps than the model has levels of noise, and more pictures than memory holds.

    Raises
    ------
    UserError
        With the option to change.
    """
    most = model.config.n_timesteps
    if steps > most:
        raise UserError(f"--steps {steps}: the model has {count(most)} levels; pass --steps {most}")
    needed, free = n * math.prod(model.config.shape) * PIXEL_BYTES, free_memory()
    if needed > free:
        raise UserError(
            f"{option} {n}: so many pictures need {size(needed)} of memory, {size(free)} are free; "
            f"pass a smaller {option}"
        )


def draw(
    model: Any, settings: SamplingSettings, n: int, labels: list[int] | None, progress: Silent
) -> Array:
    """Return n pictures by what settings say of the sampler, bytes [n, C, H, W]."""
    progress.begin("Sampling")

    def show(done: int, rows: int, left: float) -> None:
        share = done / rows
        progress.moved(f"{int(n * share)} of {counted(n, 'picture')}", "Sampling", share, left)

    with named():
        images = model.sample(
            n,
            sampler=settings.sampler,
            steps=settings.steps,
            label=labels,
            guidance=settings.guidance,
            guidance_interval=settings.guidance_interval,
            seed=settings.seed,
            batch_size=settings.batch_size,
            precision=settings.precision,
            progress=show,
        )
    if not bool(images.isfinite().all()):
        cause = "" if settings.guidance is None else f"--guidance {settings.guidance:g}: "
        raise UserError(
            f"{cause}the pictures are not finite; pass a smaller weight or more --steps"
        )
    return np.asarray(pictures.to_bytes(images))


def write(
    path: Path, samples: Array, labels: list[int] | None, classes: tuple[str, ...], n_labels: int
) -> None:
    """Write pictures [n, C, H, W] as one PNG, or as an .npz of samples [n, H, W, C]."""
    if path.suffix == ".png":
        pictures.save_grid(path, samples, columns=models.columns(n_labels, len(samples)))
        return
    arrays: dict[str, Any] = {"samples": np.moveaxis(samples, 1, -1)}
    if labels is not None:
        arrays |= {"labels": np.array(labels), "classes": np.array(classes)}
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    with files.replacing(path) as file:
        file.write(content.getvalue())
