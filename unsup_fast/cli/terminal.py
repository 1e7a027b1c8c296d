"""Printing of any text on any terminal.

Names come from outside, and may hold markup, escape sequences or bytes that are no text; a
terminal may be unable to show a letter. All output of the commands goes through this module.
"""

import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.text import Text

from unsup_fast._text import printable


class _Console(Console):
    """A console that shows the control characters of a string as escapes."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text, keep="\n"), **options)


def console(*, quiet: bool = False, stderr: bool = False, soft_wrap: bool = True) -> Console:
    """Return a console for the output of a command.

    Strings are read as rich's markup: names belong into a `Text`, by `bold` or `plain`.
    """
    return _Console(quiet=quiet, stderr=stderr, highlight=False, soft_wrap=soft_wrap, emoji=False)


def plain(text: str, style: str = "") -> Text:
    """Return text without markup, with control characters escaped."""
    return Text(printable(text), style)


def bold(name: str, rest: str = "") -> Text:
    """Return a name in bold, and plain text after it."""
    return Text.assemble((printable(name), "bold"), printable(rest))


def emit(line: str) -> None:
    """Print a line of plain text at once."""
    print(printable(line), flush=True)


def warn(text: object) -> None:
    """Print a warning in one line on stderr."""
    print(f"warning: {printable(' '.join(str(text).split()))}", file=sys.stderr)


def note(text: object) -> None:
    """Print a note in one line on stderr."""
    print(f"note: {printable(' '.join(str(text).split()))}", file=sys.stderr)


@contextmanager
def showing_warnings() -> Iterator[list[str]]:
    """Print what the block warns of once it has ended, and put it into the list, in lines."""
    lines: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lines
    for warning in caught:
        lines.append(" ".join(str(warning.message).split()))
        warn(lines[-1])


@contextmanager
def warning_at_once(spoken: Callable[[str], str]) -> Iterator[None]:
    """Print what the block warns of as soon as it does, as `spoken` puts it, each text once."""
    printed: set[str] = set()

    def show(message: Warning | str, *_: object, **__: object) -> None:
        text = spoken(str(message))
        if text not in printed:
            printed.add(text)
            warn(text)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        yield


def shell(words: Sequence[str]) -> str:
    r"""Return a command line that a POSIX shell splits into these words again.

    Words that the terminal cannot show are written in ASCII, as ``$'caf\xe9'``, which bash and
    zsh read.
    """
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if printable(word) == word and _encodes(word, encoding):
        return shlex.quote(word)
    shown = (
        f"\\{chr(byte)}"
        if byte in b"\\'"
        else chr(byte)
        if 0x20 <= byte < 0x7F
        else f"\\x{byte:02x}"
        for byte in os.fsencode(word)
    )
    return f"$'{''.join(shown)}'"


def _encodes(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeError, LookupError):
        return False
    return True
