"""Ctrl-C and SIGTERM: heard at once, except where state would be torn."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None


class Interrupts:
    """Raise KeyboardInterrupt on SIGINT and SIGTERM, and remember which of them came.

    Attributes
    ----------
    number : int or None
        The last signal that came.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._shielded = False
        self._pending = False
        self._before: dict[int, Handler] = {}

    def __enter__(self) -> "Interrupts":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def status(self) -> int:
        """Exit status that tells the shell which signal ended the work."""
        return 128 + (self.number or signal.SIGINT)

    @contextmanager
    def shield(self) -> Iterator[None]:
        """Hold signals back while the block runs; `check` raises for them afterwards."""
        self._shielded = True
        try:
            yield
        finally:
            self._shielded = False

    def check(self) -> None:
        """Raise for a signal that was held back."""
        if self._pending:
            self._pending = False
            raise KeyboardInterrupt

    def hold(self) -> None:
        """Have `check` raise for a signal that has raised already, but at a better moment."""
        self._pending = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        if self._shielded:
            self._pending = True
        else:
            raise KeyboardInterrupt
