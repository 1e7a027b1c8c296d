"""The metrics of a training run, as rows of a CSV file, and its throughput."""

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

from unsup_fast.storage import atomic

FILE = "metrics.csv"
FIRST, LAST = ("step", "seconds"), ("examples_per_second",)


class Metrics:
    """The open metrics of a run; rows are flushed at once, so a kill loses none.

    Parameters
    ----------
    file : binary file
        Positioned at its end.
    written : bytes
        Its content.
    """

    def __init__(self, file: BinaryIO, written: bytes) -> None:
        self._file, self._size, self._digest = file, len(written), hashlib.sha256(written)
        lines = written.decode().splitlines()
        self._header = next(csv.reader(lines[:1]), [])

    def add(self, step: int, seconds: float, losses: Mapping[str, float], rate: float) -> None:
        """Append a row.

        Raises
        ------
        ValueError
            If its losses have other names than those of the rows before it.
        """
        names = [*FIRST, *losses, *LAST]
        if self._header and names != self._header:
            raise ValueError(
                f"step {step} gave the losses {list(losses)}, and those before it "
                f"{self._header[2:-1]}; give the same at each step"
            )
        row = [step, f"{seconds:.3f}", *losses.values(), f"{rate:.1f}"]
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([row] if self._header else [names, row])
        content = text.getvalue().encode()
        self._file.write(content)
        self._file.flush()
        self._digest.update(content)
        self._size += len(content)
        self._header = names

    def mark(self) -> dict[str, Any]:
        """Sync all rows to the disk; return their size in bytes and SHA-256, for a checkpoint."""
        os.fsync(self._file.fileno())
        return {"bytes": self._size, "sha256": self._digest.hexdigest()}


@contextmanager
def metrics(folder: Path, mark: Mapping[str, Any] | None) -> Iterator[Metrics]:
    """Open a run's metrics to append rows.

    Parameters
    ----------
    folder : Path
    mark : mapping or None
        `Metrics.mark` in the checkpoint that the run resumes from. Rows after it are dropped; if
        the file was removed, a new one begins.

    Raises
    ------
    OSError
        If the folder cannot be written.
    ValueError
        If rows up to the mark were changed.
    """
    path = folder / FILE
    content = read(path, mark) if mark is not None and path.exists() else b""
    atomic.write_bytes(path, content, "the metrics")
    with path.open("ab") as file:
        yield Metrics(file, content)


def read(path: Path, mark: Mapping[str, Any]) -> bytes:
    """Return the rows of metrics up to a mark, verified.

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
            "checkpoint's; restore it, or remove it to begin new metrics"
        )
    return content


class Throughput:
    """The throughput of training, and when to read losses, which waits for the device.

    Only the time of steps counts, from the fetch of the batch to the reading of the losses, without
    checkpoints and pictures.
    """

    EVERY = 0.5  # seconds between readings

    def __init__(self, accelerator: Any, examples: int) -> None:
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
        self, losses: Mapping[str, Any], stop: bool, enough: bool
    ) -> tuple[dict[str, float], bool, bool, float]:
        """Return a step's losses, whether any process has `stop` or `enough` set, and the seconds.

        Losses, and the seconds since `go`, are means over the processes.
        """
        values = [float(torch.as_tensor(value).detach()) for value in losses.values()]
        seconds = max(time.monotonic() - self._start, 1e-9)
        if self._accelerator.num_processes > 1:
            device = self._accelerator.device
            message = torch.tensor([*values, stop, enough, seconds], device=device)
            *values, stopped, ended, seconds = self._accelerator.reduce(message, "mean").tolist()
            stop, enough = stopped > 0, ended > 0
        self._past.append((self._steps, seconds))
        # The first step may compile, which says little of the next ones: at most twice as many.
        self._due = min(max(1, round(self.EVERY * self._steps / seconds)), 2 * self._steps)
        self._steps = 0
        return dict(zip(losses, values, strict=True)), stop, enough, seconds

    def rate(self) -> float:
        """Return this process's examples a second over the last 20 readings, about 10 seconds."""
        steps, seconds = (math.fsum(column) for column in zip(*self._past, strict=True))
        return steps * self._examples / seconds


def seconds_left(steps: int, examples: int, rate: float) -> float:
    """Return the seconds that `steps` of `examples` each take at a rate of examples a second."""
    return steps * examples / rate
