"""`unsup-fast diffusion sample`: new pictures by a trained model."""

from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unsup_fast import pictures
from unsup_fast.cli import files, terminal
from unsup_fast.cli.diffusion import models
from unsup_fast.cli.diffusion.latents import are_latents, load_decoder
from unsup_fast.cli.diffusion.settings import SampleSettings, SamplingSettings
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import Silent, showing
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import classes
from unsup_fast.cli.training.samples import SUFFIXES, check_memory, write
from unsup_fast.report.numbers import count, counted, seconds, short

if TYPE_CHECKING:
    from unsup_fast.models.vae import AutoencoderKL

Array = npt.NDArray[Any]


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
            chosen = classes.labels_of(settings.labels, model.config.classes)
            classes.check_enough(settings.n, settings.labels, chosen)
            sampler = settings.sampler or model.config.sampler
            steps = settings.steps or model.config.steps
            check(model, steps, settings.n, "-n")
            decoder = _decoder(settings, model)
            labels = classes.spread(chosen, settings.n)
            begun = perf_counter()
            with showing(console, settings.quiet) as progress:
                samples = draw(model, settings, settings.n, labels, progress, decoder)
            took = perf_counter() - begun
            with interrupts.shield():
                write(settings.out, samples, labels, model.config.classes, len(chosen))
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
    check_memory(n, model.config.shape, option)


def draw(
    model: Any,
    settings: SamplingSettings,
    n: int,
    labels: list[int] | None,
    progress: Silent,
    decoder: "AutoencoderKL | None" = None,
) -> Array:
    """Return n pictures by what settings say of the sampler, bytes [n, C, H, W].

    Of a model of latents, these are decoded, or without a decoder floats as they are.
    """
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
    if are_latents(model.config):
        if decoder is None:
            return np.asarray(images.cpu())
        progress.begin("Decoding")
        images = decoder.pictures(images)
    return np.asarray(pictures.to_bytes(images))


def _decoder(settings: SampleSettings, model: Any) -> "AutoencoderKL | None":
    """Return the decoder of latents, if there is one.

    Raises
    ------
    UserError
        If it does not fit the model, or a picture of latents is asked for without one.
    """
    if settings.decoder is not None:
        return load_decoder(settings.decoder, model)
    if are_latents(model.config) and settings.out.suffix == ".png":
        raise UserError(
            f"-o {settings.out}: the model makes latents; pass --decoder with the run of the "
            "autoencoder, or name an .npz file"
        )
    return None
