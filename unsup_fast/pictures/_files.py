"""Which files of a folder or a zip are pictures, and what is in one."""

import io
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast import _extras
from unsup_fast.blocks import DataError
from unsup_fast.blocks._npy import UNZIPPED

Array = npt.NDArray[Any]

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # others may run programs
NAMED = 3  # files that a warning lists

# What reading and decoding raise of a file that is no whole picture.
UNREADABLE = (*UNZIPPED, ValueError, SyntaxError, OverflowError)


@dataclass(frozen=True)
class Files:
    """Files that should be pictures, in the order of their names."""

    name: str
    """What errors call them: the path."""
    names: list[str]
    """Paths below it."""
    opened: Callable[[], Any]
    """Returns an archive, to be closed, or None."""
    content: Callable[[Any, str], bytes]
    """Returns the bytes of a file, given what `opened` returned and a name."""


def of_folder(path: Path) -> Files:
    """Return the pictures in a folder and its subfolders, but hidden ones.

    Raises
    ------
    DataError
        If there are none.
    """
    names = listed(path, SUFFIXES)
    return _some(Files(str(path), names, lambda: None, lambda _, name: (path / name).read_bytes()))


def listed(path: Path, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files in a folder and its subfolders, but hidden ones, in order of their paths."""
    return sorted(
        name
        for file in path.rglob("*")
        if _is_one(name := str(file.relative_to(path)), suffixes)
        and not (file.is_dir() or file.is_fifo())
    )


def of_zip(path: Path) -> Files:
    """Return the pictures in a zip archive, but hidden ones.

    Raises
    ------
    DataError
        If there are none, or it is no archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(
                entry.filename
                for entry in archive.infolist()
                if not entry.is_dir() and _is_one(entry.filename, SUFFIXES)
            )
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except UNZIPPED as error:
        raise DataError(f"{path}: is not a zip archive, or is truncated") from error
    return _some(
        Files(
            str(path),
            names,
            lambda: zipfile.ZipFile(path),
            lambda archive, name: bytes(archive.read(name)),
        )
    )


def _some(files: Files) -> Files:
    if not files.names:
        listed = ", ".join(SUFFIXES)
        raise DataError(f"{files.name}: holds no pictures ({listed}), in no subfolder either")
    _extras.check("PIL", "plot", "reading pictures")
    return files


def _is_one(name: str, suffixes: tuple[str, ...]) -> bool:
    parts = Path(name).parts
    return name.lower().endswith(suffixes) and not any(part.startswith(".") for part in parts)


def picture_of(content: bytes, least: int | None = None) -> Any:
    """Return the picture of a file as one of Pillow's, read from the disk but not decoded.

    Of an animation it is the first picture; 16 bits become 8 by dividing by 257. A JPEG may come at
    half, a quarter or an eighth of its size, with both sides `least` or longer.

    Raises
    ------
    OSError, ValueError, SyntaxError
        If it is no picture, or not whole.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        picture: Any = Image.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError:
        raise ValueError("is no picture") from None
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    if least is not None:
        picture.draft(None, (least, least))
    if picture.mode.startswith("I;16"):
        grey = np.asarray(picture, dtype=np.float64) / 257
        return Image.fromarray(np.rint(grey).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError(f"pictures of mode {picture.mode} are not read")
    return picture


def reason(error: Exception) -> str:
    """Return an error's words in one line."""
    return " ".join(str(error).split())


def tell_skipped(name: str, n_files: int, skipped: Sequence[str], stacklevel: int) -> None:
    """Warn of files that were left out, if any were; raise DataError if all were."""
    listed = "; ".join(skipped[:NAMED]) + ("; ..." if len(skipped) > NAMED else "")
    if len(skipped) == n_files:
        raise DataError(f"{name}: no picture could be read ({listed or 'it is empty'})")
    if skipped:
        warnings.warn(
            f"{name}: {len(skipped)} of {n_files} files could not be read and were left out: "
            f"{listed}",
            stacklevel=stacklevel + 1,
        )
