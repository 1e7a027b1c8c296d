"""Loading of pictures from any kind of file, decoded and resized once, as bytes in memory."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from numbers import Integral
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from unsup_fast import _extras
from unsup_fast._paths import special
from unsup_fast._text import printable, valid
from unsup_fast._types import ArrayLike, on_host
from unsup_fast.blocks import DataError
from unsup_fast.blocks.mapped import refuse_shrunk
from unsup_fast.blocks.npy import load as load_npy
from unsup_fast.pictures import _decoding, _kinds, _parquet
from unsup_fast.pictures._decoding import Size, gather
from unsup_fast.pictures._files import Files, of_folder, of_zip
from unsup_fast.pictures._folder import listing
from unsup_fast.pictures._grid import figure
from unsup_fast.pictures._kinds import SUFFIXES
from unsup_fast.pictures._labels import Classes, Labels, coded
from unsup_fast.pictures._parquet import Table
from unsup_fast.pictures._pixels import Bytes
from unsup_fast.pictures._stored import of_array, of_npz

Progress = Callable[[int, int], Any]


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures in memory.

    Attributes
    ----------
    pixels : ndarray of shape (N, C, H, W), uint8
    labels : ndarray of shape (N,), int64, or None
        Indices into `classes`.
    classes : tuple of str
        Empty without labels.
    skipped : list of str
        Files that were left out, each with the reason.
    name : str
        What errors call them.
    notes : list of str
        Decisions about labels that the user may want to know, a sentence each.
    """

    pixels: Bytes
    labels: Labels | None
    classes: Classes
    skipped: list[str]
    name: str
    notes: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        n, channels, height, width = self.pixels.shape
        classes = f", {len(self.classes)} classes" if self.classes else ""
        shape = f"{channels} x {height} x {width}"
        return f"<Pictures: {n:,} of {shape}{classes}, from {printable(self.name)}>"

    def _repr_html_(self) -> str | None:
        """Return the first pictures and what they are, for a notebook; None without Pillow."""
        return figure(self.pixels, repr(self)) if len(self.pixels) and find_spec("PIL") else None


def load(
    data: str | os.PathLike[str] | ArrayLike,
    *,
    size: int | Sequence[int] | None = None,
    channels: int | None = None,
    key: str | None = None,
    label_key: str | None = None,
    labels: bool = True,
    progress: Progress | None = None,
) -> Pictures:
    """Read pictures, and their labels if there are any.

    Parameters
    ----------
    data : path, array or tensor
        A folder (with its subfolders, in the order of names), a `.zip`, an `.npz`, an `.npy`, a
        Parquet file or a folder of them (as Hugging Face's data sets: files in a binary column or
        in structs of bytes and path), or an array of shape (N, H, W, C), (N, C, H, W) or
        (N, H, W) of bytes, or of floats in [0, 1].
    size : int or (int, int), optional
        Height and width. Each picture is cropped at its centre, as large as that shape allows, and
        resized (bicubic, smoothed). Without it all pictures must have one size.
    channels : {1, 3}, optional
        1 turns colour into luma, 3 repeats grey. None is 1 for grey arrays, and 3 for the rest.
    key : str, optional
        Which array of an `.npz` (None: the only one that has the shape of pictures, or `x_train`),
        or column of Parquet (None: `image`, `img`, or the first that holds files).
    label_key : str, optional
        Which array or column holds the labels. None takes the one whose name goes with that of
        the pictures (`y_train` with `x_train`) or that is called `label`, `y`, `class`,
        `category`, `target` or their plural, if it has one integer or text for each; `notes` tells
        of an array or column that does not.
        In folders and zips the labels are the folders' names: without the beginning that all paths
        share, each picture's path must begin with one.
    labels : bool
        False reads the pictures alone.
    progress : callable, optional
        Called with the number of pictures done, and the number of all.

    Returns
    -------
    Pictures
        The pictures: transparent ones are composited on white, photographs rotated as their EXIF
        says.

    Raises
    ------
    DataError
        If there are no pictures, none can be read, or they differ in size and `size` is None.
    ValueError, TypeError
        If `size` or `channels` is not of this form.
    ImportError
        If Pillow or pyarrow is needed and missing, with the install command.

    Warns
    -----
    UserWarning
        If files were left out because they cannot be read.
    """
    size = _size(size)
    if label_key is not None and not labels:
        raise ValueError(f"label_key={label_key!r} needs labels=True")
    if channels not in (None, 1, 3) or channels is True:
        raise ValueError(f"channels={channels!r}; pass 1, 3 or None")
    if not isinstance(data, str | os.PathLike):
        _no_keys("an array", key=key, label_key=label_key)
        pixels = of_array("X", on_host(data), size, channels, progress)
        return Pictures(pixels, None, (), [], "X")
    path = Path(data)
    kind = path.suffix.lower()
    if not path.exists():
        raise DataError(f"{path}: no such file or directory")
    if special_kind := special(path):
        raise DataError(f"{path}: is {special_kind}; name a regular file or a folder")
    if path.is_dir():
        names = listing(path, SUFFIXES).names
        tables = [] if names else listing(path, (".parquet",)).names
        if tables:
            paths = [path / name for name in tables]
            table = _parquet.table(str(path), paths, key, label_key, labels)
            return _of_parquet(table, size, channels, progress)
        _no_keys(f"a folder of pictures ({path})", key=key, label_key=label_key)
        return _of_files(of_folder(path), size, channels, labels, progress)
    if kind == ".parquet":
        table = _parquet.table(str(path), [path], key, label_key, labels)
        return _of_parquet(table, size, channels, progress)
    if kind == ".npz":
        X, numbers, classes, notes = of_npz(path, key, label_key, labels)
        pixels = of_array(str(path), X, size, channels, progress)
        return Pictures(pixels, numbers, classes, [], str(path), notes)
    _no_keys(f"{path}", key=key, label_key=label_key)
    if kind == ".zip":
        return _of_files(of_zip(path), size, channels, labels, progress)
    if kind == ".npy":
        mapped = load_npy(path)
        pixels = of_array(str(path), mapped, size, channels, progress)
        refuse_shrunk(mapped)
        return Pictures(pixels, None, (), [], str(path))
    raise DataError(f"{path}: is not a folder, .zip, .npz, .npy or .parquet")


def digits() -> Pictures:
    """Return scikit-learn's 1,797 handwritten digits of 8 x 8 pixels, 0..16 spread over 0..255."""
    from sklearn.datasets import load_digits

    dataset = load_digits()
    pixels = np.rint(dataset.images[:, None] * (255 / 16)).astype(np.uint8)  # [N, 1, 8, 8]
    labels, classes = coded("digits", dataset.target)
    return Pictures(pixels, labels, classes, [], "digits")


def _size(size: int | Sequence[int] | None) -> Size | None:
    if size is None:
        return None
    pair = tuple(size) if isinstance(size, Sequence) and not isinstance(size, str) else (size,) * 2
    if len(pair) != 2 or not all(isinstance(n, Integral) and not isinstance(n, bool) for n in pair):
        raise TypeError(f"size={size!r} is no size; pass an int, or (height, width)")
    if min(pair) < 1:
        raise ValueError(f"size={size!r} has no pixels; pass numbers >= 1")
    return int(pair[0]), int(pair[1])


def _no_keys(what: str, **keys: str | None) -> None:
    for name, key in keys.items():
        if key is not None:
            raise DataError(f"{name}={key!r} is for .npz and Parquet; pass none with {what}")


def _of_files(
    files: Files,
    size: Size | None,
    channels: int | None,
    labels: bool,
    progress: Progress | None,
) -> Pictures:
    archive = files.opened()

    def decode(name: str) -> Bytes:
        return _decoding.decoded(files.content(archive, name), size, channels or 3)

    names = files.names
    chunks = (
        [(name, name) for name in names[start : start + _decoding.CHUNK]]
        for start in range(0, len(names), _decoding.CHUNK)
    )
    try:
        pixels, rows, skipped = gather(files.name, len(names), chunks, decode, progress)
    finally:
        if archive is not None:
            archive.close()
    skipped = [*files.skipped, *skipped]
    folders = _folders(names) if labels else None
    if folders is None:
        return Pictures(pixels, None, (), skipped, files.name)
    return Pictures(pixels, *coded(files.name, np.array(folders)[rows]), skipped, files.name)


def _folders(names: list[str]) -> list[str] | None:
    """Return the first folder of each path below what all share, None if one lies in none."""
    parents = [PurePosixPath(name).parts[:-1] for name in names]
    for depth, folders in enumerate(zip(*parents, strict=False)):
        if len(set(folders)) > 1:  # all paths agree above
            return [valid(parts[depth]) for parts in parents]
    return None


def _of_parquet(
    table: Table, size: Size | None, channels: int | None, progress: Progress | None
) -> Pictures:
    _extras.check("PIL", "plot", "reading pictures")
    labels, classes, notes = _parquet.labels(table)

    def decode(content: bytes | None) -> Bytes:
        if content is None:
            raise ValueError("has no bytes")
        _kinds.check_size(len(content))
        return _decoding.decoded(content, size, channels or 3)

    chunks = _parquet.chunks(table)
    pixels, rows, skipped = gather(table.name, table.n_rows, chunks, decode, progress)
    labels = None if labels is None else labels[rows]
    return Pictures(pixels, labels, classes, skipped, table.name, notes)
