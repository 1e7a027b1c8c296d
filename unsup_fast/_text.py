"""Text of messages: escapes, lists and the order of names that come from outside."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

SURROGATES = re.compile(r"[\ud800-\udfff]")
# Control characters (C0, DEL, C1), line and paragraph separators, and those that change the
# direction of the text around them.
INVISIBLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def printable(text: str, keep: str = "") -> str:
    r"""Return text whose control characters are replaced by escapes such as ``\x1b``.

    Bytes of a name that are not UTF-8, which Python reads as surrogates (PEP 383), are shown as
    ``\xe9``. Characters in `keep` stay as they are.
    """
    return INVISIBLE.sub(lambda match: match[0] if match[0] in keep else _escape(match), text)


def valid(value: Any) -> Any:
    """Return a JSON value whose strings can be encoded as UTF-8: surrogates become escapes."""
    if isinstance(value, str):
        return SURROGATES.sub(_escape, value)
    if isinstance(value, Mapping):
        return {valid(key): valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [valid(item) for item in value]
    return value


def listed(names: Sequence[str], most: int = 8) -> str:
    """Return names in one line, the first few of many."""
    shown = ", ".join(map(printable, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def times(shape: tuple[int, ...]) -> str:
    """Return a shape as in "3 x 4"."""
    return " x ".join(map(str, shape)) if shape else "of a single value"


def natural(name: str) -> tuple[Any, ...]:
    """Return a key that sorts names as people do: "2" before "10", and "-3" before "-2".

    Runs of digits compare by value, all else by code point. A minus counts where the rest of the
    name is one number.
    """
    if re.fullmatch(r"-[0-9]+", name):
        length, digits = _magnitude(name[1:])
        return (0, -length, [-int(digit) for digit in digits], name)
    parts = re.split(r"([0-9]+)", name)  # text, digits, text ...
    key = [_magnitude(part) if i % 2 else (-1, part) for i, part in enumerate(parts)]
    return (1, key, name)


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return SHORT.get(character, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _magnitude(digits: str) -> tuple[int, str]:
    """Return a key that sorts runs of digits by value, however long they are."""
    digits = digits.lstrip("0")
    return len(digits), digits
