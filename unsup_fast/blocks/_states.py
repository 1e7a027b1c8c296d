"""What tells files from a later state of themselves."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from unsup_fast.blocks._feed import DataError


class State(NamedTuple):
    """State of a file when it was opened."""

    size: int
    """Bytes."""
    mtime_ns: int
    """Time of modification."""


States = dict[Path, State]


def states(paths: Iterable[Path]) -> States:
    """Return the present states of files; raise DataError if one is not there any more."""
    present = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError as error:
            raise DataError(f"{path}: cannot be read any more: {error.strerror}") from error
        present[path] = State(size=status.st_size, mtime_ns=status.st_mtime_ns)
    return present


def sizes(states: States) -> list[int]:
    """Return the sizes; two machines' copies of a file may differ in the rest of the state."""
    return [state.size for state in states.values()]


def is_shorter(states: States) -> bool:
    """Return whether a file has become shorter than it was."""
    return any(path.exists() and path.stat().st_size < state.size for path, state in states.items())
