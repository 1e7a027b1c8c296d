"""Charts as inline SVG: drawn in the page's colours, so that they follow light and dark."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from unsup_fast.report.numbers import short

WIDTH, HEIGHT = 440, 260
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 46


@dataclass(frozen=True)
class Scale:
    """Maps values to positions, on a linear or logarithmic axis.

    Attributes
    ----------
    low, high : float
        Values at the two ends.
    start, end : float
        Positions of the two ends.
    log : bool
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the position of a value."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Return round values along the axis."""
        if not self.log:
            return nice(self.low, self.high)
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high))
        powers = [10.0**power for power in range(first, last + 1)]
        if len(powers) >= 2:
            return powers[:: math.ceil(len(powers) / 6)]
        return nice(self.low, self.high)


def nice(low: float, high: float, most: int = 6) -> list[float]:
    """Return up to `most` multiples of 1, 2 or 5 times a power of ten in an interval."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10):
        if (high - low) / (step * factor) <= most - 1:
            break
    step *= factor
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def frame(
    name: str,
    parts: Sequence[str],
    x: Scale,
    y: Scale,
    x_title: str,
    y_title: str,
    x_ticks: Sequence[tuple[float, str]] | None = None,
) -> str:
    """Return a chart: marks, axes with ticks and titles, and a description for who cannot see."""
    if x_ticks is None:
        x_ticks = [(value, tick(value)) for value in x.ticks()]
    grid = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        for v in y.ticks()
    ]
    labels = [
        f'<text x="{LEFT - 7}" y="{y(v):.1f}" dy=".35em" text-anchor="end">{tick(v)}</text>'
        for v in y.ticks()
    ]
    labels += [
        f'<text x="{x(v):.1f}" y="{HEIGHT - BOTTOM + 17}" text-anchor="middle">{label}</text>'
        for v, label in x_ticks
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    titles = [
        f'<text class="axis" x="{middle:.0f}" y="{HEIGHT - 7}" text-anchor="middle">'
        f"{escape(x_title)}</text>"
    ]
    return (
        f'<figure><figcaption>{escape(y_title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="{escape(name)}">{"".join(grid)}{"".join(parts)}'
        f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{HEIGHT - BOTTOM}" '
        f'y2="{HEIGHT - BOTTOM}"/>{"".join(labels)}{"".join(titles)}</svg></figure>'
    )


def tick(value: float) -> str:
    """Return a tick's label."""
    if 0 < abs(value) < 1e-3 or abs(value) >= 1e9:
        mantissa, exponent = f"{value:e}".split("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    return short(value) if abs(value) >= 1e4 else f"{value:,.6g}"


def across(low: float, high: float, log: bool = False) -> Scale:
    """Return the scale of a chart's x axis."""
    return Scale(low, high, LEFT, WIDTH - RIGHT, log)


def upward(low: float, high: float, log: bool = False) -> Scale:
    """Return the scale of a chart's y axis."""
    return Scale(low, high, HEIGHT - BOTTOM, TOP, log)


def line(xs: Sequence[float], ys: Sequence[float], x: Scale, y: Scale, notes: Sequence[str]) -> str:
    """Return a line with dots; each dot says its note when pointed at."""
    points = [(x(a), y(b)) for a, b in zip(xs, ys, strict=True)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    dots = ""
    if len(points) <= 60:
        dots = "".join(
            f'<circle class="dot" cx="{a:.1f}" cy="{b:.1f}" r="3"><title>{escape(note)}</title>'
            "</circle>"
            for (a, b), note in zip(points, notes, strict=True)
        )
    return f'<polyline class="line" points="{path}"/>{dots}'


def bar(left: float, right: float, top: float, note: str, colour: str = "") -> str:
    """Return a bar that stands on the x axis; positions, not values."""
    base = HEIGHT - BOTTOM
    width = max(0.8, right - left)
    style = f' style="fill:{colour}"' if colour else ""
    return (
        f'<rect class="bar" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" '
        f'height="{max(0.0, base - top):.1f}"{style}><title>{escape(note)}</title></rect>'
    )
