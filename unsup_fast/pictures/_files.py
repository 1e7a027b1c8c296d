"""Image files of a folder or a zip, and the reading of one."""

import os
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from unsup_fast import _extras
from unsup_fast._text import valid
from unsup_fast.blocks import DataError
from unsup_fast.blocks.npy import UNZIPPED
from unsup_fast.pictures import _kinds
from unsup_fast.pictures._folder import hidden, listing
from unsup_fast.pictures._kinds import OPTIONAL, SUFFIXES, UNREAD, suffix_of

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage

NAMED = 3  # files that a warning lists
UTF8 = 0x800  # flag of a zip entry whose name is UTF-8
ENCRYPTED = 0x1

# Errors of reading and decoding a file that is not a complete picture.
UNREADABLE = (*UNZIPPED, ValueError, SyntaxError, OverflowError)


@dataclass(frozen=True, kw_only=True)
class Files:
    """Image files, in the order of their names."""

    name: str
    """What errors call them: the path."""
    names: list[str]
    """Paths below it, with "/" between their parts."""
    opened: Callable[[], Any]
    """Returns an archive, to be closed, or None."""
    content: Callable[[Any, str], bytes]
    """Returns the bytes of a file, for what `opened` returned and a name."""
    skipped: list[str] = field(default_factory=list)
    """Files that are left out unopened, each with the reason."""


def of_folder(path: Path) -> Files:
    """Return the image files in a folder and its subfolders, without hidden ones.

    Raises
    ------
    DataError
        If there are none.
    """
    entries = listing(path, (*SUFFIXES, *OPTIONAL, *UNREAD))

    def content(_: Any, name: str) -> bytes:
        with (path / name).open("rb") as file:
            n_bytes = os.fstat(file.fileno()).st_size
            _kinds.check_size(n_bytes)
            return _whole(file, n_bytes)

    return _files(str(path), entries.names, entries.skipped, lambda: None, content)


def of_zip(path: Path) -> Files:
    """Return the image files in a zip archive, without hidden ones.

    Raises
    ------
    DataError
        If there are none, or it is not an archive.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                name: entry
                for entry in archive.infolist()
                if not (name := _name(entry)).endswith("/")
                and not any(map(hidden, PurePosixPath(name).parts))
            }
    except PermissionError as error:
        raise DataError(f"{path}: permission denied") from error
    except (*UNZIPPED, ValueError) as error:
        raise DataError(f"{path}: is not a zip archive, or is truncated") from error

    def content(archive: Any, name: str) -> bytes:
        member = members[name]
        _check_member(member)
        with damage(), archive.open(member) as file:
            return _whole(file, member.file_size)

    names = sorted(n for n in members if suffix_of(n) in (*SUFFIXES, *OPTIONAL, *UNREAD))
    return _files(str(path), names, [], lambda: zipfile.ZipFile(path), content)


def _name(entry: zipfile.ZipInfo) -> str:
    """Return the path of a member with "/" between its parts.

    Some archivers of Windows write backslashes, and some of macOS write UTF-8 without the flag
    that says so.
    """
    name = entry.filename
    if not entry.flag_bits & UTF8:
        with suppress(UnicodeError):
            name = name.encode("cp437").decode("utf-8")
    return name.replace("\\", "/")


def _check_member(member: zipfile.ZipInfo) -> None:
    """Raise ValueError for a member that is not to be unpacked."""
    _kinds.check_size(member.file_size)
    if member.flag_bits & ENCRYPTED:
        raise ValueError("is encrypted")
    # zipfile unpacks other methods a whole chunk at a time, however much comes of it.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("is compressed by a method other than deflate")


def _whole(file: IO[bytes], n_bytes: int) -> bytes:
    """Return the bytes of an open file; the head of a large one is checked first."""
    head: bytes = file.read(12)
    if n_bytes > _kinds.LARGE:
        _kinds.check_head(head)
    return head + bytes(file.read(n_bytes))


def _files(
    name: str,
    names: Sequence[str],
    skipped: list[str],
    opened: Callable[[], Any],
    content: Callable[[Any, str], bytes],
) -> Files:
    """Return the image files that Pillow can read, and warn of those left out."""
    if names:
        _extras.check("PIL", "plot", "reading pictures")
    able = _kinds.readable() if names else SUFFIXES
    read = [one for one in names if suffix_of(one) in able]
    unread = [one for one in names if suffix_of(one) not in able]
    counts = Counter(map(suffix_of, unread))
    left_out = [
        *(
            f"{n} of {suffix} (Pillow cannot read them here)"
            for suffix, n in sorted(counts.items())
        ),
        *skipped,
    ]
    listed = "; ".join(left_out[:NAMED]) + ("; ..." if len(left_out) > NAMED else "")
    if not read:
        kinds = ", ".join(SUFFIXES)
        cause = f"; left out: {listed}" if left_out else ""
        raise DataError(f"{name}: holds no pictures ({kinds}), in no subfolder either{cause}")
    if left_out:
        n_files = len(unread) + len(skipped)
        warnings.warn(f"{name}: {n_files} files were left out: {listed}", stacklevel=4)
    skipped = [*skipped, *(f"{valid(one)} (Pillow cannot read it here)" for one in unread)]
    return Files(name=name, names=read, opened=opened, content=content, skipped=skipped)


@contextmanager
def damage() -> Iterator[None]:
    """Turn errors that Pillow raises for a damaged or hostile file into a ValueError."""
    try:
        yield
    except UNREADABLE:
        raise
    except MemoryError:
        raise ValueError("needs more memory than there is") from None
    except Exception as error:
        raise ValueError(f"is damaged ({type(error).__name__})") from error


def picture_of(content: bytes, least: int | None = None) -> "PillowImage":
    """Return the picture of a file as a Pillow image that is not decoded yet.

    An animation gives its first picture; 16 bits become 8 by dividing by 257. A JPEG may be reduced
    to half, a quarter or an eighth of its size, with both sides `least` or longer.

    Raises
    ------
    OSError, ValueError, SyntaxError
        If it is not a picture, or is incomplete.
    """
    from PIL import Image

    with damage():
        picture = _kinds.open_picture(content)
        if least is not None:
            picture.draft(None, (least, least))
        if picture.mode.startswith("I;16"):
            grey = np.asarray(picture, dtype=np.float64) / 257
            return Image.fromarray(np.rint(grey).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise ValueError(f"pictures of mode {picture.mode} are not read")
    return picture


def reason(error: Exception) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def tell_skipped(name: str, n_files: int, skipped: Sequence[str], stacklevel: int) -> None:
    """Warn of files that were left out, if any were; raise DataError if all were."""
    listed = "; ".join(skipped[:NAMED]) + ("; ..." if len(skipped) > NAMED else "")
    if len(skipped) == n_files:
        raise DataError(f"{name}: no picture could be read ({listed or 'it is empty'})")
    if skipped:
        warnings.warn(
            f"{name}: {len(skipped)} of {n_files} files could not be read and were left out: "
            f"{listed}",
            stacklevel=stacklevel + 1,
        )
