"""Latents of pictures, which an autoencoder wrote: maps of floats of any range."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from unsup_fast._types import Array
from unsup_fast.blocks import DataError
from unsup_fast.blocks.npy import archive_headers
from unsup_fast.pictures._labels import Classes, Labels
from unsup_fast.pictures._stored import of_npz

KEY = "latents"


@dataclass(frozen=True, eq=False)
class Latents:
    """Latents in memory.

    Attributes
    ----------
    values : ndarray of shape (N, Z, h, w), float32
    labels : ndarray of shape (N,), int64, or None
        Indices into `classes`.
    classes : tuple of str
        Empty without labels.
    name : str
        What errors call them.
    notes : list of str
        As those of `Pictures`.
    """

    values: Array
    labels: Labels | None
    classes: Classes
    name: str
    notes: list[str] = field(default_factory=list)


def holds_latents(path: Path) -> bool:
    """Return whether a file is an `.npz` with an array `latents` of four axes.

    Raises
    ------
    DataError
        If it is a damaged `.npz`, or its latents are vectors.
    """
    if path.suffix.lower() != ".npz" or not path.is_file():
        return False
    arrays = archive_headers(path)
    shape, dtype = arrays.get(KEY, ((), np.dtype(bool)))
    if len(shape) == 2 and dtype.kind == "f" and arrays.keys() <= {KEY, "labels", "classes"}:
        raise DataError(
            f"{path}: holds latents that are vectors of {shape[1]} numbers, for kmeans and gmm; a "
            "diffusion model learns maps, as `vae train --network kl` and `vae encode` make them"
        )
    return len(shape) == 4 and dtype.kind == "f"


def load_latents(path: Path, *, label_key: str | None = None, labels: bool = True) -> Latents:
    """Read latents, as `unsup-fast vae encode` writes those of a KL autoencoder.

    Parameters
    ----------
    path : Path
        An `.npz` with `latents` [N, Z, h, w].
    label_key, labels
        As for `load`.

    Raises
    ------
    DataError
        If there are none, or they hold NaN or infinite numbers.
    """
    values, numbers, classes, notes = of_npz(path, KEY, label_key, labels)
    if not len(values) or not np.isfinite(values).all():
        raise DataError(
            f"{path}: holds no latents, or some that are NaN or infinite; encode the pictures again"
        )
    return Latents(values.astype(np.float32, copy=False), numbers, classes, str(path), notes)
