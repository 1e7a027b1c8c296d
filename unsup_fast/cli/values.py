"""Values of options that several commands have, and their checks; nothing heavy is imported."""

import re
from pathlib import Path

from unsup_fast._paths import special
from unsup_fast._urls import File, file_of
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.settings import shown

MOST_THREADS = 4096
# Largest side of a picture in pixels.
MOST_PIXELS = 8192
# A whole number above 0 in the text of an option; longer ones are no number of anything.
WHOLE = r"[1-9][0-9]{0,17}"

INCEPTION, NONE = "inception", "none"
# Networks of `metrics.lite.EXTRACTORS`.
LITES = ("lite0", "lite1")


def parse_data(option: str, text: str) -> File:
    """Return the URL or path of data, which may be a folder or a pattern."""
    return file_of(text)


def parse_separator(option: str, text: str) -> str:
    """Return the character that separates the values of a CSV."""
    character = "\t" if text in ("tab", "\\t") else text
    if len(character) != 1 or not character.isascii() or character in '"\r\n':
        raise UserError(
            f"{option} {text!r}: write one character other than a quote, as in ';', or tab"
        )
    return character


def parse_engine(option: str, text: str) -> str:
    """Return the name of an engine, which `engines.opened` opens."""
    if not re.fullmatch(rf"local:{WHOLE}|ray|ray://\S+|dask://\S+:\d+", text):
        raise UserError(
            f"{option} {shown(text)}: is no engine; write local:N for N processes here, "
            "dask://HOST:PORT for a scheduler, or ray"
        )
    return text


def parse_image_shape(option: str, text: str) -> tuple[int, ...]:
    """Return (height, width) or (height, width, channels) from HxW or HxWxC."""
    if not re.fullmatch(f"{WHOLE}x{WHOLE}(x[134])?", text):
        raise UserError(
            f"{option} {shown(text)}: write HxW or HxWxC with 1, 3 or 4 channels, as in 28x28"
        )
    return tuple(map(int, text.split("x")))


def parse_sides(option: str, text: str, *, square: bool) -> tuple[int, int]:
    """Return (height, width) from HxW, or also from N if squares are allowed."""
    form, example = ("N or HxW", "32 or 32x48") if square else ("HxW", "32x32")
    if not re.fullmatch(f"{WHOLE}(x{WHOLE}){'?' if square else ''}", text):
        raise UserError(f"{option} {shown(text)}: write {form}, as in {example}")
    numbers = [int(side) for side in text.split("x")]
    if max(numbers) > MOST_PIXELS:
        raise UserError(f"{option} {text}: pictures have sides of at most {MOST_PIXELS} pixels")
    return numbers[0], numbers[-1]


def parse_device(option: str, text: str) -> str:
    """Return the name of a device if it reads like one of torch's that models can run on."""
    if not re.fullmatch(r"(cpu|cuda|mps|xpu)(:[0-9]{1,3})?", text):
        raise UserError(f"{option} {shown(text)}: is not one of cpu, cuda, cuda:1 ..., mps, xpu")
    return text


def parse_features(option: str, text: str) -> str:
    """Return "inception", "lite0", "lite1", "none", or the file of a network's weights."""
    if text not in (INCEPTION, *LITES, NONE):
        if Path(text).suffix not in (".pth", ".pt"):
            raise UserError(
                f"{option} {shown(text)}: is not {INCEPTION}, {NONE}, {', '.join(LITES)} or a .pth "
                "file"
            )
        parse_weights_file(option, text)
    return text


def parse_weights_file(option: str, text: str) -> Path:
    """Return the file of the weights of a network if it is no directory, pipe or device."""
    path = Path(text)
    kind = "a directory" if path.is_dir() else special(path)
    if kind is not None:
        raise UserError(f"{path}: is {kind}; name a .pth file")
    return path
