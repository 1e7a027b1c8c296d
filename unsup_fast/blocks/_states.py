"""What tells the files of a source from a later state of themselves."""

from collections.abc import Sequence

from unsup_fast import _urls
from unsup_fast._urls import File, State, Url
from unsup_fast.blocks._feed import DataError

States = dict[File, State]


def states(files: Sequence[File]) -> States:
    """Return the present states of files; raise DataError if one is not there any more."""
    try:
        return _urls.states(files)
    except OSError as error:
        reason = error.strerror or error
        raise DataError(f"{error.filename}: cannot be read any more: {reason}") from error


def sizes(states: States) -> list[int]:
    """Return the sizes; two machines' copies of a file may differ in the rest of the state."""
    return [state.size for state in states.values()]


def is_shorter(states: States) -> bool:
    """Return whether a file on a disk, which may be mapped, has become shorter than it was."""
    return any(
        file.exists() and file.stat().st_size < state.size
        for file, state in states.items()
        if not isinstance(file, Url)
    )
