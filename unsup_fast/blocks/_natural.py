"""The natural order of names: numbers in them compare by value."""

import re
from typing import Any


def natural(name: str) -> tuple[Any, ...]:
    """Return a key that sorts names as people do: "2" before "10", and "-3" before "-2".

    Runs of digits compare by value, all else by code point. A minus counts where the rest of the
    name is one number.
    """
    if re.fullmatch(r"-[0-9]+", name):
        length, digits = _size(name[1:])
        return (0, -length, [-int(digit) for digit in digits], name)
    parts = re.split(r"([0-9]+)", name)  # text, digits, text ...
    key = [_size(part) if i % 2 else (-1, part) for i, part in enumerate(parts)]
    return (1, key, name)


def _size(digits: str) -> tuple[int, str]:
    """Return a key that sorts runs of digits by value, however long they are."""
    digits = digits.lstrip("0")
    return len(digits), digits
