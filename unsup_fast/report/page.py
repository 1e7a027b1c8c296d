"""The page of a k-means run: one HTML file that needs nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

from unsup_fast.blocks import Source
from unsup_fast.report import central, charts, pictures
from unsup_fast.report.central import Central
from unsup_fast.report.lines import Lines
from unsup_fast.report.numbers import count, counted, percent, real, seconds, short
from unsup_fast.report.plane import Plane

Array = npt.NDArray[Any]

N_PICTURES, N_LINES, N_NUMBERS = 8, 5, 5
LONGEST_LINE = 160

METHODS = {"euclidean": "k-means", "cosine": "Spherical k-means (cosine distances)"}

# Up to this side, in pixels, pictures are enlarged, and their pixels are shown as squares.
COARSE = 32


@dataclass(frozen=True)
class Content:
    """What a report is made from.

    Attributes
    ----------
    title, data_name : str
        Headline, and name of the data file.
    X : Source of shape (N, D)
    model : KMeans
        Fitted on X.
    summary : dict
        What `summary.json` holds.
    labels_name : str
        Name of the file with the labels.
    lines : Lines or None
        A line of text for each row.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) if rows are pictures.
    """

    title: str
    data_name: str
    X: Source
    model: Any
    summary: Mapping[str, Any]
    labels_name: str
    lines: Lines | None = None
    image_shape: tuple[int, ...] | None = None


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
    plane = Plane(content.X, model.labels_, model.cluster_centers_, model.metric)
    colours = [f"var(--c{number})" for number in plane.colours]
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    title = escape(content.title)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{_lead(content)}
{_tiles(content)}
<h2>How it went</h2>
<div class="charts">
{charts.inertia(model.inertia_history_)}
{charts.changes(model.n_changed_history_, content.X.n_rows)}
</div>
<h2>Cluster sizes</h2>
<div class="charts">
{charts.sizes(model.cluster_sizes_, plane.colours.tolist())}
{_quantiles(model.cluster_sizes_)}
</div>
<h2>The rows in two dimensions</h2>
<figure>
{plane.svg(model.cluster_sizes_)}
<p class="caption">{plane.caption()}</p>
</figure>
{_clusters(content, colours)}
<h2>Use the result</h2>
<pre><code>{escape(_code(content))}</code></pre>
<p class="note">Label i belongs to row i of the file; X_new is any array of
{counted(content.X.n_columns, "column")}.</p>
<h2>How it was made</h2>
{_facts(content)}
<footer>Made by unsup_fast {escape(content.summary["versions"]["unsup_fast"])} on
{datetime.now(timezone.utc):%-d %B %Y, %H:%M} UTC.</footer>
</main>
</body>
</html>
"""


def _lead(content: Content) -> str:
    data = content.summary["data"]
    rows, columns = counted(content.X.n_rows, "row"), counted(content.X.n_columns, "column")
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in data["notes"])
    return (
        f'<p class="lead">{METHODS[content.model.metric]} of {escape(content.data_name)}: '
        f"{rows} of {columns}, "
        f"{escape(data['dtype'])}.</p>{notes}"
    )


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
        ("Iterations", count(result["iterations"]), _capital(result["stopped"])),
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
    cells = "".join(
        f'<div class="tile"><dt>{name}</dt><dd><span class="value">{escape(value)}</span>'
        f'<span class="more">{escape(more)}</span></dd></div>'
        for name, value, more in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def _inertia(metric: str, explained: float | None) -> str:
    if metric == "cosine":
        return "cosine distances, summed"
    return "weighted" if explained is None else f"{percent(explained)} of the variance explained"


def _empty(n_empty: int) -> str:
    return f"{count(n_empty)} of them empty" if n_empty else "none empty"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _quantiles(sizes: Array) -> str:
    shares = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    names = ("smallest", "5 %", "25 %", "median", "75 %", "95 %", "largest")
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td class="number">{count(np.quantile(sizes, share))}</td>'
        f'<td class="number">{percent(np.quantile(sizes, share) / sizes.sum())}</td></tr>'
        for name, share in zip(names, shares, strict=True)
    )
    return (
        "<figure><figcaption>Quantiles of the sizes</figcaption>"
        '<table class="quantiles"><thead><tr><th scope="col">clusters</th>'
        f'<th scope="col">rows</th><th scope="col">of all</th></tr></thead>{rows}</table></figure>'
    )


def _clusters(content: Content, colours: list[str]) -> str:
    model = content.model
    sizes = model.cluster_sizes_
    n_each = N_PICTURES if content.image_shape else N_LINES if content.lines else N_NUMBERS
    found, sampled = central.find(
        content.X, model.labels_, model.cluster_centers_, sizes, n_each, model.metric
    )
    if content.image_shape:
        bodies = _pictures(content, found)
    elif content.lines is not None:
        bodies = _texts(content.lines, found)
    else:
        bodies = [_numbers(one) for one in found]
    cards = "".join(
        f'<section class="cluster"><header><i class="swatch" style="background:'
        f'{colours[one.cluster]}"></i><h3>Cluster {one.cluster}</h3>'
        f"<span>{counted(one.size, 'row')} ({percent(one.size / sizes.sum())})"
        f"</span></header>{body}</section>"
        for one, body in zip(found, bodies, strict=True)
    )
    note = "Clusters by size, each with the rows nearest to its centroid."
    filled = int(np.count_nonzero(sizes))
    if len(found) < filled:
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


def _pictures(content: Content, found: list[Central]) -> list[str]:
    shape = content.image_shape
    assert shape is not None
    shown = content.X.take(np.concatenate([one.rows for one in found]))
    low, high = min(0.0, float(shown.min())), float(shown.max())
    coarse = ' class="coarse"' if max(shape[:2]) <= COARSE else ""
    starts = np.cumsum([len(one.rows) for one in found])[:-1]
    bodies = []
    for one, rows in zip(found, np.split(shown, starts), strict=True):
        centre = content.model.cluster_centers_[one.cluster][None]
        if content.model.metric == "cosine":  # a direction: as bright as the rows beside it
            centre = centre * np.linalg.norm(rows, axis=1).mean()
        mean = pictures.strip(centre, shape, low, high, 1)
        nearest = pictures.strip(rows, shape, low, high, N_PICTURES)
        listed = ", ".join(map(str, one.rows.tolist()))
        # Widths in shares of the card keep all pictures of one size.
        bodies.append(
            f'<div class="pictures"><div class="mean" style="width:{100 / (N_PICTURES + 2):.2f}%">'
            f'<img{coarse} src="{mean}" alt="Centroid of cluster {one.cluster}"><small>mean</small>'
            f'</div><div class="nearest"><img{coarse} src="{nearest}" '
            f'alt="The most central rows of cluster {one.cluster}: {listed}">'
            f"<small>rows {listed}</small></div></div>"
        )
    return bodies


def _texts(lines: Lines, found: list[Central]) -> list[str]:
    texts = lines.take(row for one in found for row in one.rows.tolist())
    return [
        "<ol>"
        + "".join(
            f"<li><span>{escape(_cut(texts[row]))}</span><small>{row}</small></li>"
            for row in one.rows.tolist()
        )
        + "</ol>"
        for one in found
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
    if content.labels_name.endswith(".npy"):
        load, labels = "import numpy as np", f'np.load("{content.labels_name}")'
    else:
        load = "import pyarrow.parquet as pq"
        labels = f'pq.read_table("{content.labels_name}")["label"].to_numpy()'
    return (
        f"{load}\nfrom unsup_fast.cluster import KMeans\n"
        f"labels = {labels}\n"
        'model = KMeans.load("model.safetensors")\n'
        "new_labels = model.predict(X_new)"
    )


def _facts(content: Content) -> str:
    summary = content.summary
    parameters = {name.replace("_", " "): value for name, value in summary["parameters"].items()}
    parameters = {"clusters": parameters.pop("n clusters"), **parameters}
    machine = summary["machine"]
    made = {
        "data": content.data_name,
        "system": machine["system"],
        "threads": machine["threads"],
        "SIMD level": machine["simd"],
        **summary["versions"],
    }
    return f'<div class="facts">{_table(parameters)}{_table(made)}</div>'


def _table(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(_shown(value))}</td></tr>'
        for name, value in values.items()
        if value is not None
    )
    return f"<table>{rows}</table>"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
