"""The page of a variational autoencoder: its bound, its latents, and what they keep of pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.report import figure, frame, page, plane, runs, training
from unsup_fast.report.numbers import count, counted, percent, real
from unsup_fast.report.page import Picture

MOST_BARS = 128
"""Latents whose KL are bars; of more, a line."""
SETTLED = 0.1
"""Share of the training after which its values decide the height of the chart."""
NETWORKS = {"mlp": "multilayer perceptron", "conv": "convolutional network"}
PARTS = {"-ELBO": figure.INK, "-log p(x | z)": figure.CLUSTER[0], "KL": figure.CLUSTER[1]}
LABELS = {"-ELBO": 8, "-log p(x | z)": -8, "KL": 8}
"""Distance of a line's name from its end, upward."""


@dataclass(frozen=True)
class Latents:
    """Statistics of the Z latents over pictures.

    Attributes
    ----------
    kl : ndarray of shape (Z,)
        Mean KL divergence of each from the prior, in nats.
    active : bool ndarray of shape (Z,)
    mean, std : ndarray of shape (Z,)
        Of the aggregate posterior.
    """

    kl: Array
    active: Array
    mean: Array
    std: Array

    @property
    def busiest(self) -> Array:
        """Latents in order of falling KL, [Z]."""
        return np.argsort(-self.kl, kind="stable")


@dataclass(frozen=True)
class Plane:
    """The means of the latents of N pictures in two dimensions.

    Attributes
    ----------
    points : ndarray of shape (N, 2)
    shares : ndarray of shape (2,), or None
        Share of the variance along each axis, if these are principal components.
    labels : ndarray of shape (N,), or None
        Class of each picture.
    """

    points: Array
    shares: Array | None
    labels: Array | None


@dataclass(frozen=True)
class Run(runs.TrainingRun):
    """The content of a report.

    Attributes
    ----------
    latents : Latents
    plane : Plane
    originals, reconstructions : ndarray of shape (n, H, W, C), uint8
    traversals : ndarray of shape (L, V, H, W, C), uint8
        One picture, with the L busiest latents at each of the values.
    values : ndarray of shape (V,)
    interpolations : sequence of ndarray of shape (S, H, W, C), uint8
    """

    latents: Latents
    plane: Plane
    originals: Array
    reconstructions: Array
    traversals: Array
    values: Array
    interpolations: Sequence[Array]


def vae(run: Run) -> str:
    """Return the page.

    Parameters
    ----------
    run : Run

    Returns
    -------
    str
        HTML with style, charts and pictures inside; no script, and nothing is fetched.
    """
    classes, latents = run.summary["data"]["classes"], run.latents
    coloured = run.plane.labels is not None
    drawing, scale = plane.scatter(run.plane.points, run.plane.labels)
    return page.document(
        "vae.html",
        title=run.title,
        lead=_lead(run),
        notes=runs.notes(run),
        tiles=_tiles(run),
        **(runs.course(run) | {"losses": _bound(run)}),
        samples=f"Averaged weights, the same latents each time.{runs.rows_of_grids(run)}",
        reconstructions=[
            runs.strip(run.originals, "pictures", f"{len(run.originals)} pictures"),
            runs.strip(run.reconstructions, "decoded means", "The same pictures, reconstructed"),
        ],
        kl=_kl(latents),
        quantiles=_aggregate(latents),
        traversed=f"One picture whose latents, one at a time, go from {run.values[0]:g} to "
        f"{run.values[-1]:g}: the {counted(len(run.traversals), 'latent')} of largest KL.",
        traversals=_traversals(run),
        paths="From the latents of one picture to those of another, on a great circle"
        f"{'; both of one class' if classes else ''}.",
        interpolations=_interpolations(run),
        plane=drawing,
        legend=list(enumerate(classes[: plane.N_COLOURS])) if coloured else [],
        caption=f"{_caption(run)} {scale}",
        code=_code(run),
        usage=f"Or unsup-fast vae encode {run.folder} DATA -o latents.npz, which kmeans and gmm "
        f"read, and unsup-fast vae sample {run.folder} -n 64 -o grid.png.",
        summary=run.summary,
        data_name=run.data_name,
    )


def _lead(run: Run) -> str:
    parameters = run.summary["parameters"]
    network = f"{parameters['model_size']} {NETWORKS[parameters['network']]}"
    return (
        f"A variational autoencoder with {counted(parameters['latent'], 'latent')}, a {network}, "
        f"trained on {runs.described(run)}."
    )


def _tiles(run: Run) -> list[tuple[str, str, str]]:
    latents, parameters = run.latents, run.summary["parameters"]
    n = len(latents.active)
    active = (
        "Active latents",
        f"{int(latents.active.sum())} of {count(n)}",
        "those whose means vary by more than 0.01",
    )
    kl = ("KL", real(float(latents.kl.sum())), f"nats a picture, beta {parameters['beta']:g}")
    return [*runs.tiles(run, f"likelihood {parameters['likelihood']}"), active, kl]


def _bound(run: Run) -> str:
    """Return the negative bound and its two parts by step; empty before there are metrics."""
    metrics = training.read(run.metrics) if run.metrics.exists() else {}
    if not len(metrics.get(training.STEP, ())):
        return ""
    steps = training.averaged(metrics[training.STEP])
    reconstruction, kl = (training.averaged(metrics[name]) for name in ("reconstruction", "kl"))
    values = dict(zip(PARTS, (reconstruction + kl, reconstruction, kl), strict=True))
    settled = steps >= SETTLED * steps[-1]
    low = min(0.0, min(float(each[settled].min()) for each in values.values()))
    high = max(float(each[settled].max()) for each in values.values())
    top = high + 0.1 * (high - low or 1.0)

    def paint(axes: Any) -> None:
        for (name, each), colour in zip(values.items(), PARTS.values(), strict=True):
            inside = each <= top  # the first steps may be far above
            notes = [
                f"step {count(s)}: {name} {real(v)}"
                for s, v in zip(steps[inside], each[inside], strict=True)
            ]
            frame.line(axes, steps[inside], each[inside], notes, colour)
            axes.annotate(
                name,
                (steps[-1], each[-1]),
                xytext=(0, LABELS[name]),
                textcoords="offset points",
                ha="right",
                va="bottom" if LABELS[name] > 0 else "top",
            )
        axes.set_xlim(0, max(steps[-1], 1))
        axes.set_ylim(low, top)
        frame.round_ticks(axes.xaxis, 0, steps[-1], integer=True)

    total = values["-ELBO"]
    name = f"-ELBO over {count(steps[-1])} steps, from {real(total[0])} to {real(total[-1])}"
    return frame.chart("The bound and its two parts, nats a picture", name, "step", paint)


def _kl(latents: Latents) -> str:
    """Return the KL of each latent in order, as bars or, of many, as a line."""
    order = latents.busiest
    kl, active = latents.kl[order], latents.active[order]
    words = np.where(active, "active", "inactive")
    indices = np.arange(len(order)) if len(order) <= MOST_BARS else frame.thin(len(order))
    notes = [f"latent {order[i]}: {real(kl[i])} nats, {words[i]}" for i in indices.tolist()]
    top = 1.04 * float(kl.max(initial=0.0)) or 1.0

    def paint(axes: Any) -> None:
        if len(order) <= MOST_BARS:
            colours = np.where(active, figure.ACCENT, figure.SOFT).tolist()
            bars = axes.bar(indices + 1, kl, width=0.76, color=colours)
            for bar, note in zip(bars, notes, strict=True):
                figure.mark(bar, "bar", [note])
        else:
            frame.line(axes, indices + 1, kl[indices], notes)
        axes.set_xlim(0.4, len(order) + 0.6)
        axes.set_ylim(0, top)
        frame.round_ticks(axes.xaxis, 1, len(order), integer=True)

    n = f"{int(active.sum())} of {counted(len(order), 'latent')} active"
    name = f"KL of {counted(len(order), 'latent')}, from {real(kl[0])} to {real(kl[-1])} nats"
    return frame.chart(f"KL by latent, nats; {n}", name, "latents by falling KL", paint)


def _aggregate(latents: Latents) -> list[tuple[str, str, str]]:
    """Return means and deviations of the aggregate posterior, for the busiest latents."""
    rows = latents.busiest[:8].tolist()
    means = np.round(latents.mean, 2) + 0.0  # not -0.00
    return [(f"latent {j}", f"{means[j]:.2f}", f"{latents.std[j]:.2f}") for j in rows]


def _traversals(run: Run) -> list[Picture]:
    return [
        runs.strip(
            images,
            f"latent {j}, {run.latents.kl[j]:.2f} nats",
            f"A picture with latent {j} from {run.values[0]:g} to {run.values[-1]:g}",
        )
        for j, images in zip(run.latents.busiest.tolist(), run.traversals, strict=False)
    ]


def _interpolations(run: Run) -> list[Picture]:
    return [
        runs.strip(images, f"path {number}", f"{len(images)} pictures from one to another")
        for number, images in enumerate(run.interpolations, 1)
    ]


def _caption(run: Run) -> str:
    shown, n_all = run.plane, run.summary["data"]["shape"][0]
    n = len(shown.points)
    which = f"all {count(n)}" if n == n_all else f"{count(n)} of the {count(n_all)}"
    text = f"The means of the latents of {which} pictures"
    if shown.shares is not None:
        shares = [percent(round(float(share), 9)) for share in shown.shares]
        text += (
            f" along their two largest principal components, which hold {shares[0]} (across) and "
            f"{shares[1]} (upward) of the variance."
        )
    elif run.summary["parameters"]["latent"] == 1:
        text += "; there is one latent, and nothing upward."
    else:
        text += ", latent 0 across and latent 1 upward."
    if shown.labels is not None:
        n_classes = len(run.summary["data"]["classes"])
        text += " A colour for each class."
        if n_classes > plane.N_COLOURS:
            text += f" The {plane.N_COLOURS} colours repeat."
    return text


def _code(run: Run) -> str:
    classes = run.summary["data"]["classes"]
    channels, height, width = run.summary["data"]["shape"][1:]
    latent = run.summary["parameters"]["latent"]
    label, more = (", label", f", label={classes[-1]!r}") if classes else ("", "")
    return (
        "from unsup_fast.models import vae\n"
        f"model = vae.load({run.folder!r})\n"
        f"latents = model.encode(x{label}).mean  # [N, {latent}], x of bytes "
        f"[N, {channels}, {height}, {width}]\n"
        f"images = model.sample(64{more})  # [64, {channels}, {height}, {width}] in [-1, 1]\n"
        f"nats = model.nll(x{label}, n_samples=500)"
    )
