"""The image files below a folder, and the reasons why other entries are left out."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from unsup_fast._text import valid
from unsup_fast.pictures._kinds import suffix_of

SPECIAL = {
    stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}  # fmt: skip


@dataclass
class Listing:
    """Names below a folder, sorted."""

    names: list[str] = field(default_factory=list)
    """Regular files with one of the suffixes."""
    skipped: list[str] = field(default_factory=list)
    """Entries that cannot be read, each with the reason."""


def listing(folder: Path, suffixes: tuple[str, ...]) -> Listing:
    """List the files in a folder and its subfolders, without hidden ones. Links are followed.

    FIFOs, sockets, devices, broken links and links to a folder above them are never opened: those
    that have a suffix of `suffixes`, or would be folders, are named in `skipped`.
    """
    entries = Listing()
    _walk(os.fspath(folder), "", (), suffixes, entries)
    entries.names.sort()
    entries.skipped.sort()
    return entries


def _walk(
    root: str,
    below: str,
    above: tuple[tuple[int, int], ...],
    suffixes: tuple[str, ...],
    entries: Listing,
) -> None:
    folder = os.path.join(root, below)
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in above:
            raise OSError("is a link to a folder above it")
        children = sorted(_visible(folder))
    except OSError as error:
        if not below:
            raise
        entries.skipped.append(f"{valid(below)} ({error.strerror or error})")
        return
    for child in children:
        name = os.path.join(below, child)
        wanted = suffix_of(child) in suffixes
        try:
            mode = os.stat(os.path.join(root, name)).st_mode
        except OSError as error:
            if wanted:
                entries.skipped.append(f"{valid(name)} ({error.strerror or error})")
            continue
        if stat.S_ISDIR(mode):
            _walk(root, name, (*above, (status.st_dev, status.st_ino)), suffixes, entries)
        elif wanted and stat.S_ISREG(mode):
            entries.names.append(name)
        elif wanted:
            kind = SPECIAL.get(stat.S_IFMT(mode), "no regular file")
            entries.skipped.append(f"{valid(name)} (is {kind})")


def _visible(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        yield from (entry.name for entry in entries if not hidden(entry.name))


def hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or was added by an archiver."""
    return name.startswith(".") or name == "__MACOSX"
