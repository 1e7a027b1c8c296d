"""`unsup-fast vae encode`: the latents of pictures, for other commands to read."""

from typing import TYPE_CHECKING

import numpy as np

from unsup_fast import _extras
from unsup_fast._text import valid
from unsup_fast._types import Array
from unsup_fast.cli import files, matrices, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.progress import showing
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import data
from unsup_fast.cli.training.data import Data
from unsup_fast.cli.training.samples import write_arrays
from unsup_fast.cli.vae import models
from unsup_fast.cli.vae.settings import EncodeSettings
from unsup_fast.report.numbers import count, counted

if TYPE_CHECKING:
    from unsup_fast.models.vae import VAE, AutoencoderKL

SUFFIXES = (".npz", *matrices.SUFFIXES)


def run(settings: EncodeSettings) -> int:
    """Run the command and return its exit status.

    Raises
    ------
    UserError, DataError
        If an option or an input is unusable.
    ImportError
        If torch is missing, or pyarrow for a table.
    """
    console = terminal.console(quiet=settings.quiet)
    models.check_torch()
    files.check_file(settings.out, "-o", SUFFIXES, settings.overwrite, models.inputs(settings))
    if settings.out.suffix in (".parquet", ".csv"):
        _extras.require("pyarrow", "data", "writing CSV and Parquet files")
    with Interrupts() as interrupts:
        try:
            model = models.load_any(settings.run_path, device_of(settings.device))
            with showing(console, settings.quiet) as progress, named():
                dataset = data.read_for(settings, progress, model.config.shape)
                known = models.classes_of(dataset, model)
                progress.begin("Encoding")
                latents = _latents(settings, model, dataset.pixels, known)
            with interrupts.shield():
                _write(settings, latents, _class_names(dataset))
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    shape = " x ".join(map(count, latents.shape[1:]))
    what = "a draw of each" if settings.sample else "means"
    console.print(
        terminal.plain(
            f"{shape} latents of {counted(len(latents), 'picture')} written to {settings.out}, "
            f"{what}"
        )
    )
    return 0


def _latents(
    settings: EncodeSettings, model: "VAE | AutoencoderKL", x: Array, label: Array | None
) -> Array:
    """Return means or draws of the latents of pictures x: [N, Z], or scaled maps [N, Z, h, w]."""
    from unsup_fast.models import vae

    if isinstance(model, vae.AutoencoderKL):
        if settings.out.suffix not in SUFFIXES[:2]:
            raise UserError(
                f"-o {settings.out}: the latents of a KL autoencoder are maps, which tables do not "
                f"hold; name a {' or '.join(SUFFIXES[:2])} file"
            )
        return model.latents(x, seed=settings.seed if settings.sample else None).cpu().numpy()
    posterior = model.encode(x, label, seed=settings.seed)
    drawn = posterior.sample(settings.seed) if settings.sample else posterior.mean
    return drawn.cpu().numpy()


def _class_names(dataset: Data) -> Array | None:
    """Return the name of each picture's class, [N]; None without classes."""
    labels, names = dataset.content.labels, [valid(name) for name in dataset.content.classes]
    return None if labels is None else np.array(names)[labels]


def _write(settings: EncodeSettings, latents: Array, labels: Array | None) -> None:
    """Write latents [N, ...], and labels [N] where the file has room for them."""
    out = settings.out
    if out.suffix == ".npz":
        write_arrays(out, {"latents": latents, **({} if labels is None else {"labels": labels})})
    elif out.suffix == ".npy":
        matrices.write(out, iter([latents]), len(latents), [])
    else:
        names = [f"z{number}" for number in range(latents.shape[1])]
        columns = list(np.ascontiguousarray(latents.T))
        if labels is not None:
            names, columns = [*names, "label"], [*columns, labels]
        matrices.write(out, iter([columns]), len(latents), names)
