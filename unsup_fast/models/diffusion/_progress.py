"""Reports after each row of a table: a callback, and progress."""

from collections.abc import Callable
from time import monotonic

import torch
from torch import Tensor

from unsup_fast.models.training.progress import Bar, Report


class Watch:
    """The function called after each row; `close` ends the progress line."""

    def __init__(
        self,
        callback: Callable[[int, Tensor], object] | None,
        report: Report | None,
        n_rows: int,
        device: torch.device,
    ) -> None:
        self._callback = callback
        self._report = report
        self._n_rows = n_rows
        self._device = device
        self._begun = monotonic()

    def __call__(self, row: int, x: Tensor) -> None:
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
        if isinstance(self._report, Bar):
            self._report.close()


def watch(
    callback: Callable[[int, Tensor], object] | None,
    progress: bool | Report,
    n_rows: int,
    device: torch.device,
) -> Watch:
    """Return the function that `sample` calls after each row."""
    report = progress if callable(progress) else Bar(n_rows) if progress else None
    return Watch(callback, report, n_rows, device)
