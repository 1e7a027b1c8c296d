"""Reports after each row of a table: a callback, and progress on stderr."""

import sys
from collections.abc import Callable
from time import monotonic
from typing import Any

import torch

EVERY = 0.1  # seconds between redrawn lines


class Watch:
    """The function called after each row; `close` ends the progress line."""

    def __init__(
        self,
        callback: Callable[[int, Any], object] | None,
        report: Callable[[int, int, float], object] | None,
        n_rows: int,
        device: Any,
    ) -> None:
        self._callback = callback
        self._report = report
        self._n_rows = n_rows
        self._device = device
        self._begun = monotonic()

    def __call__(self, row: int, x: Any) -> None:
        """Report that a row is done."""
        if self._callback is not None:
            self._callback(row, x)
        if self._report is not None:
            if self._device.type == "cuda":
                torch.cuda.synchronize(self._device)
            done = row + 1
            pace = (monotonic() - self._begun) / done
            self._report(done, self._n_rows, pace * (self._n_rows - done))

    def close(self) -> None:
        """End the progress line."""
        if isinstance(self._report, Line):
            self._report.close()


class Line:
    """A progress line on stderr, redrawn on a terminal, else written once at the end."""

    def __init__(self) -> None:
        self._last = -EVERY
        self._text = ""

    def __call__(self, done: int, n_rows: int, left: float) -> None:
        """Show the progress."""
        now = monotonic()
        self._text = f"{done}/{n_rows} steps, {left:.0f} s left"
        if sys.stderr.isatty() and (done == n_rows or now - self._last >= EVERY):
            self._last = now
            sys.stderr.write(f"\r\x1b[K{self._text}")
            sys.stderr.flush()

    def close(self) -> None:
        """End the line."""
        if self._text:
            sys.stderr.write("\n" if sys.stderr.isatty() else f"{self._text}\n")
            sys.stderr.flush()


def watch(
    callback: Callable[[int, Any], object] | None,
    progress: bool | Callable[[int, int, float], object],
    n_rows: int,
    device: Any,
) -> Watch:
    """Return the function that `sample` calls after each row."""
    report = progress if callable(progress) else Line() if progress else None
    return Watch(callback, report, n_rows, device)
