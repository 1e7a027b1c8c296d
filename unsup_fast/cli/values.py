"""Values that options may have, checked before data are read or anything heavy is imported."""

import math
import re
from pathlib import Path

import typer

from unsup_fast._paths import special
from unsup_fast.cli.errors import UserError

# Largest number of iterations, rows or pictures that an option may name.
MOST = 2**31 - 1
MOST_THREADS = 4096
# Largest side of a picture in pixels.
MOST_PIXELS = 8192
MOST_REG_COVAR = 1e290  # of GaussianMixture
# A whole number above 0 in the text of an option; longer ones are no number of anything.
WHOLE = r"[1-9][0-9]{0,17}"

SOLVERS = ("auto", "covariance_eigh", "full", "arpack", "randomized")
COVARIANCES = ("full", "tied", "diag", "spherical")
CRITERIA = ("bic", "aic")
GMM_STARTS = ("kmeans", "k-means++", "random_from_data", "random")
INCEPTION, NONE = "inception", "none"
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


def reg_covar_of(value: float) -> float:
    """Return the number if a mixture can add it to variances."""
    finite(value)
    if value > MOST_REG_COVAR:
        raise typer.BadParameter(f"{value:g} is above {MOST_REG_COVAR:g}; write one as in 1e-6")
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


def shown(text: str) -> str:
    """Return the text of a value, or its beginning if it is long."""
    return text if len(text) <= 80 else f"{text[:60]}..."


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


def sides(option: str, text: str, *, square: bool) -> tuple[int, int]:
    """Return (height, width) from HxW, or also from N if that is allowed."""
    form, example = ("N or HxW", "32 or 32x48") if square else ("HxW", "32x32")
    if not re.fullmatch(f"{WHOLE}(x{WHOLE}){'?' if square else ''}", text):
        raise UserError(f"{option} {shown(text)}: write {form}, as in {example}")
    numbers = [int(side) for side in text.split("x")]
    if max(numbers) > MOST_PIXELS:
        raise UserError(f"{option} {text}: pictures have sides of at most {MOST_PIXELS} pixels")
    return numbers[0], numbers[-1]


def device(name: str | None) -> str | None:
    """Return the name of a device if it reads like one of torch's that models can run on."""
    if name is not None and not re.fullmatch(r"(cpu|cuda|mps|xpu)(:[0-9]{1,3})?", name):
        raise UserError(f"--device {shown(name)}: is not one of cpu, cuda, cuda:1 ..., mps, xpu")
    return name
