"""Figures by matplotlib, as SVG for inside a page: they follow its light and dark colours."""

import io
import json
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

from unsup_fast import _extras
from unsup_fast._text import printable

# matplotlib draws with these hex colours; CSS variables of the same names replace them.
INK, SOFT, RULE, ACCENT = "#0f1e00", "#0f1e01", "#0f1e02", "#0f1e03"
CLUSTER = [f"#0f1e1{number}" for number in range(10)]
VARIABLES = {INK: "ink", SOFT: "soft", RULE: "rule", ACCENT: "accent"} | {
    colour: f"c{number}" for number, colour in enumerate(CLUSTER)
}

# At 72 dots per inch a point is a unit of the SVG, whose backend knows no other resolution.
DPI = 72
STYLE = {
    "figure.dpi": DPI,
    "svg.fonttype": "none",  # text stays text
    "path.simplify": False,
    "font.size": 12,
    "lines.linewidth": 2,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 1,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": RULE,
    "grid.linewidth": 1,
    "xtick.bottom": False,
    "xtick.major.size": 0,
    "xtick.major.pad": 8,
    "ytick.left": False,
    "ytick.major.size": 0,
    "ytick.major.pad": 7,
}


@contextmanager
def _silent() -> Iterator[None]:
    """Keep matplotlib from warning, as of a font cache to be built; its errors remain."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def load(module: str) -> Any:
    """Return a module of matplotlib.

    Raises
    ------
    ImportError
        If matplotlib is missing, with the install command.
    """
    with _silent():
        return _extras.require(module, "cli", "a report")


def svg(
    name: str,
    size: tuple[int, int],
    margins: tuple[int, int, int, int],
    paint: Callable[[Any], None],
    kind: str = "",
) -> str:
    """Return a drawing as an `<svg>` element.

    Parameters
    ----------
    name : str
        What it shows, for those who do not see it.
    size : (width, height)
        In units of the SVG; so are the margins.
    margins : (left, right, bottom, top)
        Around the axes.
    paint : function of an Axes
        Draws with the colours of this module only.
    kind : str
        Class of the element.
    """
    style, figures = load("matplotlib.style"), load("matplotlib.figure")
    (width, height), (left, right, bottom, top) = size, margins
    box = [
        left / width,
        bottom / height,
        (width - left - right) / width,
        (height - bottom - top) / height,
    ]
    file = io.StringIO()
    # Salted with its name, no id of one figure equals an id of another in the same page. The
    # default style keeps a matplotlibrc of the user's out.
    with _silent(), style.context(["default", STYLE | {"svg.hashsalt": name}]):
        figure = figures.Figure(figsize=(width / DPI, height / DPI))
        axes = figure.add_axes(box)
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        paint(axes)
        figure.savefig(file, format="svg", metadata={"Date": None})
    return _inline(file.getvalue(), name, size, kind)


def mark(artist: Any, kind: str, notes: Sequence[str] = ()) -> None:
    """Give an artist a class, and each of its shapes a note that shows where pointed at."""
    artist.set_gid(json.dumps([kind, *notes]))  # the one thing that goes through to the SVG


def _inline(text: str, name: str, size: tuple[int, int], kind: str) -> str:
    """Return matplotlib's SVG without what a page has no use for."""
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var(--{variable})")
    root = ElementTree.fromstring(text)
    root.attrib = {
        "viewBox": f"0 0 {size[0]} {size[1]}",
        "role": "img",
        "aria-label": printable(name),
    }
    if kind:
        root.set("class", kind)
    for element in root.iter():
        _plain(element)
    used = {element.get("href", "")[1:] for element in root.iter("use")}
    for element in root.iter():
        identity = element.get("id", "")
        if identity not in used:
            element.attrib.pop("id", None)
        if identity.startswith("["):
            _annotate(element, *json.loads(identity))
    return ElementTree.tostring(root, encoding="unicode")


def _plain(element: ElementTree.Element) -> None:
    """Drop name spaces, metadata, styles, clipping, blanks and decimals.

    Fonts are the page's affair, and nothing is drawn where it would have to be clipped.
    """
    for child in list(element):
        child.tag = child.tag.rpartition("}")[2]
        if child.tag in ("metadata", "style", "clipPath"):  # the style would be the whole page's
            element.remove(child)
    element.tag = element.tag.rpartition("}")[2]
    element.tail = None
    for key in list(element.attrib):
        element.set(key.rpartition("}")[2], element.attrib.pop(key))
    element.attrib.pop("clip-path", None)
    for key in {"d", "x", "y"} & set(element.attrib):
        value = re.sub(r"-?\d+\.\d+", _tenths, element.attrib[key])
        element.set(key, re.sub(r"\s*([A-Za-z])\s*", r"\1", value))
    if element.tag == "text":
        anchor = re.search(r"text-anchor: (\w+)", element.get("style", ""))
        position = {key: element.attrib[key] for key in ("x", "y")}
        element.attrib = position | {"text-anchor": anchor[1] if anchor else "start"}
    else:
        element.text = None


def _tenths(number: re.Match[str]) -> str:
    return f"{float(number[0]):.1f}".removesuffix(".0")


def _annotate(element: ElementTree.Element, kind: str, *notes: str) -> None:
    defined = {path for defs in element.iter("defs") for path in defs}
    for one in {element, *defined}:  # a style reaches through <use> by a class of the path alone
        one.set("class", kind)
    shapes = [one for one in element.iter() if one.tag in ("path", "use") and one not in defined]
    if len(shapes) != len(notes):  # rather no note than another shape's
        return
    for shape, note in zip(shapes, notes, strict=True):
        ElementTree.SubElement(shape, "title").text = printable(note)
