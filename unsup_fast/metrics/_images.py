"""Pictures of a folder, a zip, an `.npz`, an `.npy` or an array, in batches, one decoded ahead."""

import io
import os
import warnings
import zipfile
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast import _arrays, _extras
from unsup_fast.blocks import DataError
from unsup_fast.blocks._ahead import ahead
from unsup_fast.blocks._npy import UNZIPPED, archive_array, load

Array = npt.NDArray[Any]
Batch = Any  # an array [n, H, W, 3], or a list of arrays [H, W, 3] of several sizes

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # others may run programs
BATCH = 32
NAMED = 3  # files that a warning lists


class Images:
    """Pictures that can be read in batches, as often as wanted.

    Attributes
    ----------
    name : str
        What errors call them.
    n_images : int
        How many there are, with those that may turn out to be unreadable.
    skipped : list of str
        Files that the last reading left out, each with the reason.
    """

    def __init__(self, name: str, n_images: int, read: Callable[["Images", int], Any]) -> None:
        self.name, self.n_images = name, n_images
        self.skipped: list[str] = []
        self._read = read

    def __len__(self) -> int:
        return self.n_images

    def batches(self, size: int = BATCH) -> Generator[tuple[int, Batch], None, None]:
        """Yield pictures in order, and how many have been read by then, those left out included.

        A batch is an array [n, H, W, 3] of bytes, or of what an array holds; where sizes differ it
        is a list of arrays. The next batch is decoded in a thread meanwhile.

        Raises
        ------
        DataError
            If none can be read.

        Warns
        -----
        UserWarning
            At the end, if files were left out.
        """
        self.skipped = []
        done = kept = 0
        with closing(ahead(self._read(self, size))) as found:
            for batch in found:
                done = min(done + size, self.n_images)
                kept += len(batch)
                if len(batch):
                    yield done, batch
        listed = "; ".join(self.skipped[:NAMED]) + ("; ..." if len(self.skipped) > NAMED else "")
        if not kept:
            raise DataError(f"{self.name}: no picture could be read ({listed or 'it is empty'})")
        if self.skipped:
            warnings.warn(
                f"{self.name}: {len(self.skipped)} of {self.n_images} files could not be read and "
                f"were left out: {listed}",
                stacklevel=2,
            )


def images(data: Any, *, key: str | None = None, size: tuple[int, int] | None = None) -> Images:
    """Open pictures.

    Parameters
    ----------
    data : path, array or tensor
        A folder (with its subfolders, in the order of names), a `.zip`, an `.npz`, an `.npy`
        (mapped, not read as a whole), or an array of shape (N, H, W, C), (N, C, H, W) or
        (N, H, W).
    key : str, optional
        Which array of an `.npz`; without it, the only one that has the shape of pictures.
    size : (int, int), optional
        Height and width that pictures of files are brought to (bicubic, smoothed, in bytes).

    Returns
    -------
    Images

    Raises
    ------
    DataError
        If there are no pictures.
    ImportError
        If pictures are to be decoded without Pillow.
    """
    if not isinstance(data, str | os.PathLike):
        return _of_array(data if _arrays.is_tensor(data) else np.asarray(data), "X")
    path = Path(data)
    if not path.exists():
        raise DataError(f"{path}: no such file or directory")
    if path.is_dir():
        names = sorted(
            name
            for file in path.rglob("*")
            if _is_picture(name := str(file.relative_to(path)))
            and not (file.is_dir() or file.is_fifo())
        )
        return _of_files(
            path, names, lambda: None, lambda _, name: (path / name).read_bytes(), size
        )
    kind = path.suffix.lower()
    if kind == ".zip":
        return _of_zip(path, size)
    if kind == ".npz":
        return _of_array(archive_array(path, key, least=3), str(path))
    if kind == ".npy":
        return _of_array(load(path), str(path))
    raise DataError(f"{path}: is not a folder, .zip, .npz or .npy")


def _of_array(X: Any, name: str) -> Images:
    if X.ndim not in (3, 4) or 0 in X.shape:
        raise DataError(
            f"{name}: has shape {tuple(X.shape)}; pictures are [N, H, W, C], [N, C, H, W] or "
            "[N, H, W]"
        )

    def read(_: Images, size: int) -> Generator[Any, None, None]:
        for start in range(0, len(X), size):
            part = X[start : start + size]
            yield np.array(part) if isinstance(part, np.memmap) else part

    return Images(name, len(X), read)


def _of_zip(path: Path, size: tuple[int, int] | None) -> Images:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(
                entry.filename
                for entry in archive.infolist()
                if not entry.is_dir() and _is_picture(entry.filename)
            )
    except zipfile.BadZipFile as error:
        raise DataError(f"{path}: is not a zip archive, or is truncated") from error
    return _of_files(
        path, names, lambda: zipfile.ZipFile(path), lambda archive, name: archive.read(name), size
    )


def _of_files(
    path: Path,
    names: list[str],
    opened: Callable[[], Any],
    content: Callable[[Any, str], bytes],
    size: tuple[int, int] | None,
) -> Images:
    if not names:
        listed = ", ".join(SUFFIXES)
        raise DataError(f"{path}: holds no pictures ({listed}), in no subfolder either")
    _extras.check("PIL", "plot", "reading pictures")

    def read(source: Images, batch: int) -> Generator[Any, None, None]:
        archive = opened()
        try:
            for start in range(0, len(names), batch):
                found = []
                for name in names[start : start + batch]:
                    try:
                        found.append(decoded(content(archive, name), size))
                    except (*UNZIPPED, ValueError, SyntaxError) as error:
                        source.skipped.append(f"{name} ({' '.join(str(error).split())})")
                alike = len({picture.shape for picture in found}) == 1
                yield np.stack(found) if alike else found
        finally:
            if archive is not None:
                archive.close()

    return Images(str(path), len(names), read)


def decoded(content: bytes, size: tuple[int, int] | None = None) -> Array:
    """Return the picture of a file as bytes [H, W, 3].

    Transparency and the orientation in EXIF are left out, as by other tools; of an animation the
    first picture is taken; grey is repeated; 16 bits become 8 by dividing by 257.

    Raises
    ------
    OSError, ValueError, SyntaxError
        If it is no picture, or not whole.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            picture: Any = opened
            opened.info.pop("transparency", None)  # Pillow warns of some that it leaves out
            if opened.mode.startswith("I;16"):
                grey = np.asarray(opened, dtype=np.float64) / 257
                picture = Image.fromarray(np.rint(grey).astype(np.uint8))
            elif opened.mode in ("I", "F"):
                raise ValueError(f"pictures of mode {opened.mode} are not read")
            picture = picture.convert("RGB")
    except UnidentifiedImageError:
        raise ValueError("is no picture") from None
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    if size is not None and picture.size != size[::-1]:
        picture = picture.resize(size[::-1], Image.Resampling.BICUBIC)
    return np.asarray(picture)


def _is_picture(name: str) -> bool:
    parts = Path(name).parts
    return name.lower().endswith(SUFFIXES) and not any(part.startswith(".") for part in parts)
