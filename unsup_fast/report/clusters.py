"""The page of a k-means run."""

from dataclasses import replace

import numpy as np

from unsup_fast._rows import scaling
from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.report import central, charts, page, pictures
from unsup_fast.report.central import Central
from unsup_fast.report.lines import Lines
from unsup_fast.report.numbers import count, counted, percent, real, seconds, short
from unsup_fast.report.page import COARSE, Content
from unsup_fast.report.plane import Plane
from unsup_fast.report.text import escape

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
    colours = [f"var(--c{number})" for number in plane.colours]
    return page.whole(
        content,
        METHODS[model.metric] + page.STANDARDIZED[model.standardize],
        _tiles(content),
        f"""<h2>How it went</h2>
<div class="charts">
{charts.inertia(model.inertia_history_)}
{charts.changes(model.n_changed_history_, content.X.n_rows)}
</div>
<h2>Cluster sizes</h2>
<div class="charts">
{charts.sizes(model.cluster_sizes_, plane.colours.tolist())}
{page.quantiles(model.cluster_sizes_, "clusters")}
</div>
<h2>The rows in two dimensions</h2>
<figure>
{plane.svg(model.cluster_sizes_)}
<p class="caption">{plane.caption(model.cluster_sizes_)}</p>
</figure>
{_clusters(content, colours)}""",
        _code(content),
        f"Label i belongs to row i of the file; X_new is any array of "
        f"{counted(content.X.n_columns, 'column')}.",
    )


def _divided(content: Content) -> tuple[Source, Array]:
    """Return rows and centroids as distances are measured between them."""
    model = content.model
    centers = scaling.applied(model, model.cluster_centers_)
    return scaling.applied_blocks(model, content.X), centers


def _tiles(content: Content) -> str:
    model, result = content.model, content.summary["result"]
    n_rows = content.X.n_rows
    explained = result["explained"]
    took = result["seconds"]
    machine = content.summary["machine"]
    pace = n_rows * result["iterations"] / max(took, 1e-9)
    tiles = [
        ("Rows", count(n_rows), f"{counted(content.X.n_columns, 'column')} each"),
        ("Clusters", count(len(model.cluster_centers_)), _empty(result["empty_clusters"])),
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
    return page.tiles(tiles)


def _inertia(metric: str, explained: float | None) -> str:
    if metric == "cosine":
        return "cosine distances, summed"
    return "weighted" if explained is None else f"{percent(explained)} of the variance explained"


def _empty(n_empty: int) -> str:
    return f"{count(n_empty)} of them empty" if n_empty else "none empty"


def _clusters(content: Content, colours: list[str]) -> str:
    model = content.model
    sizes = model.cluster_sizes_
    n_each = N_PICTURES if content.image_shape else N_LINES if content.lines else N_NUMBERS
    X, centers = _divided(content)
    shown, sampled = central.find(X, model.labels_, centers, sizes, n_each, model.metric)
    if content.image_shape:
        bodies = _pictures(content, shown)
    elif content.lines is not None:
        bodies = _texts(content.lines, [_of_data(content, one) for one in shown])
    else:
        bodies = [_numbers(_of_data(content, one)) for one in shown]
    cards = "".join(
        f'<section class="cluster"><header><i class="swatch" style="background:'
        f'{colours[one.cluster]}"></i><h3>Cluster {one.cluster}</h3>'
        f"<span>{counted(one.size, 'row')} ({percent(one.size / sizes.sum())})"
        f"</span></header>{body}</section>"
        for one, body in zip(shown, bodies, strict=True)
    )
    note = "Clusters by size, each with the rows nearest to its centroid."
    filled = int(np.count_nonzero(sizes))
    if len(shown) < filled:
        note = (
            f"Of {count(filled)} clusters the {central.LARGEST} largest, {central.BETWEEN} spread "
            f"evenly by size, and the {central.SMALLEST} smallest, each with the rows nearest to "
            "its centroid."
        )
    if sampled:
        note += " The rows were looked for in a random sample."
    wide = " wide" if content.image_shape else ""
    return (
        f'<h2>Most central rows</h2><p class="note">{note}</p>'
        f'<div class="clusters{wide}">{cards}</div>'
    )


def _of_data(content: Content, one: Central) -> Central:
    """Return the rows as they are counted in the data, with those that were dropped."""
    return replace(one, rows=content.X.rows_of_data(one.rows))


def _pictures(content: Content, clusters: list[Central]) -> list[str]:
    shape = content.image_shape
    assert shape is not None
    shown = content.X.take(np.concatenate([one.rows for one in clusters]))
    low, high = min(0.0, float(shown.min())), float(shown.max())
    coarse = ' class="coarse"' if max(shape[:2]) <= COARSE else ""
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
        # Widths in shares of the card keep all pictures of one size.
        bodies.append(
            f'<div class="pictures"><div class="mean" style="width:{100 / (N_PICTURES + 2):.2f}%">'
            f'<img{coarse} src="{mean}" alt="Centroid of cluster {one.cluster}"><small>mean</small>'
            f'</div><div class="nearest"><img{coarse} src="{nearest}" '
            f'alt="The most central rows of cluster {one.cluster}: {listed}">'
            f"<small>rows {listed}</small></div></div>"
        )
    return bodies


def _texts(lines: Lines, clusters: list[Central]) -> list[str]:
    texts = lines.take(row for one in clusters for row in one.rows.tolist())
    return [
        "<ol>"
        + "".join(
            f"<li><span>{escape(_cut(texts[row]))}</span><small>{row}</small></li>"
            for row in one.rows.tolist()
        )
        + "</ol>"
        for one in clusters
    ]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1].rstrip() + "…"


def _numbers(one: Central) -> str:
    items = "".join(
        f"<li><span>row {row}</span><small>distance {real(distance)}</small></li>"
        for row, distance in zip(one.rows.tolist(), one.distances.tolist(), strict=True)
    )
    return f"<ol>{items}</ol>"


def _code(content: Content) -> str:
    imports, labels = page.load(content, "labels", '["label"].to_numpy()')
    return (
        f"{imports}\nfrom unsup_fast.cluster import KMeans\n"
        f"{labels}\n"
        'model = KMeans.load("model.safetensors")\n'
        "new_labels = model.predict(X_new)"
    )
