"""New digits by a small diffusion model, for the demo."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

from unsup_fast import pictures
from unsup_fast.cli import files, terminal
from unsup_fast.cli.diffusion import models
from unsup_fast.cli.diffusion.family import FAMILY
from unsup_fast.cli.diffusion.settings import TrainSettings
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.run_folder import RunFolder
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.training import folder
from unsup_fast.cli.training.classes import spread
from unsup_fast.cli.training.job import check as check_packages
from unsup_fast.cli.training.run import run as train

Array = npt.NDArray[Any]

# About half a minute on two idle cores with AVX2. The limit is for a very busy machine, whose
# digits are then reported as unfinished.
STEPS, MINUTES = 600, 6.0
EACH = 10  # of a class
GRID, RUN = "digits.png", "diffusion"


def check(out: Path, *, overwrite: bool) -> None:
    """Check that new digits may be put into `out`.

    Raises
    ------
    UserError
        If it holds another run, or a picture that is not a demo's, and `overwrite` is false.
    """
    run = out / RUN
    ours = _is_ours(run)
    RunFolder(run).check(overwrite=overwrite or ours)
    if (out / GRID).exists() and not (overwrite or ours):
        raise UserError(
            f"{out / GRID}: exists already, and is none of the demo's; name another directory or "
            "pass --overwrite"
        )


def digits(out: Path, console: Console) -> int:
    """Train on scikit-learn's digits, show new ones, and return the exit status."""
    try:
        check_packages(FAMILY)
    except ImportError as error:
        console.print(terminal.plain(f"New digits are left out: {error}", "dim"))
        return 0
    run = out / RUN
    (out / GRID).unlink(missing_ok=True)  # of an earlier demo; this one may not come so far
    console.print("\nA diffusion model of the digits: Ctrl-C leaves it out.", style="dim")
    status = train(FAMILY, _settings(run))
    if status:
        return status
    model = models.load(run, device_of(None))
    classes = range(len(model.config.classes))
    generated = pictures.to_bytes(
        model.sample(
            EACH * len(classes),
            label=spread(classes, EACH * len(classes)),
            progress=False,
        )
    )
    pictures.save_grid(out / GRID, generated, columns=EACH)
    if console.is_terminal and not console.options.ascii_only:
        starts = range(0, len(generated), EACH)
        n = min(len(classes), console.width // (generated.shape[-1] + 1))
        console.print(half_blocks(np.asarray(generated)[list(starts)[:n], 0]))
    done = folder.position(run)[0]
    if done < STEPS:
        console.print(
            f"Cut short after {MINUTES:g} minutes, at step {done} of {STEPS}: these digits are "
            "unfinished. Run the demo again when the machine is less busy.",
            soft_wrap=True,
        )
    console.print(terminal.plain(f"New digits, a class in a row: {out / GRID}"), soft_wrap=True)
    console.print(terminal.plain(f"How they came about: {run / files.REPORT}"), soft_wrap=True)
    return 0


def _settings(run: Path) -> TrainSettings:
    return TrainSettings(
        built_in="digits",
        out=run,
        model_size="tiny",
        patch=1,
        steps=STEPS,
        minutes=MINUTES,
        learning_rate=2e-3,
        warmup=50,
        decay=STEPS // 4,
        ema=0.995,
        threads=1,  # of pictures so small, two threads do little more, or less on a busy machine
        save_every=STEPS,
        sample_every=100,
        title="New handwritten digits",
        overwrite=True,
    )


def _is_ours(run: Path) -> bool:
    """Return whether the run is one of this demo, which differs from others by its settings."""
    if not (run / files.SUMMARY).exists():
        return False
    try:
        ours = _settings(run).recorded()
        # Earlier versions allowed other times.
        return bool(
            {**folder.read_summary(run, FAMILY.command)["parameters"], "minutes": MINUTES} == ours
        )
    except (UserError, KeyError, OSError):
        return False


def half_blocks(images: Array) -> Text:
    """Return grey pictures [n, H, W] side by side as text, two rows of pixels in a line."""
    padded = np.pad(images, ((0, 0), (0, images.shape[1] % 2), (0, 1)))
    wide = np.concatenate(list(padded), axis=1)  # [H, n (W + 1)]
    text = Text()
    for above, below in zip(wide[::2], wide[1::2], strict=True):
        for top, bottom in zip(above.tolist(), below.tolist(), strict=True):
            colours = (Color.from_rgb(grey, grey, grey) for grey in (top, bottom))
            text.append("\u2580", Style(color=next(colours), bgcolor=next(colours)))
        text.append("\n")
    return text
