"""JSON as this library writes and reads it: strict, and with a checksum in files.

A file of `write` begins with the key "sha256": the SHA-256 of the whole file with 64 zeros in its
place. The keys "format", "kind" and "version" follow.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from unsup_fast._paths import check_not_special
from unsup_fast.storage import atomic

FORMAT, VERSION = "unsup_fast", 1
ZEROS = "0" * 64  # written for a digest while it is computed
LARGEST = 100_000_000  # bytes of JSON, the limit of the safetensors format too
SHOWN = 80  # characters of a value in a message
LONGEST_REASON = 500  # characters; a file may have put a text of any length there
_START = b'{\n  "sha256": "'


class DamagedError(ValueError):
    """A file does not hold what was saved.

    Attributes
    ----------
    why : str
    """

    def __init__(self, path: str | os.PathLike[str], why: str) -> None:
        if len(why) > LONGEST_REASON:
            why = f"{why[: LONGEST_REASON - 3]}..."
        super().__init__(f"cannot load '{os.fspath(path)}': {why}")
        self.why = why


def dumps(value: object, what: str, *, indent: int | None = None) -> str:
    """Return JSON.

    Raises
    ------
    ValueError
        If a number is NaN or infinite, which JSON cannot hold, or if the text is too long to be
        read again.
    """
    try:
        text = json.dumps(value, allow_nan=False, indent=indent)
    except ValueError:
        raise ValueError(f"cannot save {what}: it holds NaN or an infinite number") from None
    if len(text) > LARGEST:
        raise ValueError(f"cannot save {what}: its description exceeds {LARGEST} bytes")
    return text


def loads(text: str | bytes) -> Any:
    """Return what JSON holds.

    Raises
    ------
    ValueError
        If it is not JSON, is too long or too deep, or holds a number that is not finite.
    """
    if len(text) > LARGEST:
        raise ValueError(f"more than {LARGEST} bytes of JSON")
    try:
        return json.loads(text, parse_constant=_not_finite, parse_float=_finite)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None


def finite(value: Any, *, as_text: bool = False) -> Any:
    """Return `value` with None, or the text "nan" or "inf", for each number that is not finite."""
    if isinstance(value, Mapping):
        return {key: finite(each, as_text=as_text) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each, as_text=as_text) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value)) if as_text else None
    return value


def shown(value: object) -> str:
    """Return the repr of a value from a file, cut to a length that fits a message."""
    text = repr(value[:SHOWN]) if isinstance(value, str) else repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 3]}..."


def stamped(kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record that names its format, kind and version."""
    return {"format": FORMAT, "kind": kind, "version": VERSION, **content}


def unstamped(path: str | os.PathLike[str], kind: str, record: object) -> dict[str, Any]:
    """Return what was stamped.

    Raises
    ------
    DamagedError
        If the record has another format, kind or version.
    """
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DamagedError(path, f"it does not name the format '{FORMAT}'")
    if record.get("kind") != kind:
        raise DamagedError(
            path, f"its content is of kind {shown(record.get('kind'))}, and '{kind}' is needed"
        )
    if record.get("version") != VERSION:
        raise DamagedError(
            path,
            f"it has format version {shown(record.get('version'))}, and this unsup_fast reads "
            f"version {VERSION}; load it with the unsup_fast that saved it",
        )
    return {key: value for key, value in record.items() if key not in ("format", "kind", "version")}


def write(path: str | os.PathLike[str], record: Mapping[str, Any], *, kind: str, what: str) -> None:
    """Write a record as a JSON file with a checksum, as a whole or not at all.

    Raises
    ------
    ValueError
        If it holds a number that is not finite.
    OSError
        If the file cannot be written.
    """
    content = {"sha256": ZEROS, **stamped(kind, record)}
    text = (dumps(content, what, indent=2) + "\n").encode()
    digest = hashlib.sha256(text).hexdigest().encode()
    atomic.write_bytes(path, text.replace(ZEROS.encode(), digest, 1), what)


def read(path: str | os.PathLike[str], *, kind: str) -> dict[str, Any]:
    """Return the record in a file of `write`.

    Raises
    ------
    OSError
        If the file cannot be read.
    DamagedError
        If it was changed, or is of another kind.
    """
    check_not_special(path)
    if Path(path).stat().st_size > LARGEST:
        raise DamagedError(path, f"it exceeds {LARGEST} bytes")
    content = Path(path).read_bytes()
    end = len(_START) + len(ZEROS)
    if not content.startswith(_START):
        raise DamagedError(path, "it is not a file that unsup_fast saved, or was changed by hand")
    digest = content[len(_START) : end]
    zeroed = _START + ZEROS.encode() + content[end:]
    if hashlib.sha256(zeroed).hexdigest().encode() != digest:
        raise DamagedError(
            path, "its checksum does not match: it is damaged, or was changed by hand"
        )
    try:
        record = loads(content)
    except ValueError as error:
        raise DamagedError(path, f"it is not valid JSON ({error})") from None
    if isinstance(record, dict):
        record.pop("sha256", None)
    return unstamped(path, kind, record)


def _not_finite(name: str) -> NoReturn:
    raise ValueError(f"the number {name}")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number beyond the range of float64")
    return value
