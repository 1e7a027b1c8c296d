"""A text file of which line i belongs to row i, without holding it in memory."""

from collections.abc import Iterable
from pathlib import Path

from unsup_fast._paths import special
from unsup_fast.blocks import DataError


class Lines:
    """Lines of a UTF-8 file.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    count : int
        How many lines there are; a missing newline at the end is no matter.

    Raises
    ------
    DataError
        If the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            raise DataError(f"{path}: is a directory; name a text file")
        if kind := special(path):
            raise DataError(f"{path}: is {kind}; name a text file")
        self.path = path
        self.count = 0
        try:
            with path.open("rb") as file:
                self.count = sum(1 for _ in file)
        except FileNotFoundError as error:
            raise DataError(f"{path}: no such file") from error
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error

    def take(self, wanted: Iterable[int]) -> dict[int, str]:
        """Return the lines of these numbers, counted from 0."""
        numbers = set(wanted)
        with self.path.open("rb") as file:
            return {
                number: line.decode("utf-8", errors="replace").strip()
                for number, line in enumerate(file)
                if number in numbers
            }
