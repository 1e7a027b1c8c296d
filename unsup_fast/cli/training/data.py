"""The pictures that a command reads."""

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast import pictures
from unsup_fast._cached import cached_property
from unsup_fast._text import valid
from unsup_fast.cli import terminal
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.training.options import PictureSettings
from unsup_fast.pictures import Latents, Pictures
from unsup_fast.report.numbers import counted

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Data:
    """Pictures or latents, and the classes that a model can be conditioned on."""

    content: Pictures | Latents

    @property
    def pixels(self) -> Array:
        """Bytes of pictures, or floats of latents, [N, C, H, W]."""
        content = self.content
        pixels: Array = content.values if isinstance(content, Latents) else content.pixels
        return pixels

    @property
    def are_latents(self) -> bool:
        """Whether these are latents of pictures."""
        return isinstance(self.content, Latents)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, as text that is UTF-8; none if all pictures are of one."""
        names = tuple(map(valid, self.content.classes))
        return names if len(names) > 1 else ()

    @property
    def labels(self) -> Array | None:
        """Class of each picture, [N]; None without classes."""
        return self.content.labels if self.classes else None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of a picture."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    @cached_property
    def digest(self) -> str:
        """SHA-256 of pixels and labels."""
        hashed = hashlib.sha256(np.ascontiguousarray(self.pixels).data)
        if self.labels is not None:
            hashed.update(np.ascontiguousarray(self.labels).data)
        return hashed.hexdigest()

    def about(self) -> dict[str, Any]:
        """Return what `summary.json` says of them."""
        return {
            "file": self.content.name,
            "shape": list(self.pixels.shape),
            "classes": list(self.classes),
            "skipped": [] if isinstance(self.content, Latents) else list(self.content.skipped),
            "sha256": self.digest,
            **({"latents": True} if self.are_latents else {}),
        }

    def told(self) -> str:
        """Return a line: how many, of which size, of how many classes."""
        channels, height, width = self.shape
        colour = {1: "grey", 3: "colour"}.get(channels, counted(channels, "channel"))
        classes = f", {counted(len(self.classes), 'class')}" if self.classes else ", no classes"
        classes = classes.replace("classs", "classes")
        if self.are_latents:
            n = counted(len(self.pixels), "sample")
            return f"{n} of latents, {channels} x {height} x {width}{classes}"
        return f"{counted(len(self.pixels), 'picture')} of {height} x {width}, {colour}{classes}"


def read(
    source: Path | str,
    progress: Silent,
    *,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    key: str | None = None,
    labels: str | None = None,
    no_labels: bool = False,
    latents: bool = False,
) -> Data:
    """Read all pictures; what is left out is printed on stderr.

    Parameters
    ----------
    source : Path or str
        A path, or the name of pictures that are built in.
    latents : bool
        Whether to read latents where an `.npz` holds such.

    Raises
    ------
    DataError, UserError
        If there are none that fit the options.
    """
    if labels is not None and no_labels:
        raise UserError("--labels and --no-labels exclude each other; pass one of them")
    progress.begin("Reading the pictures")
    if isinstance(source, str):
        if (size, channels, key, labels) != (None,) * 4:
            raise UserError(f"--data {source}: takes no --size, --channels, --key or --labels")
        digits = pictures.digits()
        return Data(replace(digits, labels=None, classes=()) if no_labels else digits)
    if latents and key in (None, "latents") and pictures.holds_latents(source):
        if (size, channels) != (None, None):
            raise UserError(f"{source}: holds latents, which keep their shape; leave out --size")
        maps = pictures.load_latents(source, label_key=labels, labels=not no_labels)
        for note in maps.notes:
            terminal.note(note)
        return Data(maps)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = pictures.load(
            source,
            size=size,
            channels=channels,
            key=key,
            label_key=labels,
            labels=not no_labels,
            progress=lambda done, total: progress.part(done, total, "read"),
        )
    for warning in caught:
        terminal.warn(warning.message)
    for note in loaded.notes:
        terminal.note(note)
    return Data(loaded)


def read_for(
    settings: PictureSettings, progress: Silent, shape: Sequence[int], *, latents: bool = False
) -> Data:
    """Read the pictures that the options name, brought to the shape (C, H, W) of a model's.

    With `latents` read those of an `.npz` instead, which keep their shape.

    Raises
    ------
    DataError, UserError
        If there are none of this shape.
    """
    channels, height, width = shape
    if settings.data is None:
        dataset = read(settings.source, progress, no_labels=settings.no_labels)
    else:
        dataset = read(
            settings.data,
            progress,
            size=None if latents else (height, width),
            channels=None if latents else channels,
            key=settings.key,
            labels=settings.labels,
            no_labels=settings.no_labels,
            latents=latents,
        )
    if latents and not dataset.are_latents:
        raise UserError(
            f"{dataset.content.name}: holds pictures, and the model makes latents; pass an .npz of "
            "unsup-fast vae encode"
        )
    if dataset.shape != tuple(shape):
        raise UserError(
            f"{dataset.content.name}: holds pictures of shape {dataset.shape}, "
            f"the model makes {tuple(shape)}"
        )
    return dataset


def some(n: int, most: int, seed: int) -> Array:
    """Return `most` of n numbers drawn at random, in order, or all of them if they are fewer."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:most])
