"""Common parts of the pages of all runs: one HTML file that needs nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np

from unsup_fast._types import Array
from unsup_fast.blocks import Source
from unsup_fast.report import rendering
from unsup_fast.report.lines import Lines
from unsup_fast.report.numbers import count, counted, percent

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


class Picture(NamedTuple):
    """A PNG inside the page.

    Attributes
    ----------
    uri : str
        All of it, as a data URI.
    alt : str
        What it shows, for those who do not see it.
    coarse : bool
        Whether it is enlarged, so that its pixels are squares.
    caption : str
    """

    uri: str
    alt: str
    coarse: bool
    caption: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a page says of one cluster, component or axis.

    Attributes
    ----------
    title, detail : str
    colour : int or None
        Number of its colour.
    items : sequence of (str, str)
        Lines of a list, each a text and a note; or, instead, pictures:
    means : sequence of Picture
        Each as wide as one of the rows.
    nearest : Picture or None
        The nearest rows, in one.
    room : int
        Widths of a row that the card has.
    """

    title: str
    detail: str
    colour: int | None = None
    items: Sequence[tuple[str, str]] = ()
    means: Sequence[Picture] = ()
    nearest: Picture | None = None
    room: int = 1


def whole(template: str, content: Content, *, method: str, **parts: Any) -> str:
    """Return the page of a run on rows.

    Parameters
    ----------
    template : str
        Name of its template.
    content : Content
    method : str
        What was done, at the beginning of a sentence.
    **parts
        As for `document`.
    """
    data = content.summary["data"]
    rows, columns = counted(content.X.n_rows, "row"), counted(content.X.n_columns, "column")
    return document(
        template,
        title=content.title,
        lead=f"{method} of {content.data_name}: {rows} of {columns}, {data['dtype']}.",
        notes=data["notes"],
        summary=content.summary,
        data_name=content.data_name,
        **parts,
    )


def document(template: str, *, summary: Mapping[str, Any], data_name: str, **parts: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of its template, which extends `page.html`.
    summary : mapping
        What `summary.json` holds.
    data_name : str
    **parts
        `title`, `lead`, `notes`, `tiles` (name, value and more about it), `code` and `usage` (how
        to use the result in Python, and a sentence below); and what the template needs.
    """
    page = rendering.render(
        template,
        facts=_facts(summary, data_name),
        version=summary["versions"]["unsup_fast"],
        date=f"{datetime.now(timezone.utc):%-d %B %Y, %H:%M}",
        **parts,
    )
    return str(page)


def capital(text: str) -> str:
    """Return a sentence with a large first letter."""
    return text[:1].upper() + text[1:]


def quantiles(sizes: Array) -> list[tuple[str, str, str]]:
    """Return quantiles of the numbers of rows of clusters or components, each with its name."""
    shares = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    names = ("smallest", "5 %", "25 %", "median", "75 %", "95 %", "largest")
    values = np.quantile(sizes, shares)
    return [
        (name, count(value), percent(value / sizes.sum()))
        for name, value in zip(names, values, strict=True)
    ]


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


def _facts(summary: Mapping[str, Any], data_name: str) -> list[dict[str, str]]:
    """Return the parameters, and what the run depended on, as text by name."""
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
    return [
        {name: _shown(value) for name, value in values.items() if value is not None}
        for values in (parameters, environment)
    ]


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
