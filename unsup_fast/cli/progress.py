"""Progress displays of a fit: how far it is, and an honest estimate of the time left."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

import numpy as np
from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from unsup_fast._text import printable
from unsup_fast.cli.terminal import emit
from unsup_fast.report.numbers import percent, seconds

# Seconds between lines where nothing can be redrawn.
LINE_EVERY = 2.0


class Outlook:
    """An estimate of the remaining iterations, from the decay of the changes."""

    def __init__(self, max_iter: int) -> None:
        self.max_iter = max_iter
        self.iteration = 0
        self._tol = 0.0
        self._changed: list[int] = []
        self._shifts: list[float] = []
        self._times: list[float] = []

    def add(self, iteration: int, n_changed: int, center_shift: float, tol: float) -> None:
        """Take note of a finished iteration."""
        self.iteration = iteration
        self._tol = tol
        self._changed.append(n_changed)
        self._shifts.append(center_shift)
        self._times.append(monotonic())

    def iterations(self) -> tuple[int | None, int]:
        """Return the iterations expected (None if nothing can be said) and the most possible."""
        most = self.max_iter - self.iteration
        ends = [_steps(self._changed, 0.5)]
        if self._tol > 0:
            ends.append(_steps(self._shifts, self._tol))
        known = [end for end in ends if end is not None]
        return (min(most, *known) if known else None), most

    def seconds(self) -> tuple[float | None, float | None]:
        """Return the seconds expected and the most possible, at the pace of late."""
        recent = self._times[-6:]
        if len(recent) < 2:
            return None, None
        pace = (recent[-1] - recent[0]) / (len(recent) - 1)
        expected, most = self.iterations()
        return (None if expected is None else expected * pace), most * pace


def _steps(values: Sequence[float], end: float) -> int | None:
    """Return when the later half of `values` will be at `end`, on a line through its logs."""
    late = np.array(values[len(values) // 2 :], dtype=np.float64)
    late = late[late > 0]
    if len(late) < 4:
        return None
    slope = np.polyfit(np.arange(len(late)), np.log(late), 1)[0]
    if slope >= 0:
        return None
    return max(1, int(np.ceil((np.log(end) - np.log(late[-1])) / slope)))


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far something is.

    Attributes
    ----------
    head : str
        Short, as "iteration 3" or "25 % read".
    most : str
        Continues the head where there is room, as " of at most 300".
    figures : str
        What has been computed so far, or is being done.
    share : float
        From 0 to 1.
    left : str
        The time left, in words; empty if it is not known.
    """

    head: str
    most: str = ""
    figures: str = ""
    share: float
    left: str


class Silent:
    """Shows nothing; the displays derive from it."""

    def __init__(self) -> None:
        self._began = monotonic()

    def begin(self, what: str) -> None:
        """Say what is being done now."""
        self._began = monotonic()

    def seeding(self, done: int, total: int) -> None:
        """Show how much of choosing the first centroids is done."""
        self.part(done, total, "chosen")

    def part(self, done: int, total: int, what: str) -> None:
        """Show how much of what was begun is done, and what that means: chosen, read."""
        now, share = monotonic(), done / total
        left = (now - self._began) / done * (total - done) if done else None
        words = "" if left is None else f"about {seconds(left)} left"
        position = Position(head=f"{percent(share)} {what}", share=share, left=words)
        self._show(position, now, since=self._began)

    def step(self, figures: str, outlook: Outlook) -> None:
        """Show a finished iteration."""
        expected, most = outlook.iterations()
        total = outlook.iteration + (most if expected is None else expected)
        position = Position(
            head=f"iteration {outlook.iteration}",
            most=f" of at most {outlook.max_iter}",
            figures=figures,
            share=min(1.0, outlook.iteration / total),
            left=_left(outlook),
        )
        self._show(position, monotonic())

    def moved(self, head: str, figures: str, share: float, left: float) -> None:
        """Show how far something is of which the seconds left are known."""
        words = f"about {seconds(left)} left" if left >= 0.05 else ""
        self._show(Position(head=head, figures=figures, share=share, left=words), monotonic())

    def note(self, text: str) -> None:
        """Show a sentence during the fit."""

    def _show(self, position: Position, now: float, since: float = -np.inf) -> None:
        """Show how far it is; lines wait for some seconds after `since`."""


class Lines(Silent):
    """Plain lines at a modest rate, for pipes and log files."""

    def __init__(self) -> None:
        super().__init__()
        self._last = -np.inf

    def begin(self, what: str) -> None:
        """Print what is being done now."""
        super().begin(what)
        emit(f"{what} ...")

    def note(self, text: str) -> None:
        """Print a sentence."""
        emit(text)

    def _show(self, position: Position, now: float, since: float = -np.inf) -> None:
        if now - max(self._last, since) < LINE_EVERY:
            return
        self._last = now
        figures = f": {position.figures}" if position.figures else ""
        emit(f"{position.head}{figures}{', ' if position.left else ''}{position.left}")


class Display(Silent):
    """A bar and lines of figures that overwrite the previous ones."""

    def __init__(self, console: Console | None = None, *, ascii_only: bool = False) -> None:
        super().__init__()
        self.bar = _Bar(
            SpinnerColumn("line" if ascii_only else "dots"),
            BarColumn(None),
            TextColumn(
                "{task.description}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="crop"),
            ),
            TimeElapsedColumn(),
            console=console,
            expand=True,
            refresh_per_second=4,
            transient=True,
        )
        self._task = self.bar.add_task("", total=None)
        self._what = self._note = ""
        self._share = 0.0

    def begin(self, what: str) -> None:
        """Show what is being done now, without how far it is."""
        super().begin(what)
        self._what, self._share = printable(what), 0.0
        self.bar.lines = []
        self.bar.reset(self._task, total=None, description=self._what)

    def part(self, done: int, total: int, what: str) -> None:
        """Move the bar to how much is done."""
        self._share = 0.0
        super().part(done, total, what)
        self._share = 0.0  # iterations that follow begin anew

    def note(self, text: str) -> None:
        """Show a sentence below the figures."""
        self._note = text

    def _show(self, position: Position, now: float, since: float = -np.inf) -> None:
        self._share = max(position.share, self._share)  # the bar never goes back
        self.bar.update(
            self._task,
            total=1.0,
            completed=self._share,
            description=printable(f"{position.head}{position.most}"),
        )
        lines = (position.figures or self._what, position.left, self._note)
        self.bar.lines = [Text(printable(line)) for line in lines if line]


class _Bar(Progress):
    """A bar with lines below it."""

    lines: Sequence[Text] = ()

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield from self.lines


@contextmanager
def showing(console: Console, quiet: bool) -> Iterator[Silent]:
    """Return the progress display that suits the output."""
    if quiet:
        yield Silent()
    elif not console.is_terminal:
        yield Lines()
    else:
        display = Display(console, ascii_only=console.options.ascii_only)
        with display.bar:
            yield display
        sys.stdout.flush()


def _left(outlook: Outlook) -> str:
    expected, most = outlook.seconds()
    if most is None:
        return ""
    if expected is None or expected >= most:
        return f"at most {seconds(most)} left"
    return f"about {seconds(expected)} left, at most {seconds(most)}"
