"""Progress displays of a fit: how far it is, and an honest estimate of the time left."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from unsup_fast.cli.terminal import emit, plain
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


def _steps(values: list[Any], end: float) -> int | None:
    """Return when the later half of `values` will be at `end`, on a line through its logs."""
    late = np.array(values[len(values) // 2 :], dtype=np.float64)
    late = late[late > 0]
    if len(late) < 4:
        return None
    slope = np.polyfit(np.arange(len(late)), np.log(late), 1)[0]
    if slope >= 0:
        return None
    return max(1, int(np.ceil((np.log(end) - np.log(late[-1])) / slope)))


class Silent:
    """Shows nothing."""

    def begin(self, what: str) -> None:
        """Say what is being done now."""

    def seeding(self, done: int, total: int) -> None:
        """Show how much of choosing the first centroids is done."""
        self.part(done, total, "chosen")

    def part(self, done: int, total: int, what: str) -> None:
        """Show how much of what was begun is done, and what that means: chosen, read."""

    def step(self, figures: str, outlook: Outlook) -> None:
        """Show a finished iteration."""

    def note(self, text: str) -> None:
        """Show a sentence during the fit."""

    def moved(self, head: str, figures: str, share: float, left: float) -> None:
        """Show how far something is of which the seconds left are known."""


class Lines(Silent):
    """Plain lines at a modest rate, for pipes and log files."""

    def __init__(self) -> None:
        self._last = -np.inf
        self._began = monotonic()

    def begin(self, what: str) -> None:
        """Print what is being done now."""
        self._began = monotonic()
        emit(f"{what} ...")

    def part(self, done: int, total: int, what: str) -> None:
        """Print how much is done if the last line is some time ago."""
        now = monotonic()
        if now - max(self._last, self._began) < LINE_EVERY:
            return
        self._last = now
        left = _part_left(now - self._began, done, total)
        emit(f"{percent(done / total)} {what}, {left}")

    def step(self, figures: str, outlook: Outlook) -> None:
        """Print a finished iteration if the last line is some time ago."""
        if monotonic() - self._last < LINE_EVERY:
            return
        self._last = monotonic()
        left = _left(outlook)
        emit(f"iteration {outlook.iteration}: {figures}{', ' + left if left else ''}")

    def note(self, text: str) -> None:
        """Print a sentence."""
        emit(text)

    def moved(self, head: str, figures: str, share: float, left: float) -> None:
        """Print how far it is if the last line is some time ago."""
        if monotonic() - self._last < LINE_EVERY:
            return
        self._last = monotonic()
        emit(f"{head}: {figures}{_about(left)}")


class Display(Silent):
    """A bar and two lines of figures that overwrite the previous ones."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        self._start = monotonic()
        self._dots = "line" if ascii_only else "dots"
        self._spinner = Spinner(self._dots)
        self._bar: ProgressBar | None = None
        self._began = self._start
        self._done = 0.0  # of the iterations: the bar never goes back
        self._head = self._figures = self._left = self._note = ""

    def begin(self, what: str) -> None:
        """Show a spinner with what is being done now."""
        self._spinner = Spinner(self._dots, plain(f"{what} "))
        self._bar = None
        self._began = monotonic()

    def part(self, done: int, total: int, what: str) -> None:
        """Move the bar to how much is done."""
        self._head = f"{percent(done / total)} {what}"
        self._figures = str(self._spinner.text).strip()
        self._left = _part_left(monotonic() - self._began, done, total)
        self._bar = ProgressBar(total=1.0, completed=done / total)

    def step(self, figures: str, outlook: Outlook) -> None:
        """Move the bar to where a finished iteration leaves it."""
        expected, most = outlook.iterations()
        total = outlook.iteration + (most if expected is None else expected)
        self._done = max(outlook.iteration / total, self._done)
        self._head = f"iteration {outlook.iteration} of at most {outlook.max_iter}"
        self._figures = figures
        self._left = _left(outlook)
        self._bar = ProgressBar(total=1.0, completed=min(1.0, self._done))

    def note(self, text: str) -> None:
        """Show a sentence below the figures."""
        self._note = text

    def moved(self, head: str, figures: str, share: float, left: float) -> None:
        """Move the bar to how far it is."""
        self._head, self._figures = head, figures
        self._left = _about(left).removeprefix(", ")
        self._bar = ProgressBar(total=1.0, completed=share)

    def render(self) -> Any:
        """Return what is to be seen at this moment."""
        elapsed = seconds(round(monotonic() - self._start, 1))
        if self._bar is None:
            line = Table.grid(padding=(0, 1))
            line.add_row(self._spinner, Text(elapsed, style="dim"))
            return line
        head = Table.grid(padding=(0, 2), expand=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True)
        head.add_row(self._bar, Text(self._head))
        times = f"{elapsed} so far" + (f", {self._left}" if self._left else "")
        notes = [Text(self._note)] if self._note else []
        return Group(head, Text(self._figures), Text(times, style="dim"), *notes)


@contextmanager
def showing(console: Console, quiet: bool) -> Iterator[Silent]:
    """Return the progress display that suits the output."""
    if quiet:
        yield Silent()
    elif not console.is_terminal:
        yield Lines()
    else:
        display = Display(ascii_only=console.options.ascii_only)
        with Live(get_renderable=display.render, console=console, transient=True):
            yield display
        sys.stdout.flush()


def _part_left(elapsed: float, done: int, total: int) -> str:
    return f"about {seconds(elapsed / done * (total - done))} left" if done else ""


def _about(left: float) -> str:
    return f", about {seconds(left)} left" if left >= 0.05 else ""


def _left(outlook: Outlook) -> str:
    expected, most = outlook.seconds()
    if most is None:
        return ""
    if expected is None or expected >= most:
        return f"at most {seconds(most)} left"
    return f"about {seconds(expected)} left, at most {seconds(most)}"
