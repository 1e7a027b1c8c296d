"""The page of a search for near-duplicates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from unsup_fast.report import figure, frame, page
from unsup_fast.report.lines import Lines
from unsup_fast.report.numbers import count, counted, percent, real, seconds
from unsup_fast.report.page import Card

LONGEST_LINE = 160
FIRST = {
    "hard": "the row farthest from its centroid",
    "easy": "the row nearest to its centroid",
    "random": "a row at random",
}


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """The content of the report.

    Attributes
    ----------
    title, data_name : str
        Headline, and name of the data file.
    summary : dict
        What `summary.json` holds.
    keep_name : str
        Name of the file that says which rows to keep.
    examples : sequence of sequences of (int, int, float)
        Pairs of rows of the data and their value, for each range between two thresholds.
    lines : Lines or None
        A line of text for each row.
    """

    title: str
    data_name: str
    summary: Mapping[str, Any]
    keep_name: str
    examples: Sequence[Sequence[tuple[int, int, float]]]
    lines: Lines | None


def dedup(content: Duplicates) -> str:
    """Return the page."""
    data, result = content.summary["data"], content.summary["result"]
    parameters, levels = content.summary["parameters"], result["thresholds"]
    rows, columns = counted(data["rows"], "row"), counted(data["columns"], "column")
    measure = {"cosine": "cosine similarity", "euclidean": "Euclidean distance"}
    return page.document(
        "dedup.html",
        title=content.title,
        lead=f"{rows} of {columns}, {data['dtype']}, compared by "
        f"{measure[parameters['metric']]} within {counted(result['clusters'], 'cluster')}.",
        notes=data["notes"],
        summary=content.summary,
        data_name=content.data_name,
        tiles=_tiles(content),
        pairs=_histogram(levels, "pairs", f"Pairs by {measure[parameters['metric']]}"),
        removed=_line(levels, data["rows"]),
        levels=[
            (
                f"{level['threshold']:.6g}",
                count(level["pairs"]),
                count(level["removed"]),
                percent(level["removed"] / data["rows"]),
            )
            for level in levels
        ],
        cards=_cards(content, levels),
        code=_code(content),
        usage="keep[i] says whether row i of the file stays. Pairs are rows i < j of the file.",
    )


def _tiles(content: Duplicates) -> list[tuple[str, str, str]]:
    data, result = content.summary["data"], content.summary["result"]
    parameters, machine = content.summary["parameters"], content.summary["machine"]
    n_rows = data["rows"]
    return [
        ("Rows", count(n_rows), f"in {counted(result['clusters'], 'cluster')}"),
        ("Kept", count(result["rows_to_keep"]), "of duplicates " + FIRST[parameters["keep"]]),
        ("Removed", count(result["rows_removed"]), percent(result["rows_removed"] / n_rows)),
        ("Pairs", count(result["pairs"]), f"at a threshold of {parameters['threshold']:g}"),
        (
            "Time",
            seconds(result["seconds"]),
            f"without clustering; {counted(machine['threads'], 'thread')}",
        ),
    ]


def _histogram(levels: Sequence[Mapping[str, Any]], name: str, caption: str) -> str:
    """Return the numbers of pairs between consecutive thresholds, as bars."""
    heights = _between(levels)
    ends = [level["threshold"] for level in levels]
    ranges = [*pairwise(ends), (ends[-1], ends[-1])]

    def paint(axes: Any) -> None:
        bars = axes.bar(range(len(heights)), heights, width=0.76, color=figure.ACCENT)
        for bar, height, span in zip(bars, heights, ranges, strict=True):
            figure.mark(bar, "bar", [f"{_range(*span)}: {counted(height, 'pair')}"])
        axes.set_xlim(-0.5, len(heights) - 0.5)
        axes.set_ylim(0, 1.04 * max(1, *heights))
        shown = range(0, len(ends), 2)
        axes.set_xticks(list(shown), [f"{ends[k]:.4g}" for k in shown])

    said = f"Bars of {count(sum(heights))} {name} from {ends[0]:g} to {ends[-1]:g}"
    return frame.chart(caption, said, "from this value on", paint)


def _line(levels: Sequence[Mapping[str, Any]], n_rows: int) -> str:
    """Return the rows that each threshold removes."""
    thresholds = np.array([level["threshold"] for level in levels])
    removed = np.array([level["removed"] for level in levels])
    notes = [
        f"{threshold:.6g}: {counted(rows, 'row')} ({percent(rows / n_rows)})"
        for threshold, rows in zip(thresholds.tolist(), removed.tolist(), strict=True)
    ]
    low, high = float(thresholds.min()), float(thresholds.max())

    def paint(axes: Any) -> None:
        frame.line(axes, thresholds, removed, notes)
        axes.set_xlim(low, high if high > low else low + 1)
        axes.set_ylim(0, 1.04 * max(1, int(removed.max())))
        frame.round_ticks(axes.xaxis, low, high)

    said = f"Removed rows by threshold, {count(removed[0])} at {thresholds[0]:g}"
    return frame.chart("Rows removed by threshold", said, "threshold", paint)


def _between(levels: Sequence[Mapping[str, Any]]) -> list[int]:
    pairs = [level["pairs"] for level in levels]
    return [a - b for a, b in zip(pairs, [*pairs[1:], 0], strict=True)]


def _range(start: float, end: float) -> str:
    return f"{start:.6g}" if start == end else f"{start:.6g} to {end:.6g}"


def _cards(content: Duplicates, levels: Sequence[Mapping[str, Any]]) -> list[Card]:
    """Return the examples of each range that has any."""
    ends = [level["threshold"] for level in levels]
    cards = []
    texts = _texts(content)
    sizes = _between(levels)
    for number, pairs in enumerate(content.examples):
        if not pairs:
            continue
        items = []
        for i, j, value in pairs:
            if texts is None:
                items.append((f"rows {i} and {j}", real(value)))
            else:
                items += [(_cut(texts[i]), f"{i}"), (_cut(texts[j]), f"{j}: {real(value)}")]
        card = Card(
            title=_range(ends[number], ends[min(number + 1, len(ends) - 1)]),
            detail=counted(sizes[number], "pair"),
            items=items,
        )
        cards.append(card)
    return cards


def _texts(content: Duplicates) -> dict[int, str] | None:
    if content.lines is None:
        return None
    return content.lines.take(
        row for pairs in content.examples for i, j, _ in pairs for row in (i, j)
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 1].rstrip() + "…"


def _code(content: Duplicates) -> str:
    if content.keep_name.endswith(".npy"):
        return f'import numpy as np\n\nkeep = np.load("{content.keep_name}")\nX = X[keep]'
    return (
        "import pyarrow.parquet as pq\n\n"
        f'keep = pq.read_table("{content.keep_name}")["keep"]\ntable = table.filter(keep)'
    )
