"""What is known of a training run while it goes on: its losses in a CSV file, and its pace."""

import csv
import io
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from unsup_fast import _replacing

FILE = "metrics.csv"
FIRST, LAST = ("step", "seconds"), ("examples_per_second",)


@contextmanager
def metrics(folder: Path, step: int) -> Iterator[Callable[..., None]]:
    """Give a function (step, seconds, losses, rate) that adds a row to a run's metrics.

    Each row is with the system at once, so a killed process loses none. Rows past `step`, from
    which the run goes on, are dropped first; so is what follows a damaged one.

    Raises
    ------
    OSError
        If the folder cannot be written.
    ValueError
        If a row has other losses than those before it.
    """
    path = folder / FILE
    rows = _rows(path, step) if step else []
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    _replacing.replace(path, text.getvalue().encode(), "the metrics")
    header = rows[0] if rows else []
    with path.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")

        def add(step: int, seconds: float, losses: Mapping[str, float], rate: float) -> None:
            names = [*FIRST, *losses, *LAST]
            if not header:
                header.extend(names)
                writer.writerow(header)
            if names != header:
                raise ValueError(
                    f"step {step} gave the losses {list(losses)}, and those before it "
                    f"{header[2:-1]}; give the same at each step"
                )
            writer.writerow([step, f"{seconds:.3f}", *losses.values(), f"{rate:.1f}"])
            file.flush()

        yield add


def _rows(path: Path, step: int) -> list[list[str]]:
    """Return the header and the rows up to a step."""
    if not path.exists():
        return []
    text = path.read_text(errors="replace")
    lines = list(csv.reader(text[: text.rfind("\n") + 1].splitlines()))  # a half line ends there
    rows = lines[:1]
    for row in lines[1:]:
        if len(row) != len(rows[0]) or not row[0].isdecimal() or int(row[0]) > step:
            break
        rows.append(row)
    return rows


class Pace:
    """How fast steps go, and when to look at their losses, which waits for the device.

    Only the time of steps counts, from the fetch of the batch to the look: neither that of
    checkpoints nor that of pictures.
    """

    EVERY = 0.5  # seconds between looks

    def __init__(self, accelerator: Any, examples: int) -> None:
        self._accelerator, self._examples = accelerator, examples
        self._steps, self._due = 0, 1
        self._past: deque[tuple[int, float]] = deque(maxlen=20)
        self._start = time.monotonic()

    def go(self) -> None:
        """Begin to count time."""
        self._start = time.monotonic()

    def due(self) -> bool:
        """Count a step; return whether it is time to look, which all processes agree on."""
        self._steps += 1
        return self._steps >= self._due

    def look(
        self, made: Mapping[str, Any], stop: bool, enough: bool
    ) -> tuple[dict[str, float], bool, bool, float]:
        """Return a step's losses, whether a process was told to stop or has enough, and seconds.

        Losses, and the seconds since `go`, are means over the processes.
        """
        found = [float(torch.as_tensor(value).detach()) for value in made.values()]
        seconds = max(time.monotonic() - self._start, 1e-9)
        if self._accelerator.num_processes > 1:
            whole = torch.tensor([*found, stop, enough, seconds], device=self._accelerator.device)
            *found, stopped, ended, seconds = self._accelerator.reduce(whole, "mean").tolist()
            stop, enough = stopped > 0, ended > 0
        self._past.append((self._steps, seconds))
        # A slow first step, which compiles, is no measure of the next ones: twice as many at most.
        self._due = min(max(1, round(self.EVERY * self._steps / seconds)), 2 * self._steps)
        self._steps = 0
        return dict(zip(made, found, strict=True)), stop, enough, seconds

    def rate(self) -> float:
        """Return the examples a second of the last 20 looks of this process, about 10 seconds."""
        steps, seconds = (math.fsum(column) for column in zip(*self._past, strict=True))
        return steps * self._examples / seconds


def seconds_left(steps: int, examples: int, rate: float) -> float:
    """Return how long steps of so many examples take at a rate of examples a second."""
    return steps * examples / rate
