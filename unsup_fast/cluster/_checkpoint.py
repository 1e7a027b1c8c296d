"""Checkpoints of a fit, from which a later one goes on to the same bits.

They hold centroids, not labels: those of the iteration before are computed anew in one pass.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from unsup_fast._rows.protocol import Rows
from unsup_fast._urls import File, file_of
from unsup_fast.kernels._types import Array
from unsup_fast.storage import targets, tensors
from unsup_fast.storage.records import DamagedError

KIND = "checkpoint of k-means"
EVERY = 1.0  # seconds between two that are written, at least, and
SHARE = 20  # so many times as long as writing one takes


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A finished iteration, and what came before it."""

    centers: Array
    """[K, D], type of X: the centroids after it, as the rows are scaled."""
    original: Array
    """[K, D]: the same in the units of X."""
    before: Array
    """[K, D]: the centroids that it started from."""
    inertias: list[float]
    """Inertia of the centroids at the start of each iteration."""
    changes: list[int]
    """Labels changed in each iteration."""
    settled: bool
    """Whether the centroids did not move in it."""
    reason: str
    """Why the run ended after it; empty if it did not."""


class Checkpoint:
    """A file that holds the last iteration of a fit.

    Parameters
    ----------
    target : str, Path or Url
        A path, or a URL where fsspec is installed.
    facts : mapping
        What must be the same for a fit to go on: numbers and words of data and parameters.
    """

    def __init__(self, target: "str | Path", facts: Mapping[str, Any]) -> None:
        self._target: File = file_of(target)
        self._facts = dict(facts)
        self._written, self._interval = -np.inf, EVERY

    def load(self) -> Progress | None:
        """Return the iteration that was saved, or None if there is no file.

        Raises
        ------
        ValueError
            If the file is of other data or parameters, or is no checkpoint.
        """
        if not self._target.exists():
            return None
        try:
            arrays, note = _unpacked(targets.read_bytes(self._target))
        except DamagedError as error:
            raise ValueError(f"{self._target}: {error.why}; remove it to begin anew") from None
        for name, value in self._facts.items():
            if note["facts"].get(name) != value:
                raise ValueError(
                    f"{self._target}: was saved with {name}={note['facts'].get(name)!r}, and this "
                    f"fit has {value!r}; pass what it had, or remove the file to begin anew"
                )
        return Progress(
            centers=arrays["centers"],
            original=arrays["original"],
            before=arrays["before"],
            inertias=arrays["inertias"].tolist(),
            changes=arrays["changes"].tolist(),
            settled=note["settled"],
            reason=note["reason"],
        )

    def save(self, progress: Progress) -> None:
        """Write an iteration, unless the last one was written a moment ago and this ends nothing.

        Raises
        ------
        OSError
            If the file cannot be written; the one before it stays.
        """
        start = perf_counter()
        if not progress.reason and start - self._written < self._interval:
            return
        arrays = {
            "centers": progress.centers,
            "original": progress.original,
            "before": progress.before,
            "inertias": np.array(progress.inertias),
            "changes": np.array(progress.changes, dtype=np.int64),
        }
        note = {"facts": self._facts, "settled": progress.settled, "reason": progress.reason}
        targets.write_bytes(self._target, _packed(arrays, note), "the checkpoint")
        self._written = perf_counter()
        self._interval = max(EVERY, SHARE * (self._written - start))


def facts_of(rows: Rows, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a fit from one on other rows or with other parameters.

    Parameters
    ----------
    rows : Rows
        Whose moments are known: a changed value changes them.
    parameters : mapping
        Numbers, words, arrays and None.
    """
    moments = rows.moments
    assert moments is not None  # CSR is refused
    columns = np.concatenate([moments.mean, moments.variance, moments.minimum, moments.maximum])
    facts = {name: _fact(value) for name, value in parameters.items()}
    rows_checksum = zlib.crc32(np.ascontiguousarray(columns).tobytes())
    return {**facts, "shape": list(rows.shape), "dtype": str(rows.dtype), "rows": rows_checksum}


def _fact(value: Any) -> Any:
    """Return a number, a word or None unchanged, the checksum of an array, or a type's name."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray):
        return zlib.crc32(np.ascontiguousarray(value).tobytes())
    return type(value).__qualname__


def _packed(arrays: Mapping[str, Array], note: Mapping[str, Any]) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        tensors.write(path, arrays, note, kind=KIND, what="the checkpoint")
        return path.read_bytes()


def _unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "checkpoint"
        path.write_bytes(content)
        return tensors.read(path, kind=KIND)
