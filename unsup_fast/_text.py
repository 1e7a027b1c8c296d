"""Escapes for text from outside, such as names of files and classes."""

import re
from collections.abc import Mapping
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


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        code -= 0xDC00
    return SHORT.get(character, f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
