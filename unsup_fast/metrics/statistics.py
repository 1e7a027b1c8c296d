"""Mean and covariance of features in the files that pytorch-fid and its kin exchange."""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from unsup_fast._types import Array, ArrayLike, on_host
from unsup_fast.blocks.npy import archive_array, archive_headers
from unsup_fast.storage import atomic

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = "features"  # the array with the name of the features


class Statistics(NamedTuple):
    """Mean and covariance of the features of a set of images."""

    mu: Array
    """Mean [D], float64"""
    sigma: Array
    """Covariance [D, D], float64, divided by N - 1"""

    def __repr__(self) -> str:
        return f"<Statistics of {len(self.mu):,} columns>"


def save_statistics(
    path: str | os.PathLike[str],
    mu: ArrayLike,
    sigma: ArrayLike,
    *,
    features: str | None = None,
) -> None:
    """Write statistics as pytorch-fid does: a ``.npz`` file with the arrays `mu` and `sigma`.

    The file is written atomically and replaces one of that name.

    Parameters
    ----------
    path : path-like
        Ending in ``.npz``.
    mu, sigma : array-like or tensor of shape (D,) and (D, D)
    features : str, optional
        Name of the features, a third array of the file, which other tools ignore. The command line
        writes it and compares no statistics of features whose names differ.

    Raises
    ------
    ValueError
        If the arrays or the path are not of this form.
    OSError
        If the file cannot be written.
    """
    path = os.fspath(path)
    if not path.endswith(".npz"):
        raise ValueError(f"path='{path}' must end in .npz, by which others know such a file")
    statistics = checked(mu, sigma)
    content = io.BytesIO()
    mu, sigma = statistics
    if features is None:
        np.savez_compressed(content, mu=mu, sigma=sigma)
    else:
        np.savez_compressed(content, mu=mu, sigma=sigma, features=np.array(features))
    atomic.write_bytes(path, content.getvalue(), "the statistics")


def load_statistics(path: str | os.PathLike[str]) -> Statistics:
    """Read a file of `save_statistics`, pytorch-fid or clean-fid; nothing is unpickled.

    Raises
    ------
    ValueError
        If the file holds no such arrays, or cannot be read.
    FileNotFoundError
        If there is no such file.
    """
    name = os.fspath(path)
    try:
        mu, sigma = (archive_array(Path(path), key) for key in Statistics._fields)
        return checked(mu, sigma)
    except (ValueError, TypeError) as error:
        reason = str(error).removeprefix(f"{name}: ")
        raise ValueError(f"cannot read statistics from '{name}': {reason}") from None


def statistics_features(path: str | os.PathLike[str]) -> str | None:
    """Return the name of the features that a file of `save_statistics` is of, if it has one.

    Raises
    ------
    DataError
        If it is no ``.npz`` file.
    FileNotFoundError
        If there is no such file.
    """
    if FEATURES not in archive_headers(Path(path)):
        return None
    return str(archive_array(Path(path), FEATURES))


def checked(
    mu: ArrayLike, sigma: ArrayLike, names: tuple[str, str] = ("mu", "sigma")
) -> Statistics:
    """Return a mean [D] and a covariance [D, D] as float64 arrays, or raise."""
    mean, covariance = (on_host(value) for value in (mu, sigma))
    check_shapes(mean, covariance, names)
    statistics = Statistics(mean.astype(np.float64), covariance.astype(np.float64))
    for name, value in zip(names, statistics, strict=True):
        if not np.isfinite(value).all():
            raise ValueError(f"{name} holds NaN or infinity; it must be finite")
    return statistics


def check_shapes(
    mean: "Array | Tensor", covariance: "Array | Tensor", names: tuple[str, str]
) -> None:
    """Raise unless these are a mean and a covariance of real numbers."""
    for name, value in zip(names, (mean, covariance), strict=True):
        kind = getattr(value.dtype, "name", str(value.dtype)).rpartition(".")[2]
        if kind.rstrip("0123456789") not in ("float", "bfloat", "int", "uint"):
            raise TypeError(f"{name} holds {value.dtype}; pass real numbers")
    if mean.ndim != 1 or len(mean) == 0 or tuple(covariance.shape) != (len(mean), len(mean)):
        raise ValueError(
            f"{names[0]} and {names[1]} have shapes {tuple(mean.shape)} and "
            f"{tuple(covariance.shape)}; pass a mean (D,) and a covariance (D, D)"
        )
