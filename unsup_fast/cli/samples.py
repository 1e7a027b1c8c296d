"""The samples that are scored: pictures, features or statistics, read with progress."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from unsup_fast import _extras, metrics
from unsup_fast._types import Array
from unsup_fast.blocks import DataError
from unsup_fast.blocks.npy import archive_array, load
from unsup_fast.cli.errors import UserError
from unsup_fast.cli.features import FeatureSettings
from unsup_fast.cli.progress import Silent
from unsup_fast.cli.torch_ import device_of
from unsup_fast.cli.values import INCEPTION, LITES, NONE
from unsup_fast.metrics import Images
from unsup_fast.metrics.statistics import statistics_features

if TYPE_CHECKING:
    from torch import Tensor

Batch = Array | list[Array]  # pictures of one size, or of several
Features: TypeAlias = "Array | Tensor"
FeatureFunction = Callable[[Batch], Features]

ROWS = 1 << 16  # of features that are handed over at once


@dataclass(frozen=True)
class Samples:
    """One side of a comparison."""

    path: Path
    kind: str
    """images, features or statistics"""
    data: Images | Array | metrics.Statistics
    n: int | None
    """Number of samples; None for statistics."""
    skipped: list[str] = field(default_factory=list)
    features: str | None = None
    """What statistics are of, if their file says so."""

    def about(self) -> dict[str, Any]:
        """Return what the results say of it."""
        used = None if self.n is None else self.n - len(self.skipped)
        return {"path": str(self.path), "kind": self.kind, "n": used, "skipped": self.skipped}


def open_samples(path: Path, key: str | None, size: tuple[int, int] | None) -> Samples:
    """Open a path by what it holds.

    Raises
    ------
    DataError, UserError
        If it is nothing that a score can be computed from.
    """
    if key is not None and path.suffix.lower() != ".npz":
        key = None  # it is for the other side
    if path.suffix.lower() in (".npy", ".npz") and path.is_file():
        if path.suffix.lower() == ".npz" and key is None and {"mu", "sigma"} <= _names(path):
            with named(path):
                statistics = metrics.load_statistics(path)
                name = statistics_features(path)
                return Samples(path, "statistics", statistics, None, features=name)
        array = load(path) if path.suffix.lower() == ".npy" else archive_array(path, key)
        if array.ndim == 2:
            return Samples(path, "features", array, len(array))
    images = metrics.images(path, key=key, size=size)
    return Samples(path, "images", images, images.n_images, images.skipped)


def _names(path: Path) -> set[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: is not an .npz archive, or is truncated") from error


def extractor(options: FeatureSettings, output: str) -> tuple[FeatureFunction, dict[str, Any]]:
    """Return the function that pictures go through, and what the results say of it.

    Raises
    ------
    UserError, ImportError
        If it needs what is not there.
    """
    if options.features == NONE:
        return pixels, {"name": NONE}
    if options.features in LITES:
        return _lite(options)
    _extras.check("torch", "torch", "the Inception network")
    import torch

    own = options.features != INCEPTION
    with named():
        device = device_of(options.device)
        network = metrics.Inception(
            options.features if own else options.weights,
            output=output,
            resize=options.resize,
            device=device,
            dtype=getattr(torch, options.precision),
            batch_size=options.batch_size,
            download=options.download,
            **({"sha256": None} if own else {}),
        )
    return network, {
        "name": INCEPTION,
        "output": output,
        "weights": str(network.path),
        "sha256": network.sha256,
        "resize": options.resize,
        "precision": options.precision,
        "device": str(device),
    }


def _lite(options: FeatureSettings) -> tuple[FeatureFunction, dict[str, Any]]:
    """Return what `extractor` does for EfficientNet-lite0 and lite1."""
    _extras.check("torch", "torch", f"the EfficientNet-{options.features} network")
    import torch

    from unsup_fast.metrics.lite import EXTRACTORS, SIDE

    with named():
        device = device_of(options.device)
        network = EXTRACTORS[options.features](
            side=SIDE if options.side is None else options.side,
            device=device,
            dtype=getattr(torch, options.precision),
            batch_size=options.batch_size,
        )
    return network, {
        "name": options.features,
        "output": network.output,
        "sha256": network.sha256,
        "side": network.side,
        "precision": options.precision,
        "device": str(device),
    }


def features_name(about: dict[str, Any] | None) -> str | None:
    """Return the name of features as `extractor` describes them, for files of statistics."""
    if about is None:
        return None
    words = [about["name"]]
    words += [f"{key} {about[key]}" for key in ("resize", "side") if key in about]
    if "sha256" in about:
        words.append(about["sha256"][:8])
    return ", ".join(words)


def check_statistics(sides: tuple[Samples, ...], about: dict[str, Any] | None) -> None:
    """Raise UserError if statistics are known to be of other features than the other side."""
    names = {
        side.path: side.features if side.kind == "statistics" else features_name(about)
        for side in sides
        if side.kind != "features"
    }
    known = {path: name for path, name in names.items() if name is not None}
    if len(set(known.values())) > 1:
        listed = " and ".join(f"{path} ({name})" for path, name in known.items())
        raise UserError(
            f"{listed}: have different features; pass --features, --resize and --side as for the "
            "statistics, or compute them anew"
        )


def pixels(batch: Batch) -> Array:
    """Return pictures as rows of numbers in [0, 1]: bytes are divided by 255."""
    if isinstance(batch, list):
        sizes = sorted({"x".join(map(str, picture.shape[:2])) for picture in batch})
        raise UserError(
            f"pictures of {', '.join(sizes[:3])} pixels have no common --features none; pass "
            "--size HxW, or other features"
        )
    batch = np.asarray(batch)
    flat = batch.reshape(len(batch), -1).astype(np.float32)  # [n, H W C]
    return flat / np.float32(255) if batch.dtype == np.uint8 else flat


def rows(
    samples: Samples, function: FeatureFunction, batch_size: int, progress: Silent
) -> Iterator[Features]:
    """Yield the features [n, D] of samples, and show how many are done."""
    progress.begin(f"Reading {samples.path.name or samples.path}")
    source = samples.data
    if isinstance(source, np.ndarray):
        for start in range(0, len(source), ROWS):
            part = np.array(source[start : start + ROWS])
            yield part
            progress.part(start + len(part), len(source), "read")
        return
    assert isinstance(source, Images)
    with closing(source.batches(batch_size)) as batches:
        for done, batch in batches:
            with named(samples.path):
                features = function(batch)
            yield features
            progress.part(done, source.n_images, "seen")
    samples.skipped[:] = source.skipped


@contextmanager
def named(path: Path | None = None) -> Iterator[None]:
    """Turn an error of the library about its arguments into an error of the user."""
    try:
        yield
    except (DataError, UserError):
        raise
    except (ValueError, TypeError, OverflowError) as error:
        where = f"{path}: " if path is not None and str(path) not in str(error) else ""
        raise UserError(f"{where}{error}") from error
