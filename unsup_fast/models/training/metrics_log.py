"""The logs of a training run, as rows of CSV files, and its throughput."""

import csv
import hashlib
import io
import math
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from unsup_fast.models.training.accelerator import Accelerator
from unsup_fast.storage import atomic

METRICS, SCORES = "metrics.csv", "scores.csv"
FIRST, RATE = ("step", "seconds"), "examples_per_second"


class Log:
    """An open log of a run; rows are flushed at once, so a kill loses none.

    Parameters
    ----------
    file : binary file
        Positioned at its end.
    written : bytes
        Its content.
    header : list of str
        Names of the columns; empty before the first row.
    what : str
        What the values are, for error messages.
    """

    def __init__(self, file: BinaryIO, written: bytes, header: list[str], what: str) -> None:
        self._file, self._size, self._digest = file, len(written), hashlib.sha256(written)
        self._header, self._what = header, what

    @property
    def names(self) -> list[str]:
        """Names of the columns; empty before the first row."""
        return self._header

    def add(
        self, step: int, seconds: float, values: Mapping[str, float], rate: float | None = None
    ) -> None:
        """Append a row; columns without a value are empty.

        Raises
        ------
        ValueError
            If a value has a name that the first row has not.
        """
        first = not self._size
        last = [] if rate is None else [RATE]
        self._header = self._header or [*FIRST, *values, *last]
        names = self._header[len(FIRST) : len(self._header) - len(last)]
        if not values.keys() <= set(names):
            raise ValueError(
                f"step {step} gave the {self._what} {list(values)}, and those before it {names}; "
                "give all at the first step, and no others later"
            )
        row = [step, f"{seconds:.3f}", *(values.get(name, "") for name in names)]
        row += [] if rate is None else [f"{rate:.1f}"]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self._header, row] if first else [row])
        content = text.getvalue().encode()
        self._file.write(content)
        self._file.flush()
        self._digest.update(content)
        self._size += len(content)

    def mark(self) -> dict[str, Any]:
        """Sync all rows to the disk; return how far they go, for a checkpoint."""
        os.fsync(self._file.fileno())
        return {"bytes": self._size, "sha256": self._digest.hexdigest(), "header": self._header}


@contextmanager
def opened(path: Path, mark: Mapping[str, Any] | None, what: str = "losses") -> Iterator[Log]:
    """Open a log to append rows.

    Parameters
    ----------
    path : Path
    mark : mapping or None
        `Log.mark` in the checkpoint that the run resumes from. Rows after it are dropped; if the
        file was removed, a new one begins.
    what : str
        What the values are, for error messages.

    Raises
    ------
    OSError
        If the file cannot be written.
    ValueError
        If rows up to the mark were changed.
    """
    content = read(path, mark) if mark is not None and path.exists() else b""
    atomic.write_bytes(path, content, f"the {path.stem}")
    with path.open("ab") as file:
        yield Log(file, content, [] if mark is None else list(mark["header"]), what)


def read(path: Path, mark: Mapping[str, Any]) -> bytes:
    """Return the rows of a log up to a mark, verified.

    Raises
    ------
    ValueError
        If they were changed.
    """
    with path.open("rb") as file:
        content = file.read(min(mark["bytes"], os.fstat(file.fileno()).st_size))
    if len(content) != mark["bytes"] or hashlib.sha256(content).hexdigest() != mark["sha256"]:
        raise ValueError(
            f"{path} is damaged or was changed by hand: its checksum does not match the "
            f"checkpoint's; restore it, or remove it to begin new {path.stem}"
        )
    return content


class Means:
    """Means of values over an interval of steps, summed on their device."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, torch.device], Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, values: Mapping[str, Tensor | float]) -> None:
        """Add a step's values; a NaN or infinity in any step makes the mean not finite."""
        tensors = {}
        for name, number in values.items():
            value = torch.as_tensor(number).detach()
            tensors[name, value.device] = value
            self._counts[name] = self._counts.get(name, 0) + 1
        known = [key for key in tensors if key in self._sums]
        if known:
            torch._foreach_add_([self._sums[key] for key in known], [tensors[key] for key in known])
        for key, value in tensors.items():
            if key not in self._sums:
                wide = torch.promote_types(value.dtype, torch.float32)
                self._sums[key] = value.to(wide, copy=True)

    def take(self) -> dict[str, float]:
        """Return the means, which waits for the device, and begin a new interval."""
        totals = dict.fromkeys(self._counts, 0.0)
        for (name, _), total in self._sums.items():
            totals[name] += float(total)
        means = {name: total / self._counts[name] for name, total in totals.items()}
        self._sums, self._counts = {}, {}
        return means


class Throughput:
    """The throughput of training, and when to read losses, which waits for the device.

    Only the time of steps counts, from the fetch of the batch to the reading of the losses, without
    checkpoints and pictures.
    """

    EVERY = 0.5  # seconds between readings

    def __init__(self, accelerator: Accelerator, examples: int) -> None:
        self._accelerator, self._examples = accelerator, examples
        self._steps, self._due = 0, 1
        self._past: deque[tuple[int, float]] = deque(maxlen=20)
        self._start = time.monotonic()

    def go(self) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def due(self) -> bool:
        """Count a step; return whether to read losses, which all processes agree on."""
        self._steps += 1
        return self._steps >= self._due

    def look(
        self, losses: Means, stop: bool, enough: bool, *, agreed: bool = False
    ) -> tuple[dict[str, float], bool, bool, float]:
        """Return the mean losses, whether any process has `stop` or `enough` set, and the seconds.

        Losses, and the seconds since `go`, are means over the processes too, unless the processes
        have `agreed` on the losses.
        """
        means = losses.take()
        seconds = max(time.monotonic() - self._start, 1e-9)
        if self._accelerator.num_processes > 1:
            device = self._accelerator.device
            differing = {} if agreed else means
            message = torch.tensor([*differing.values(), stop, enough, seconds], device=device)
            *values, stopped, ended, seconds = self._accelerator.reduce(message, "mean").tolist()
            stop, enough = stopped > 0, ended > 0
            means |= dict(zip(differing, values, strict=True))
        self._past.append((self._steps, seconds))
        # The first step may compile, which says little of the next ones: at most twice as many.
        self._due = min(max(1, round(self.EVERY * self._steps / seconds)), 2 * self._steps)
        self._steps = 0
        return means, stop, enough, seconds

    def rate(self) -> float:
        """Return this process's examples a second over the last 20 readings, about 10 seconds."""
        steps, seconds = (math.fsum(column) for column in zip(*self._past, strict=True))
        return steps * self._examples / seconds


def seconds_left(steps: int, examples: int, rate: float) -> float:
    """Return the seconds that `steps` of `examples` each take at a rate of examples a second."""
    return steps * examples / rate
