"""A picture of the paths of two players, such as `unsup_fast.models.gan.dynamics.play` returns."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from unsup_fast._types import Array, ArrayLike, on_host
from unsup_fast.report import figure, rendering
from unsup_fast.report.numbers import count, short

COLUMNS = 3
SIZE = (250, 300)  # of a panel, whose axes are a square
MARGINS = (14, 14, 14, 64)
FOOT = 40
# A path is drawn up to this many times the largest distance at which one begins.
FARTHEST = 2.5
# Up to this many steps each is a dot.
MOST_DOTS = 200
NOTE = "Ring: begin. Large dot: end. Small dot: a step. Cross: equilibrium. One scale for all."


class Panel(NamedTuple):
    """A drawing and its rectangle, in units of the whole SVG."""

    x: int
    y: int
    width: int
    height: int
    drawing: str


def spirals(paths: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> str:
    """Return the paths of two players of one number each, as an SVG file.

    Each path has a panel: theta across, phi upward, the equilibrium (0, 0) in the middle. The file
    has light and dark colours; write it with `Path.write_text`.

    Parameters
    ----------
    paths : mapping of str to (theta, phi)
        By the title of its panel, the two players at each step, arrays or tensors of shape (T,) or
        (T, 1), such as a `Path` of `unsup_fast.models.gan.dynamics`. Of one that leaves the picture
        the part inside is drawn.

    Raises
    ------
    ValueError
        If there are no paths, or one is not of single numbers, or does not begin at finite ones.
    ImportError
        If matplotlib or jinja2 is missing, with the install command.

    Examples
    --------
    >>> import torch
    >>> from unsup_fast.models.gan import dynamics
    >>> from unsup_fast.report.dynamics import spirals
    >>> start = torch.ones((), dtype=torch.float64)
    >>> paths = {
    ...     rule: dynamics.play(
    ...         lambda theta, phi: theta * phi, start, start, lr=0.1, rule=rule, steps=100
    ...     )
    ...     for rule in ("simultaneous", "alternating", "extragradient")
    ... }
    >>> spirals(paths).startswith("<svg")
    True
    """
    if not paths:
        raise ValueError("paths is empty; pass at least one path by its title")
    points = {title: _points(title, path) for title, path in paths.items()}  # [T, 2] each
    with np.errstate(invalid="ignore", over="ignore"):
        distances = {title: np.hypot(*each.T) for title, each in points.items()}
    farthest = FARTHEST * max(float(each[0]) for each in distances.values()) or 1.0
    inside = [each[each <= farthest].max(initial=0.0) for each in distances.values()]
    limit = 1.06 * max(inside) or 1.0
    columns = min(COLUMNS, len(points))
    panels = [
        Panel(
            x=SIZE[0] * (number % columns),
            y=SIZE[1] * (number // columns),
            width=SIZE[0],
            height=SIZE[1],
            drawing=_panel(title, points[title], distances[title], limit),
        )
        for number, title in enumerate(points)
    ]
    return str(
        rendering.render(
            "drawing.svg",
            name=f"Paths of two players: {', '.join(points)}",
            width=SIZE[0] * max(columns, 2),
            height=panels[-1].y + SIZE[1] + FOOT,
            panels=panels,
            note=NOTE,
        )
    )


def _points(title: str, path: tuple[ArrayLike, ArrayLike]) -> Array:
    theta, phi = (on_host(each).astype(np.float64) for each in path)
    if theta.ndim == 0 or len(theta) == 0 or not theta.size == phi.size == len(theta):
        raise ValueError(
            f"{title!r} has theta of shape {theta.shape} and phi of shape {phi.shape}; pass one "
            "number for each step of both, (T,) or (T, 1)"
        )
    points = np.stack([theta.ravel(), phi.ravel()], 1)  # [T, 2]
    if not np.isfinite(points[0]).all():
        raise ValueError(f"{title!r} begins at {points[0]}; pass finite numbers")
    return points


def _panel(title: str, points: Array, distances: Array, limit: float) -> str:
    """Return one path as an `<svg>` element.

    Parameters
    ----------
    points : ndarray of shape (T, 2)
    distances : ndarray of shape (T,)
        Of the points to (0, 0).
    limit : float
        Half the side of the picture.
    """
    with np.errstate(invalid="ignore"):
        seen: Array = np.abs(points).max(axis=1) <= limit  # [T]
    shown = np.where(seen[:, None], points, np.nan)
    steps = count(len(points) - 1)
    if distances[0] > 0 and np.isfinite(distances[-1]):
        change = f"{short(distances[-1] / distances[0])} times as far in {steps} steps"
    else:
        change = f"{steps} steps"

    def paint(axes: Any) -> None:
        axes.set_axis_off()
        axes.set_xlim(-limit, limit)
        axes.set_ylim(-limit, limit)
        axes.plot([-limit, limit], [0, 0], color=figure.RULE, linewidth=1, clip_on=False)
        axes.plot([0, 0], [-limit, limit], color=figure.RULE, linewidth=1, clip_on=False)
        axes.plot(*shown.T, color=figure.CLUSTER[0], linewidth=1.2, clip_on=False)
        if len(points) <= MOST_DOTS:
            inner = points[seen]
            axes.scatter(*inner.T, s=7, linewidths=0, color=figure.CLUSTER[0], clip_on=False)
        axes.plot(0, 0, "+", color=figure.INK, markersize=9, markeredgewidth=1.6)
        ring = {"facecolors": "none", "edgecolors": figure.CLUSTER[1], "linewidths": 2}
        axes.scatter(*points[0], s=64, zorder=3, clip_on=False, **ring)
        if seen[-1]:
            end = {"color": figure.CLUSTER[3], "linewidths": 0}
            axes.scatter(*points[-1], s=50, zorder=3, clip_on=False, **end)
        heading = axes.text(0, 1.155, title, transform=axes.transAxes, parse_math=False)
        figure.mark(heading, "title")
        axes.text(0, 1.06, change, transform=axes.transAxes)
        for x, y, player in ((0.97, 0.515, "θ"), (0.515, 0.955, "φ")):
            axes.text(x, y, player, transform=axes.transAxes)

    return figure.svg(f"{title}: {change}", SIZE, MARGINS, paint)
