"""The report of a training: what the model makes of its pictures is computed here."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from unsup_fast import pictures
from unsup_fast._types import Array
from unsup_fast.cli import files, results
from unsup_fast.cli.training import folder
from unsup_fast.cli.training.data import some
from unsup_fast.cli.training.family import Job
from unsup_fast.cli.vae import models
from unsup_fast.decomposition import PCA
from unsup_fast.report.vae import Latents, Plane, Run, vae

if TYPE_CHECKING:
    from torch import Tensor

    from unsup_fast.models.vae import VAE

PICTURES = 2000  # whose latents are shown
PAIRS, PATHS, STEPS = 12, 4, 10
LATENTS, VALUES, SPAN = 8, 9, 3.0
SEED = 1  # another one than that of the grids


def write_report(job: Job, model: "VAE", summary: Mapping[str, Any]) -> None:
    """Write `report.html`."""
    run, data = job.settings.out, job.data
    name = Path(data.content.name).name
    rows = some(len(data.pixels), PICTURES, SEED)
    x, label = data.pixels[rows], models.at(data.labels, rows)
    latents, plane = _latents(model, x, label)
    shown = some(len(x), PAIRS, SEED)
    rebuilt = model.reconstruct(x[shown], models.at(label, shown), seed=SEED)
    page = vae(
        Run(
            title=job.settings.title or f"A variational autoencoder of {name}",
            data_name=name,
            folder=str(run),
            summary=summary,
            metrics=run / files.METRICS,
            grids=folder.grids(run),
            latents=latents,
            plane=plane,
            originals=np.moveaxis(x[shown], 1, -1),
            reconstructions=_bytes(rebuilt),
            traversals=_traversals(model, x, label, latents.busiest[:LATENTS]),
            values=np.linspace(-SPAN, SPAN, VALUES),
            interpolations=_interpolations(model, x, label),
        )
    )
    results.write_text(run / files.REPORT, page)


def _latents(model: "VAE", x: Array, label: Array | None) -> tuple[Latents, Plane]:
    """Return what is known of the latents of pictures x [N, C, H, W], and their plane."""
    from unsup_fast.models.vae import latent_statistics

    statistics = latent_statistics(model, x, label, seed=SEED)
    means = model.encode(x, label, seed=SEED).mean.cpu().numpy()  # [N, Z]
    shares = None
    if means.shape[1] <= 2 or len(means) < 2:
        points = np.pad(means[:, :2], ((0, 0), (0, max(0, 2 - means.shape[1]))))
    else:
        pca = PCA(2, random_state=0).fit(means)
        points, shares = pca.transform(means), pca.explained_variance_ratio_
    latents = Latents(
        kl=statistics.kl.numpy(),
        active=statistics.active.numpy(),
        mean=statistics.mean.numpy(),
        std=statistics.std.numpy(),
    )
    plane = Plane(points=points.astype(np.float64), shares=shares, labels=label)
    return latents, plane


def _traversals(model: "VAE", x: Array, label: Array | None, latents: Array) -> Array:
    """Return the first picture while one latent at a time changes, uint8 [L, V, H, W, C]."""
    values = np.linspace(-SPAN, SPAN, VALUES)
    images = model.traverse(
        x[:1], models.at(label, [0]), latents=latents.tolist(), values=values, seed=SEED
    )
    flat = _bytes(images.flatten(0, 1))  # [L V, H, W, C]
    return flat.reshape(len(latents), VALUES, *flat.shape[1:])


def _interpolations(model: "VAE", x: Array, label: Array | None) -> list[Array]:
    """Return paths between pictures, of one class in each if there are classes: [S, H, W, C]."""
    strips = []
    for start, end in _ends(len(x), label):
        between = model.interpolate(
            x[start : start + 1], x[end : end + 1], STEPS, label=models.at(label, [start])
        )
        strips.append(_bytes(between))
    return strips


def _ends(n: int, label: Array | None) -> list[tuple[int, int]]:
    """Return pairs of pictures, each of one class if there are classes."""
    if label is None:
        return [(k, k + 1) for k in range(0, min(2 * PATHS, n) - 1, 2)]
    pairs = []
    for number in np.unique(label):
        members = np.flatnonzero(label == number)
        if len(members) > 1:
            pairs.append((int(members[0]), int(members[1])))
    return pairs[:PATHS]


def _bytes(images: "Tensor") -> Array:
    """Return pictures [n, C, H, W] in [-1, 1] as bytes [n, H, W, C]."""
    return np.moveaxis(np.asarray(pictures.to_bytes(images)), 1, -1)
