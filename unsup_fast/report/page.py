"""Common parts of the pages of all runs: one HTML file that needs nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import resources
from typing import Any

import numpy as np

from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.report.lines import Lines
from unsup_fast.report.numbers import count, counted, percent
from unsup_fast.report.text import escape

# Up to this side, in pixels, pictures are enlarged, and their pixels are shown as squares.
COARSE = 32

# What is added to the name of a method.
STANDARDIZED = {False: "", True: ", columns divided by their standard deviations,"}


@dataclass(frozen=True)
class Content:
    """The content of a report.

    Attributes
    ----------
    title, data_name : str
        Headline, and name of the data file.
    X : Source of shape (N, D)
    model : estimator
        Fitted on X.
    summary : dict
        What `summary.json` holds.
    labels_name : str
        Name of the file with the labels, or of a PCA the coordinates.
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


def whole(content: Content, method: str, tiles: str, body: str, code: str, note: str) -> str:
    """Return the page around the sections of a run.

    Parameters
    ----------
    content : Content
    method : str
        What was done, at the beginning of a sentence.
    tiles, body : str
        HTML.
    code, note : str
        How to use the result in Python, and a sentence below.
    """
    return document(
        content.title,
        _lead(content, method),
        tiles,
        body,
        code,
        note,
        content.summary,
        content.data_name,
    )


def document(
    title: str,
    lead: str,
    tiles: str,
    body: str,
    code: str,
    note: str,
    summary: Mapping[str, Any],
    data_name: str,
) -> str:
    """Return a page from its parts, those of `whole` and what stands under the headline."""
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    title = escape(title)
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
{lead}
{tiles}
{body}
<h2>Use the result</h2>
<pre><code>{escape(code)}</code></pre>
<p class="note">{escape(note)}</p>
<h2>How it was made</h2>
{_facts(summary, data_name)}
<footer>Made by unsup_fast {escape(summary["versions"]["unsup_fast"])} on
{datetime.now(timezone.utc):%-d %B %Y, %H:%M} UTC.</footer>
</main>
</body>
</html>
"""


def tiles(tiles: Iterable[tuple[str, str, str]]) -> str:
    """Return figures, each a name, a value and something more about it."""
    cells = "".join(
        f'<div class="tile"><dt>{name}</dt><dd><span class="value">{escape(value)}</span>'
        f'<span class="more">{escape(more)}</span></dd></div>'
        for name, value, more in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'


def capital(text: str) -> str:
    """Return a sentence with a large first letter."""
    return text[:1].upper() + text[1:]


def quantiles(sizes: Array, things: str) -> str:
    """Return a table of the quantiles of the numbers of rows of clusters or components."""
    shares = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    names = ("smallest", "5 %", "25 %", "median", "75 %", "95 %", "largest")
    rows = "".join(
        f'<tr><th scope="row">{name}</th><td class="number">{count(np.quantile(sizes, share))}</td>'
        f'<td class="number">{percent(np.quantile(sizes, share) / sizes.sum())}</td></tr>'
        for name, share in zip(names, shares, strict=True)
    )
    return (
        "<figure><figcaption>Quantiles of the sizes</figcaption>"
        f'<table class="quantiles"><thead><tr><th scope="col">{things}</th>'
        f'<th scope="col">rows</th><th scope="col">of all</th></tr></thead>{rows}</table></figure>'
    )


def has_names(content: Content) -> bool:
    """Return whether each column of the rows has a name of its own."""
    names = content.summary["data"].get("column_names")
    return names is not None and len(names) == content.X.n_columns


def column_names(content: Content) -> list[str]:
    """Return what to call each column."""
    if not has_names(content):
        return [f"column {j}" for j in range(content.X.n_columns)]
    return [str(name) for name in content.summary["data"]["column_names"]]


def load(content: Content, name: str, column: str) -> tuple[str, str]:
    """Return code that imports a reader of a results file, and code that reads it."""
    if content.labels_name.endswith(".npy"):
        return "import numpy as np", f'{name} = np.load("{content.labels_name}")'
    read = f'pq.read_table("{content.labels_name}")'
    return "import pyarrow.parquet as pq", f"{name} = {read}{column}"


def _lead(content: Content, method: str) -> str:
    data = content.summary["data"]
    rows, columns = counted(content.X.n_rows, "row"), counted(content.X.n_columns, "column")
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in data["notes"])
    return (
        f'<p class="lead">{method} of {escape(content.data_name)}: {rows} of {columns}, '
        f"{escape(data['dtype'])}.</p>{notes}"
    )


def _facts(summary: Mapping[str, Any], data_name: str) -> str:
    parameters = {name.replace("_", " "): value for name, value in summary["parameters"].items()}
    if "n clusters" in parameters:
        parameters = {"clusters": parameters.pop("n clusters"), **parameters}
    machine = summary["machine"]
    environment = {
        "data": data_name,
        "system": machine["system"],
        **({"device": machine["device"]} if "device" in machine else {}),
        "threads": machine["threads"],
        "SIMD level": machine["simd"],
        **summary["versions"],
    }
    return f'<div class="facts">{_table(parameters)}{_table(environment)}</div>'


def _table(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(str(name))}</th><td>{escape(_shown(value))}</td></tr>'
        for name, value in values.items()
        if value is not None
    )
    return f"<table>{rows}</table>"


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
