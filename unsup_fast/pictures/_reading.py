"""Reading of pictures in batches from a folder, a zip, an `.npz`, an `.npy` or an array."""

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from unsup_fast._parallel import ahead
from unsup_fast._paths import special
from unsup_fast._text import printable, valid
from unsup_fast._types import Array, ArrayLike, Numbers, is_tensor
from unsup_fast.blocks import DataError
from unsup_fast.blocks.mapped import refuse_shrunk
from unsup_fast.blocks.npy import archive_array, load
from unsup_fast.pictures._files import (
    UNREADABLE,
    Files,
    damage,
    of_folder,
    of_zip,
    picture_of,
    reason,
    tell_skipped,
)

Batch = Any  # an array [n, H, W, 3], or a list of arrays [H, W, 3] of several sizes

BATCH = 32


class Images:
    """Pictures that can be read in batches, any number of times.

    Attributes
    ----------
    name : str
        What errors call them.
    n_images : int
        Number of pictures, with those that may turn out to be unreadable.
    skipped : list of str
        Files that the last reading left out, each with the reason.
    """

    def __init__(
        self,
        name: str,
        n_images: int,
        read: Callable[["Images", int], Any],
        unopened: Sequence[str] = (),
    ) -> None:
        self.name, self.n_images = name, n_images + len(unopened)
        self.skipped: list[str] = list(unopened)
        self._read, self._unopened = read, tuple(unopened)

    def __repr__(self) -> str:
        return f"<Images: {self.n_images:,} from {printable(self.name)}>"

    def __len__(self) -> int:
        return self.n_images

    def batches(self, size: int = BATCH) -> Generator[tuple[int, Batch], None, None]:
        """Yield the number of pictures read so far, those left out included, and a batch, in order.

        A batch is an array [n, H, W, 3] of bytes, or of an array's own type; where sizes differ it
        is a list of arrays. A thread decodes the next batch meanwhile.

        Raises
        ------
        DataError
            If no picture can be read.

        Warns
        -----
        UserWarning
            At the end, if files were left out.
        """
        self.skipped = list(self._unopened)
        done = len(self._unopened)
        with closing(ahead(self._read(self, size))) as stream:
            for batch in stream:
                done = min(done + size, self.n_images)
                if len(batch):
                    yield done, batch
        unread = self.skipped[len(self._unopened) :]
        tell_skipped(self.name, self.n_images - len(self._unopened), unread, stacklevel=2)


def images(
    data: str | os.PathLike[str] | ArrayLike,
    *,
    key: str | None = None,
    size: tuple[int, int] | None = None,
) -> Images:
    """Open pictures.

    Parameters
    ----------
    data : path, array or tensor
        A folder (with its subfolders, in the order of names), a `.zip`, an `.npz`, an `.npy`
        (mapped, not read as a whole), or an array of shape (N, H, W, C), (N, C, H, W) or
        (N, H, W).
    key : str, optional
        Name of the array in an `.npz`; None takes the only one that has the shape of pictures.
    size : (int, int), optional
        Height and width that pictures of files are resized to (bicubic, smoothed, in bytes).

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
        return _of_array(data, "X") if is_tensor(data) else _of_array(np.asarray(data), "X")
    path = Path(data)
    if not path.exists():
        raise DataError(f"{path}: no such file or directory")
    if special_kind := special(path):
        raise DataError(f"{path}: is {special_kind}; name a regular file or a folder")
    if path.is_dir():
        return _of_files(of_folder(path), size)
    kind = path.suffix.lower()
    if kind == ".zip":
        return _of_files(of_zip(path), size)
    if kind == ".npz":
        return _of_array(archive_array(path, key, least=3), str(path))
    if kind == ".npy":
        return _of_array(load(path), str(path))
    raise DataError(f"{path}: is not a folder, .zip, .npz or .npy")


def _of_array(X: Numbers, name: str) -> Images:
    if X.ndim not in (3, 4) or 0 in X.shape:
        raise DataError(
            f"{name}: has shape {tuple(X.shape)}; pictures are [N, H, W, C], [N, C, H, W] or "
            "[N, H, W]"
        )

    def read(_: Images, size: int) -> Generator[Any, None, None]:
        for start in range(0, len(X), size):
            part = X[start : start + size]
            if isinstance(X, np.memmap):
                part = np.array(part)
                refuse_shrunk(X)
            yield part

    return Images(name, len(X), read)


def _of_files(files: Files, size: tuple[int, int] | None) -> Images:
    def read(source: Images, batch: int) -> Generator[Any, None, None]:
        archive = files.opened()
        try:
            for start in range(0, len(files.names), batch):
                pictures = []
                for name in files.names[start : start + batch]:
                    try:
                        pictures.append(decoded(files.content(archive, name), size))
                    except UNREADABLE as error:
                        source.skipped.append(f"{valid(name)} ({reason(error)})")
                alike = len({picture.shape for picture in pictures}) == 1
                yield np.stack(pictures) if alike else pictures
        finally:
            if archive is not None:
                archive.close()

    return Images(files.name, len(files.names), read, files.skipped)


def decoded(content: bytes, size: tuple[int, int] | None = None) -> Array:
    """Return the picture of a file as bytes [H, W, 3].

    Transparency and the orientation in EXIF are ignored, as by other tools; an animation gives its
    first picture; grey is repeated; 16 bits become 8 by dividing by 257.

    Raises
    ------
    OSError, ValueError, SyntaxError
        If it is not a picture, or is incomplete.
    """
    from PIL import Image

    picture = picture_of(content)
    with damage():
        picture.info.pop("transparency", None)  # Pillow warns of some that it leaves out
        picture = picture.convert("RGB")
        if size is not None and picture.size != size[::-1]:
            picture = picture.resize(size[::-1], Image.Resampling.BICUBIC)
        return np.asarray(picture)
