"""Decoding of many pictures into one array of bytes, in threads: cropped, resized, in order."""

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from unsup_fast._parallel import in_order
from unsup_fast._text import times, valid
from unsup_fast.blocks import DataError
from unsup_fast.pictures._files import UNREADABLE, damage, picture_of, reason, tell_skipped
from unsup_fast.pictures._pixels import Bytes

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

Size = tuple[int, int]
Named = tuple[str, Any]  # a picture's name in errors, and its encoded content

CHUNK = 16  # pictures that a thread takes at once
ORIENTATION = 0x0112  # of EXIF
REDUCING = 3.0  # pixels are first averaged down to this many times the size


def gather(
    name: str,
    n_files: int,
    chunks: Iterable[list[Named]],
    decode: Callable[[Any], Bytes],
    progress: Callable[[int, int], Any] | None,
) -> tuple[Bytes, npt.NDArray[np.int64], list[str]]:
    """Decode pictures into one array, and leave out what cannot be read.

    Parameters
    ----------
    name : str
        What errors call them all.
    n_files : int
        Number of pictures, with those that cannot be read.
    chunks : iterable of lists
        Pictures that a thread takes together.
    decode : callable
        Returns a picture [C, H, W].
    progress : callable or None
        Called with the number of pictures done, and `n_files`.

    Returns
    -------
    pixels : ndarray of shape (N, C, H, W)
    indices : ndarray of shape (N,)
        Their indices among all pictures.
    skipped : list of str
        The names of the others, each with the reason.

    Raises
    ------
    DataError
        If none can be read, or two differ in size.
    """
    pixels = np.empty(0, np.uint8)
    indices: list[int] = []
    skipped: list[str] = []
    done = 0
    with closing(in_order(partial(_each, decode), chunks, None, "pictures")) as parts:
        for part in parts:
            for index, (file, result) in enumerate(part, start=done):
                if isinstance(result, str):
                    skipped.append(f"{valid(file)} ({result})")
                    continue
                if not indices:
                    pixels = np.empty((n_files, *result.shape), np.uint8)
                elif result.shape != pixels.shape[1:]:
                    raise DataError(
                        f"{name}: {file} has {times(result.shape[1:])} pixels, those before it "
                        f"{times(pixels.shape[2:])}; pass size, to which each is cropped and "
                        "resized"
                    )
                pixels[len(indices)] = result
                indices.append(index)
            done += len(part)
            if progress is not None:
                progress(done, n_files)
    tell_skipped(name, n_files, skipped, stacklevel=4)
    return pixels[: len(indices)], np.array(indices, np.int64), skipped


def _each(decode: Callable[[Any], Bytes], chunk: list[Named]) -> list[tuple[str, Bytes | str]]:
    """Return the names of a chunk with the pictures, or the reasons why they cannot be read."""
    results: list[tuple[str, Bytes | str]] = []
    for name, item in chunk:
        try:
            results.append((name, decode(item)))
        except UNREADABLE as error:
            results.append((name, reason(error)))
    return results


def decoded(content: bytes, size: Size | None, channels: int) -> Bytes:
    """Return the picture of a file as bytes [C, H, W].

    It is rotated as its EXIF says, and composited on white where it is transparent.

    Raises
    ------
    OSError, ValueError, SyntaxError
        If it is not a picture, or is incomplete.
    """
    picture = picture_of(content, None if size is None else 2 * max(size))
    with damage():
        picture.load()
        if "exif" in picture.info:
            picture = _upright(picture)
        if "A" in picture.getbands() or "transparency" in picture.info:
            picture = _on_white(picture)
        picture = picture.convert("L" if channels == 1 else "RGB")
        return _as_planes(picture if size is None else fitted(picture, size))


def _as_planes(picture: "PillowImage") -> Bytes:
    return np.ascontiguousarray(np.moveaxis(np.atleast_3d(np.asarray(picture)), 2, 0))  # [C, H, W]


def resized(pixels: Bytes, size: Size) -> Bytes:
    """Return pictures [n, C, H, W] as [n, C, *size], cropped like those of files."""
    if pixels.shape[2:] == size:
        return pixels
    from PIL import Image

    grey = pixels.shape[1] == 1
    result = np.empty((*pixels.shape[:2], *size), np.uint8)
    for picture, out in zip(np.moveaxis(pixels, 1, 3), result, strict=True):  # [H, W, C]
        whole = np.ascontiguousarray(picture[..., 0] if grey else picture)
        out[...] = _as_planes(fitted(Image.fromarray(whole), size))
    return result


def _upright(picture: "PillowImage") -> "PillowImage":
    from PIL import Image

    to = Image.Transpose
    transposes = {
        2: to.FLIP_LEFT_RIGHT,
        3: to.ROTATE_180,
        4: to.FLIP_TOP_BOTTOM,
        5: to.TRANSPOSE,
        6: to.ROTATE_270,
        7: to.TRANSVERSE,
        8: to.ROTATE_90,
    }
    method = transposes.get(picture.getexif().get(ORIENTATION, 1))
    return picture if method is None else picture.transpose(method)


def _on_white(picture: "PillowImage") -> "PillowImage":
    from PIL import Image

    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def fitted(picture: "PillowImage", size: Size) -> "PillowImage":
    """Return a Pillow picture cropped at its centre to the shape of `size`, and resized to it."""
    from PIL import Image

    height, width = size
    share = min(picture.width / width, picture.height / height)
    across = max(1, round(width * share))
    down = max(1, round(height * share))
    left, top = (picture.width - across) // 2, (picture.height - down) // 2
    return picture.resize(
        (width, height),
        Image.Resampling.BICUBIC,
        box=(left, top, left + across, top + down),
        reducing_gap=REDUCING,
    )
