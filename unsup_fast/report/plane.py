"""A sample of the rows in the plane of its two largest principal components."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from sklearn.utils.extmath import randomized_svd

from unsup_fast._rows.directions import unit_rows
from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.report import figure
from unsup_fast.report.numbers import count, percent, real
from unsup_fast.report.window import PAD, WIDTH, Window, around

SAMPLE = 5000
# Up to this many rows there is room for larger dots.
FEW = 2000

# The colours are the page's variables --c0 to --c9, so that light and dark have their own.
N_COLOURS = 10
NEIGHBOURS = 12

# Above these many clusters, centroids go unnumbered, and only some of them are drawn.
MOST_NUMBERED = 30
MOST_CENTROIDS = 300


def colours(centers: Array) -> Array:
    """Return one of ten colours for each of K points in the plane, unlike its neighbours'.

    Up to ten clusters all differ. Beyond, each takes, in order, the colour whose nearest use
    among the twelve nearest neighbours is farthest away.
    """
    n_clusters = len(centers)
    if n_clusters <= N_COLOURS:
        return np.arange(n_clusters)
    _, near = cKDTree(centers).query(centers, k=min(NEIGHBOURS + 1, n_clusters))  # [K, 13]
    chosen = np.full(n_clusters, -1)
    for cluster in range(n_clusters):
        free = np.full(N_COLOURS, NEIGHBOURS + 1)
        for rank, other in enumerate(near[cluster]):
            if chosen[other] >= 0:
                free[chosen[other]] = min(free[chosen[other]], rank)
        # Among colours that are equally far, rotate, so that none is used far more than others.
        rotated = np.roll(free, -(cluster % N_COLOURS))
        chosen[cluster] = (int(rotated.argmax()) + cluster) % N_COLOURS
    return chosen


class Plane:
    """The plane of a sample's two largest principal components.

    Attributes
    ----------
    points : ndarray of shape (S, 2)
        The sampled rows.
    labels : ndarray of shape (S,)
        Their clusters.
    centers : ndarray of shape (K, 2)
    shares : ndarray of shape (2,)
        Share of the sample's variance along each axis.
    colours : ndarray of shape (K,)
        Number of each cluster's colour.
    basis : ndarray of shape (2, D)
        The axes.
    """

    def __init__(self, X: Source, labels: Array, centers: Array, metric: str = "euclidean") -> None:
        rows = np.arange(X.n_rows)
        if X.n_rows > SAMPLE:
            rows = np.sort(np.random.default_rng(0).choice(X.n_rows, SAMPLE, replace=False))
        sample = X.take(rows)
        sample = (unit_rows(sample) if metric == "cosine" else sample).astype(np.float64)  # [S, D]
        mean = sample.mean(axis=0)
        sample -= mean
        total = float((sample**2).sum())
        n_axes = min(2, *sample.shape)
        _, sizes, axes = randomized_svd(sample, n_axes, random_state=0)  # axes: [2, D]
        if n_axes == 1:  # one column or one row: the other axis is zero
            axes, sizes = np.vstack([axes, 0 * axes]), np.append(sizes, 0.0)
        self.basis = axes
        self.points = sample @ axes.T  # [S, 2]
        self.labels = labels[rows]
        self.centers = (centers.astype(np.float64) - mean) @ axes.T  # [K, 2]
        # Rounded, so that all of the variance reads as 100 %.
        self.shares = np.round(sizes**2 / total, 9) if total > 0 else np.zeros(2)
        self.n_rows = X.n_rows
        self.colours = colours(self.centers)

    def window(self, sizes: Array) -> Window:
        """Return the part of the plane that is drawn: nearly all rows, and all drawn centroids.

        Parameters
        ----------
        sizes : ndarray of shape (K,)
            Rows of each cluster.
        """
        return around(self.points, self.centers[_drawn(sizes)])

    def svg(self, sizes: Array, outlines: Sequence[Array] = ()) -> str:
        """Return the picture; few rows far outside are drawn at its edge.

        Parameters
        ----------
        sizes : ndarray of shape (K,)
            Rows of each cluster.
        outlines : sequence of K ndarrays of shape (M, 2)
            A line around each cluster, in the plane.
        """
        window, largest = self.window(sizes), _drawn(sizes)

        def paint(axes: Any) -> None:
            _whole(axes)
            dots(axes, window.positions(self.points), self.colours[self.labels])
            for outline, number in zip(outlines, self.colours, strict=False):
                axes.plot(*window.inside(outline).T, color=figure.CLUSTER[number], linewidth=2)
            at = window.positions(self.centers[largest])
            if len(sizes) <= MOST_NUMBERED:
                for cluster, (x, y) in zip(largest.tolist(), at, strict=True):
                    axes.text(x, y, str(cluster), ha="center", va="baseline")
                return
            colours = [figure.CLUSTER[number] for number in self.colours[largest]]
            marks = axes.scatter(
                *at.T, s=64, c=colours, edgecolors=figure.INK, linewidths=1.4, clip_on=False
            )
            notes = [f"centroid {cluster}: {count(sizes[cluster])} rows" for cluster in largest]
            figure.mark(marks, "centroids", notes)

        name = f"{count(len(self.points))} rows in two principal components, coloured by cluster"
        return figure.svg(name, (WIDTH, window.height), (PAD, PAD, PAD, PAD), paint, "plane")

    def caption(self, sizes: Array, thing: str = "cluster", centre: str = "centroid") -> str:
        """Return what the picture shows, in sentences; `sizes` as in `svg`."""
        n_clusters, n_points = len(self.colours), len(self.points)
        sampled = f"a random sample of {count(n_points)}" if n_points < self.n_rows else "all"
        held = percent(round(float(self.shares.sum()), 8))
        shares = f"{percent(self.shares[0])} across, {percent(self.shares[1])} upward"
        text = (
            f"{sampled.capitalize()} of the {count(self.n_rows)} rows along their two largest "
            f"principal components, which hold {held} of the variance "
            f"({shares}). {scale_of(self.window(sizes))} {thing.capitalize()}s that overlap here "
            "may lie apart in other dimensions."
        )
        if n_clusters <= MOST_NUMBERED:
            text += f" Numbers are the {centre}s."
        elif n_clusters <= MOST_CENTROIDS:
            text += f" Ringed dots are the {centre}s."
        else:
            text += f" Ringed dots are the {centre}s of the {MOST_CENTROIDS} largest {thing}s."
        if n_clusters > N_COLOURS:
            text += " Ten colours repeat; neighbours differ."
        return text


def scale_of(window: Window) -> str:
    """Return a sentence about the scale of a picture."""
    width, height = window.size
    return f"Both axes have one scale; the picture is {real(width)} wide and {real(height)} high."


def scatter(points: Array, labels: Array | None = None) -> tuple[str, str]:
    """Return the picture of rows along two axes [S, 2], and a sentence about its scale.

    Few rows far outside are drawn at its edge. Labels [S] choose one of the ten colours.
    """
    window = around(points)
    chosen = np.zeros(len(points), np.int64) if labels is None else labels % N_COLOURS

    def paint(axes: Any) -> None:
        _whole(axes)
        dots(axes, window.positions(points), chosen)

    coloured = "" if labels is None else ", coloured by class"
    name = f"{count(len(points))} rows along the first two axes{coloured}"
    size, margins = (WIDTH, window.height), (PAD, PAD, PAD, PAD)
    return figure.svg(name, size, margins, paint, "plane"), scale_of(window)


def _drawn(sizes: Array) -> Array:
    """Return the clusters whose centroids are drawn: the largest that are not empty."""
    largest = np.argsort(-sizes, kind="stable")[:MOST_CENTROIDS]
    return largest[sizes[largest] > 0]


def dots(axes: Any, at: Array, colours: Array) -> None:
    """Draw the rows of a colour as one path of zero-length lines with round ends.

    A marker for each row would make the page several times as large.
    """
    Path = figure.load("matplotlib.path").Path
    PathPatch = figure.load("matplotlib.patches").PathPatch
    few = len(at) <= FEW
    for number, colour in enumerate(figure.CLUSTER):
        some = at[colours == number]
        if not len(some):
            continue
        lines = Path(np.repeat(some, 2, axis=0), [Path.MOVETO, Path.LINETO] * len(some))
        patch = PathPatch(
            lines,
            fill=False,
            edgecolor=colour,
            linewidth=6 if few else 4,
            alpha=0.75 if few else 0.65,
            capstyle="round",
            clip_on=False,
        )
        figure.mark(patch, "rows few" if few else "rows")
        axes.add_patch(patch)


def _whole(axes: Any) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
