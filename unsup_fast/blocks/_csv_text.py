"""The text of a CSV file as a stream of its rows, with a mark at their end."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from unsup_fast._urls import File
from unsup_fast.blocks._feed import DataError

STEP = 1 << 20  # bytes read at once
# The value of all columns in a last row that is added: where it does not come out as the last row,
# a quote that was never closed has swallowed it, and rows before it.
END_TEXT = b"-7770777e-300"
END = float(END_TEXT)

UNREADABLE = (OSError, EOFError, zlib.error)

LATIN_1 = "unsup_fast.latin_1"  # error handler that reads bytes that are not UTF-8 as Latin-1


def _latin_1(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error(LATIN_1, _latin_1)


def as_utf8(data: bytes) -> bytes:
    """Return text as UTF-8; bytes that are not are read as Latin-1."""
    return data if data.isascii() else data.decode("utf-8", LATIN_1).encode()


@contextmanager
def opened(path: File) -> Iterator[IO[bytes]]:
    """Open a file, unpacked if it is packed by gzip."""
    with path.open("rb") as file:
        if path.suffix.lower() != ".gz":
            yield file
            return
        with gzip.open(file) as unpacked:
            yield unpacked  # type: ignore[misc]


def why(path: File, error: Exception) -> DataError:
    """Return the error for a file that cannot be read."""
    if isinstance(error, PermissionError):
        return DataError(f"{path}: permission denied")
    if isinstance(error, EOFError | zlib.error | gzip.BadGzipFile):
        return DataError(f"{path}: is not a .gz file, or is truncated")
    return DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}")


class Rows:
    """A file to read for pyarrow: the rows of a CSV file from a position on, then a mark.

    The text is UTF-8 (see `as_utf8`): pyarrow cannot show a row, or read a value, that is not.
    Blank lines at the end of the file are left out.

    Attributes
    ----------
    blank_lines : bool
        Whether blank lines that are no rows stood between or after those read so far.
    """

    def __init__(self, path: File, start: int, n_columns: int, separator: str) -> None:
        self.closed = False
        self.blank_lines = False
        self._opened = ExitStack()
        self._file = self._opened.enter_context(opened(path))
        self._start = start
        self._end = separator.encode().join([END_TEXT] * n_columns)
        self._parts = self._read()
        self._pending = b""
        # In a file of one column, a blank line between others is a missing value.
        self._between = n_columns > 1

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, at most `size`."""
        parts, length = [self._pending], len(self._pending)
        while length < size or size < 0:
            part = next(self._parts, None)
            if part is None:
                break
            parts.append(part)
            length += len(part)
        whole = b"".join(parts)
        size = len(whole) if size < 0 else size
        self._pending = whole[size:]
        return whole[:size]

    def close(self) -> None:
        """Close the file."""
        self._opened.close()
        self.closed = True

    def _read(self) -> Iterator[bytes]:
        self._file.seek(self._start)
        decoder = codecs.getincrementaldecoder("utf-8")(LATIN_1)
        quotes, held = 0, b"\n"[: self._between]  # a line end stands before the first row
        while data := self._file.read(STEP):
            data = held + data
            body = data.rstrip(b"\r\n")
            held = data[len(body) :]
            if not body:
                continue
            if self._between and not self.blank_lines and _has_blank_line(body):
                self.blank_lines = _outside_quotes(body, quotes)
            quotes += body.count(b'"')
            whole = body.isascii() and not decoder.getstate()[0]  # no letter was cut before it
            yield body if whole else decoder.decode(body).encode()
        yield decoder.decode(b"", final=True).encode()
        line_ends = held.replace(b"\r\n", b"\n")
        self.blank_lines |= len(line_ends) > 1
        yield b"\n" + self._end + b"\n"


def _has_blank_line(text: bytes) -> bool:
    return b"\n\n" in text or b"\n\r" in text or b"\r\r" in text


def _outside_quotes(text: bytes, quotes: int) -> bool:
    """Return whether a blank line is outside of quotes, with so many quotes before the text."""
    return any(map(_has_blank_line, text.split(b'"')[quotes % 2 :: 2]))
