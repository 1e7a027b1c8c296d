"""`unsup-fast gan mix`: pictures with coarse styles of some seeds and fine ones of others."""

import numpy as np

from unsup_fast import pictures
from unsup_fast.cli import files, terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.gan import models
from unsup_fast.cli.gan.settings import MixSettings
from unsup_fast.cli.interrupts import Interrupts
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.samples import named
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training.samples import SUFFIXES, check_memory, write_arrays
from unsup_fast.report.numbers import counted

WHITE = 255  # the corner of a sheet


def run(settings: MixSettings) -> int:
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
    from unsup_fast.models.gan import styles

    inputs = RunFolder(settings.run_path).inputs()
    files.check_file(settings.out, "-o", SUFFIXES, settings.overwrite, inputs)
    n_rows, n_columns = len(settings.coarse), len(settings.fine)
    with Interrupts() as interrupts:
        try:
            model = models.load(settings.run_path, device_of(settings.device), best=settings.best)
            label = models.label_of(model, settings.label)
            body = models.styled(model)
            layer = body.n_styles // 2 if settings.layer is None else settings.layer
            if layer > body.n_styles:
                raise UserError(
                    f"--layer {layer}: the generator has {body.n_styles} layers; pass "
                    f"--layer {body.n_styles} or less"
                )
            check_memory(n_rows * n_columns, model.config.shape, "--fine")
            with named():
                z = model.latents(seed=(*settings.coarse, *settings.fine))
                w = styles.styles(model, z, label)  # [R + S, W]
                mixed = styles.mix(
                    model,
                    w[:n_rows].repeat_interleave(n_columns, 0),
                    w[n_rows:].repeat(n_rows, 1),
                    layer,
                )  # [R S, L, W]
                alone, images = (
                    np.asarray(pictures.to_bytes(styles.synthesize(model, each)))
                    for each in (w, mixed)
                )
            rows = images.reshape(n_rows, n_columns, *images.shape[1:])  # [R, S, C, H, W]
            with interrupts.shield():
                if settings.out.suffix == ".png":
                    left, top = alone[:n_rows, None], alone[n_rows:][None]
                    head = np.concatenate([np.full_like(top[:, :1], WHITE), top], 1)
                    sheet = np.concatenate([head, np.concatenate([left, rows], 1)])
                    flat = sheet.reshape(-1, *sheet.shape[2:])  # [(R + 1) (S + 1), C, H, W]
                    pictures.save_grid(settings.out, flat, columns=n_columns + 1)
                else:
                    arrays = {
                        "samples": np.moveaxis(rows, 2, -1),
                        "coarse": np.moveaxis(alone[:n_rows], 1, -1),
                        "fine": np.moveaxis(alone[n_rows:], 1, -1),
                        "coarse_seeds": np.array(settings.coarse),
                        "fine_seeds": np.array(settings.fine),
                    }
                    write_arrays(settings.out, arrays)
        except KeyboardInterrupt:
            console.print("[bold]Interrupted[/]: nothing is written.")
            return interrupts.status
    console.print(
        terminal.plain(
            f"{n_rows} x {counted(n_columns, 'mixed picture')} written to {settings.out}; fine "
            f"styles from layer {layer} of {body.n_styles} on"
        )
    )
    return 0
