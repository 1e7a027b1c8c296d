"""What the user is told when something cannot be done."""

from pathlib import Path
from typing import TYPE_CHECKING

from unsup_fast.blocks import DataError

if TYPE_CHECKING:
    from unsup_fast.cluster._sphere import ZeroRowError


class UserError(Exception):
    """The command cannot be carried out as given; the message says why and what to do."""


def zero_row(path: Path | str, error: "ZeroRowError") -> UserError:
    """Return the error for a file with a row that has no direction."""
    return UserError(
        f"{path}: row {error.row} is zero and has no direction; leave such rows out, or fit with "
        "--metric euclidean"
    )


def explain(error: Exception) -> str | None:
    """Return one line for an error that the user can mend, None for a fault of ours."""
    if isinstance(error, UserError | DataError | ImportError):
        reason = str(error)
    elif isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        reason = where + (error.strerror or str(error))
    elif isinstance(error, MemoryError):
        reason = f"not enough memory ({error or 'no details'})"
    elif hasattr(error, "format_message"):  # what typer and its click raise for wrong usage
        reason = error.format_message()
    else:
        return None
    return "error: " + " ".join(reason.split())
