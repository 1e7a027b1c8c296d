"""The page of a k-means run."""

from dataclasses import replace
from typing import Any

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.report import central, charts, page, pictures
from unsup_fast.report.central import Central
from unsup_fast.report.lines import Lines
from unsup_fast.report.numbers import count, counted, percent, real, seconds, short
from unsup_fast.report.page import COARSE, Card, Content, Picture
from unsup_fast.report.plane import Plane

N_PICTURES, N_LINES, N_NUMBERS = 8, 5, 5
LONGEST_LINE = 160

METHODS = {"euclidean": "k-means", "cosine": "Spherical k-means (cosine distances)"}


def kmeans(content: Content) -> str:
    """Return the page.

    Parameters
    ----------
    content : Content

    Returns
    -------
    str
        HTML with style, charts and pictures inside; no script, and nothing is fetched.
    """
    model = content.model
    X, centers = _divided(content)
    plane = Plane(X, model.labels_, centers, model.metric)
    shown, sampled = central.find(
        X, model.labels_, centers, model.cluster_sizes_, _n_each(content), model.metric
    )
    return page.whole(
        "kmeans.html",
        content,
        method=METHODS[model.metric] + page.STANDARDIZED[model.standardize],
        tiles=_tiles(content),
        inertia=charts.inertia(model.inertia_history_),
        changes=charts.changes(model.n_changed_history_, content.X.n_rows),
        sizes=charts.sizes(model.cluster_sizes_, plane.colours.tolist()),
        quantiles=page.quantiles(model.cluster_sizes_),
        plane=plane.svg(model.cluster_sizes_),
        caption=plane.caption(model.cluster_sizes_),
        central=_central(len(shown), int(np.count_nonzero(model.cluster_sizes_)), sampled),
        cards=_cards(content, shown, plane.colours.tolist()),
        code=_code(content),
        usage=f"Label i belongs to row i of the file; X_new is any array of "
        f"{counted(content.X.n_columns, 'column')}.",
    )


def _divided(content: Content) -> tuple[Source, Array]:
    """Return rows and centroids as distances are measured between them."""
    model = content.model
    centers = scaling.applied(model, model.cluster_centers_)
    return scaling.applied_blocks(model, content.X), centers


def _tiles(content: Content) -> list[tuple[str, str, str]]:
    model, result = content.model, content.summary["result"]
    n_rows = content.X.n_rows
    explained = result["explained"]
    took = result["seconds"]
    machine = content.summary["machine"]
    pace = n_rows * result["iterations"] / max(took, 1e-9)
    return [
        ("Rows", count(n_rows), f"{counted(content.X.n_columns, 'column')} each"),
        ("Clusters", count(len(model.cluster_centers_)), _clusters(content)),
        ("Iterations", count(result["iterations"]), page.capital(result["stopped"])),
        (
            "Inertia",
            real(result["inertia"]),
            _inertia(content.model.metric, explained),
        ),
        (
            "Time",
            seconds(took),
            f"first centroids included; {counted(machine['threads'], 'thread')}",
        ),
        ("Throughput", f"{short(pace)}/s", "rows times iterations"),
    ]


def _inertia(metric: str, explained: float | None) -> str:
    if metric == "cosine":
        return "cosine distances, summed"
    return "weighted" if explained is None else f"{percent(explained)} of the variance explained"


def _clusters(content: Content) -> str:
    n_empty = content.summary["result"]["empty_clusters"]
    words = f"{count(n_empty)} of them empty" if n_empty else "none empty"
    levels = content.summary["parameters"].get("levels")
    return words if levels is None else f"{words}; parts of {counted(levels, 'larger one')}"


def _n_each(content: Content) -> int:
    return N_PICTURES if content.image_shape else N_LINES if content.lines else N_NUMBERS


def _central(n_shown: int, n_filled: int, sampled: bool) -> str:
    """Return which clusters are shown, in a sentence or two."""
    note = "Clusters by size, each with the rows nearest to its centroid."
    if n_shown < n_filled:
        note = (
            f"Of {count(n_filled)} clusters the {central.LARGEST} largest, {central.BETWEEN} "
            f"spread evenly by size, and the {central.SMALLEST} smallest, each with the rows "
            "nearest to its centroid."
        )
    return note + " The rows were looked for in a random sample." if sampled else note


def _cards(content: Content, shown: list[Central], colours: list[int]) -> list[Card]:
    """Return what the page says of each cluster that it shows."""
    if content.image_shape:
        bodies = _pictures(content, shown)
    elif content.lines is not None:
        bodies = [{"items": each} for each in _texts(content.lines, _in_data(content, shown))]
    else:
        bodies = [{"items": _numbers(one)} for one in _in_data(content, shown)]
    total = content.model.cluster_sizes_.sum()
    return [
        Card(
            title=f"Cluster {one.cluster}",
            detail=f"{counted(one.size, 'row')} ({percent(one.size / total)})",
            colour=colours[one.cluster],
            **body,
        )
        for one, body in zip(shown, bodies, strict=True)
    ]


def _in_data(content: Content, clusters: list[Central]) -> list[Central]:
    return [_of_data(content, one) for one in clusters]


def _of_data(content: Content, one: Central) -> Central:
    """Return the rows as they are counted in the data, with those that were dropped."""
    return replace(one, rows=content.X.rows_of_data(one.rows))


def _pictures(content: Content, clusters: list[Central]) -> list[dict[str, Any]]:
    """Return the centroid and the nearest rows of each cluster, as pictures."""
    shape = content.image_shape
    assert shape is not None
    shown = content.X.take(np.concatenate([one.rows for one in clusters]))
    low, high = min(0.0, float(shown.min())), float(shown.max())
    coarse = max(shape[:2]) <= COARSE
    starts = np.cumsum([len(one.rows) for one in clusters])[:-1]
    bodies = []
    for one, rows in zip(clusters, np.split(shown, starts), strict=True):
        centre = content.model.cluster_centers_[one.cluster][None]
        if content.model.metric == "cosine":  # a direction: as bright as the rows next to it
            lengths = np.linalg.norm(scaling.applied(content.model, rows), axis=1)
            centre = centre * lengths.mean()
        mean = pictures.strip(centre, shape, low, high, 1)
        nearest = pictures.strip(rows, shape, low, high, N_PICTURES)
        listed = ", ".join(map(str, _of_data(content, one).rows.tolist()))
        alt = f"The most central rows of cluster {one.cluster}: {listed}"
        bodies.append(
            {
                "means": [Picture(mean, f"Centroid of cluster {one.cluster}", coarse, "mean")],
                "nearest": Picture(nearest, alt, coarse, f"rows {listed}"),
                "room": N_PICTURES + 2,
            }
        )
    return bodies


def _texts(lines: Lines, clusters: list[Central]) -> list[list[tuple[str, str]]]:
    texts = lines.take(row for one in clusters for row in one.rows.tolist())
    return [[(_cut(texts[row]), str(row)) for row in one.rows.tolist()] for one in clusters]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1].rstrip() + "…"


def _numbers(one: Central) -> list[tuple[str, str]]:
    pairs = zip(one.rows.tolist(), one.distances.tolist(), strict=True)
    return [(f"row {row}", f"distance {real(distance)}") for row, distance in pairs]


def _code(content: Content) -> str:
    imports, labels = page.load(content, "labels", '["label"].to_numpy()')
    return (
        f"{imports}\nfrom unsup_fast.cluster import KMeans\n"
        f"{labels}\n"
        'model = KMeans.load("model.safetensors")\n'
        "new_labels = model.predict(X_new)"
    )
