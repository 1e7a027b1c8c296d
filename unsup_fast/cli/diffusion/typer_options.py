"""Options of the commands of diffusion models in typer's own form."""

import math
import re
from pathlib import Path
from typing import Annotated

import typer

from unsup_fast._paths import special
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.settings import shown
from unsup_fast.cli.values import MOST_THREADS

Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Random seed.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        max=MOST_THREADS,
        help="Threads to run.  [default: all]",
    ),
]
Title = Annotated[
    str | None, typer.Option("--title", metavar="TEXT", help="Headline of the report.")
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Leave out the HTML report.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors and warnings only.")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the results that are in OUT.")
]
OverwriteFile = Annotated[
    bool, typer.Option("--overwrite", help="Replace the output file if it exists.")
]
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Resume the unfinished run in OUT, bit for bit."),
]


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> str:
    """Return the value of an option if it is allowed."""
    if value not in allowed:
        raise UserError(f"{option} {shown(value)}: is not one of {', '.join(allowed)}")
    return value


RESIZES = ("tensorflow", "clean", "pytorch-fid")
SAMPLERS = (
    "ddpm",
    "ddim",
    "euler",
    "euler_a",
    "heun",
    "dpm++2m",
    "dpm++2m_sde",
    "deis",
    "unipc",
    "lms",
)


def finite(value: float | None) -> float | None:
    """Return the number if it is finite."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not finite; write a number as in 0.001")
    return value


def positive(value: float | None) -> float | None:
    """Return the number if it is finite and above 0."""
    if value is not None and not 0 < value < math.inf:
        raise typer.BadParameter(f"{value:g} is not above 0 and finite; write one as in 0.001")
    return value


def below_one(value: float) -> float:
    """Return the number if it is at least 0 and below 1."""
    if not 0 <= value < 1:
        raise typer.BadParameter(f"{value:g} is not a share; write one from 0 to below 1")
    return value


def channel_count(value: int | None) -> int | None:
    """Return 1 or 3, or None."""
    if value not in (None, 1, 3):
        raise typer.BadParameter(f"{value} is not 1 (grey) or 3 (colour)")
    return value


def weights_file(path: Path | None) -> Path | None:
    """Return the file of the weights of a network if it is no directory, pipe or device."""
    kind = None if path is None else "a directory" if path.is_dir() else special(path)
    if kind is not None:
        raise UserError(f"{path}: is {kind}; name a .pth file")
    return path


def device(name: str | None) -> str | None:
    """Return the name of a device if it reads like one of torch's that models can run on."""
    if name is not None and not re.fullmatch(r"(cpu|cuda|mps|xpu)(:[0-9]{1,3})?", name):
        raise UserError(f"--device {shown(name)}: is not one of cpu, cuda, cuda:1 ..., mps, xpu")
    return name


Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        callback=weights_file,
        help="Where pt_inception-2015-12-05-6726825d.pth is.  [default: $UNSUP_FAST_INCEPTION, or "
        "torch's cache]",
    ),
]
Resize = Annotated[
    str,
    typer.Option(
        "--resize",
        metavar="tensorflow|clean|pytorch-fid",
        help="How pictures come to 299 x 299: as in the original, in clean-fid, in pytorch-fid.",
    ),
]
