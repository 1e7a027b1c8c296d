"""Errors that the user sees when something cannot be done."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from unsup_fast._text import printable
from unsup_fast._urls import File

OUT_OF_MEMORY = re.compile(r"out of memory|not enough memory|can't allocate memory", re.IGNORECASE)
LONG = re.compile(r"(\S{200})\S{300,}(\S{100})")  # such as a number of thousands of digits


class UserError(Exception):
    """The command cannot be carried out; the message says why and what to do."""


def zero_row(path: File | str, row: int) -> UserError:
    """Return the error for a file with a row that has no direction."""
    return UserError(
        f"{path}: row {row} is zero and has no direction; leave such rows out, or fit with "
        "--metric euclidean"
    )


def explain(error: Exception) -> str | None:
    """Return one line for an error that the user can mend, None for a fault of ours."""
    if isinstance(error, UserError | ImportError):
        reason = str(error)
    elif hasattr(error, "format_message"):  # what typer and its click raise for wrong usage
        reason = error.format_message()
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        reason = where + (error.strerror or str(error))
    elif isinstance(error, MemoryError):
        reason = f"not enough memory ({error or 'no details'})"
    elif isinstance(error, RuntimeError) and OUT_OF_MEMORY.search(str(error)):  # torch's words
        reason = f"not enough memory ({str(error).splitlines()[0]})"
    elif _is_data_error(error):
        reason = str(error)
    else:
        return None
    return "error: " + LONG.sub(r"\1...\2", printable(" ".join(reason.split())))


def _is_data_error(error: Exception) -> bool:
    from unsup_fast.blocks import DataError  # with NumPy, so only when an error is explained

    return isinstance(error, DataError)


@contextmanager
def forgiving() -> Iterator[None]:
    """Let stdout and stderr show letters that their encoding lacks as escapes."""
    streams = [one for one in (sys.stdout, sys.stderr) if hasattr(one, "reconfigure")]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in zip(streams, before, strict=True):
            stream.reconfigure(errors=errors)
