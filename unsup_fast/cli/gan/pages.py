"""The report of a training: samples are drawn, and their neighbours searched, here."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast import pictures
from unsup_fast._types import Array
from unsup_fast.cli import files, results
from unsup_fast.cli.settings import in_options
from unsup_fast.cli.training import folder
from unsup_fast.cli.training.data import Data, some
from unsup_fast.cli.training.family import Job
from unsup_fast.kernels.nearest import nearest
from unsup_fast.report import training
from unsup_fast.report.gan import Limits, Neighbours, Run, gan

if TYPE_CHECKING:
    from torch import Tensor

    from unsup_fast.models.gan import GAN

SHOWN, COMPARED = 12, 48  # samples
PATHS, STEPS = 6, 10
LIMITS, PSIS = (0.25, 0.5, 1.0), (0.0, 0.35, 0.7)
SHEET_ROWS, SHEET_COLUMNS = 5, 8
BLOCK = 1 << 24  # values of pictures that are compared at once
SEED = 1  # another one than that of the grids


def write_report(job: Job, model: "GAN", summary: Mapping[str, Any]) -> None:
    """Write `report.html`."""
    from unsup_fast.models.gan.alarm import LEAST_SPREAD, MOST_SIGN

    run, name = job.settings.out, Path(job.data.content.name).name
    interpolations, paths = _interpolations(model)
    page = gan(
        Run(
            title=job.settings.title or f"A GAN of {name}",
            data_name=name,
            folder=str(run),
            summary=summary,
            metrics=run / files.METRICS,
            grids=folder.grids(run),
            alarms=[in_options(text, type(job.settings)) for text in alarms(run / files.METRICS)],
            limits=Limits(spread=LEAST_SPREAD, sign=MOST_SIGN),
            scores=run / files.SCORES,
            neighbours=_neighbours(model, job.data),
            interpolations=interpolations,
            paths=paths,
            truncations=_truncations(model),
            mixes=_mixes(model),
            n_generator=sum(weights.numel() for weights in model.network.parameters()),
            grown=model.grown,
        )
    )
    results.write_text(run / files.REPORT, page)


def alarms(metrics: Path) -> list[str]:
    """Return what the alarms say that the rows of a file of metrics raise."""
    from unsup_fast.models.gan import Alarm

    if not metrics.exists():
        return []
    columns, alarm = training.read(metrics), Alarm()
    signals = [
        signal
        for row in zip(*columns.values(), strict=True)
        for values in [dict(zip(columns, map(float, row), strict=True))]
        for signal in alarm.add(int(values[training.STEP]), values)
    ]
    return [signal.message for signal in signals]


def _neighbours(model: "GAN", dataset: Data) -> Neighbours:
    """Return samples and the pictures nearest to them, and how far such neighbours are."""
    samples = _bytes(model.sample(COMPARED, seed=SEED))  # [n, H, W, C]
    pixels = np.moveaxis(dataset.pixels, 1, -1)  # [N, H, W, C]
    rows = some(len(pixels), COMPARED, SEED)
    closest, of_samples = _nearest(samples, pixels)
    _, of_pictures = _nearest(pixels[rows], pixels, rows)
    return Neighbours(
        samples=samples[:SHOWN],
        nearest=pixels[closest[:SHOWN]],
        of_samples=float(np.median(of_samples)),
        of_pictures=float(np.median(of_pictures)),
    )


def _nearest(samples: Array, pixels: Array, themselves: Array | None = None) -> tuple[Array, Array]:
    """Return the row of the nearest of pictures [N, ...] to each sample, and its distance.

    Parameters
    ----------
    samples : uint8 ndarray of shape (n, ...)
    pixels : uint8 ndarray of shape (N, ...)
    themselves : ndarray of shape (n,), optional
        Rows of the samples among the pictures, which are left out.
    """
    x = _rows(samples)  # [n, D]
    size = max(2, BLOCK // x.shape[1])
    least, rows = np.full(len(x), np.inf), np.zeros(len(x), np.int64)
    for start in range(0, len(pixels), size):
        y = _rows(pixels[start : start + size])  # [b, D]
        labels, squares = nearest(x, y, min(2, len(y)))  # [n, 2]
        assert squares is not None
        numbers = labels + start
        if themselves is not None:
            squares[numbers == themselves[:, None]] = np.inf
        first = np.arange(len(x)), squares.argmin(1)
        nearer = squares[first] < least
        least[nearer], rows[nearer] = squares[first][nearer], numbers[first][nearer]
    return rows, np.sqrt(least / x.shape[1])


def _rows(images: Array) -> Array:
    """Return pictures [n, ...] of bytes as rows of numbers in [0, 1], [n, D]."""
    return images.reshape(len(images), -1) / np.float32(255)


def _interpolations(model: "GAN") -> tuple[list[Array], list[str]]:
    """Return paths between latents, of one class in each if there are classes, and their names."""
    names = model.config.classes[:PATHS]
    z = model.latents(seed=range(SEED, SEED + 2 * PATHS))  # [2 P, Z]
    strips = [
        _bytes(model.interpolate(z[2 * row], z[2 * row + 1], STEPS, label=row if names else None))
        for row in range(len(names) or PATHS)
    ]
    return strips, list(names) or [f"path {row + 1}" for row in range(PATHS)]


def _truncations(model: "GAN") -> dict[str, Array]:
    """Return samples of the same seeds, and classes, by how far they are truncated."""
    from unsup_fast.models.gan.styled import body_of

    name, values = ("psi", PSIS) if body_of(model.network) else ("limit", LIMITS)
    n_classes = len(model.config.classes)
    label = [i % n_classes for i in range(SHOWN)] if n_classes else None
    rows = {
        f"{name} {value:g}": _bytes(model.sample(SHOWN, label=label, seed=SEED, truncation=value))
        for value in values
    }
    return rows | {"none": _bytes(model.sample(SHOWN, label=label, seed=SEED))}


def _mixes(model: "GAN") -> dict[str, Array]:
    """Return a sheet of mixed styles, of a network that has styles."""
    from unsup_fast.models.gan import styles
    from unsup_fast.models.gan.styled import body_of

    body = body_of(model.network)
    if body is None:
        return {}
    label = 0 if model.config.classes else None
    z = model.latents(SHEET_ROWS + SHEET_COLUMNS, seed=SEED)
    w = styles.styles(model, z, label)  # [n, W]
    alone = _bytes(styles.synthesize(model, w))
    coarse, fine = w[:SHEET_ROWS], w[SHEET_ROWS:]
    rows = {"fine": np.concatenate([np.full_like(alone[:1], 255), alone[SHEET_ROWS:]])}
    for i, one in enumerate(coarse):
        mixed = styles.mix(model, one.expand_as(fine), fine, body.n_styles // 2)
        rows[f"coarse {i + 1}"] = np.concatenate(
            [alone[i : i + 1], _bytes(styles.synthesize(model, mixed))]
        )
    return rows


def _bytes(images: "Tensor") -> Array:
    """Return pictures [n, C, H, W] in [-1, 1] as bytes [n, H, W, C]."""
    return np.moveaxis(np.asarray(pictures.to_bytes(images)), 1, -1)
