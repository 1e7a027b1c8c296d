"""Files named by URLs, which fsspec opens: in object stores, on web servers, in memory."""

import errno
import io
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple, TypeAlias
from urllib.parse import urlsplit

from unsup_fast import _extras

PATTERN = re.compile(r"(?:[a-z][a-z0-9+.-]*::)*[a-z][a-z0-9+.-]*://", re.IGNORECASE)
SEPARATE = 8  # files of a folder up to which they are asked for one by one, not by a listing
# What tells a file from a later state of itself, by the names that file systems have for it.
VERSIONS = (
    *("ETag", "etag", "md5Hash", "crc32c", "checksum", "mtime", "LastModified"),
    *("last_modified", "updated", "modified", "created"),
)


class Location(NamedTuple):
    """A file system of fsspec, and a path in it."""

    filesystem: Any
    path: str


@dataclass(frozen=True)
class Url:
    """The URL of a file or folder, with those methods of a Path that readers need.

    Errors of file systems are raised as OSError, whatever their class.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of folders and file."""
        path = self.text.partition("://")[2]
        if self.is_web:
            path = urlsplit(self.text).path
        return PurePosixPath(path).parts

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.parts[-1] if self.parts else self.text

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """Last suffix of the name, with its dot."""
        return PurePosixPath(self.name).suffix

    @property
    def suffixes(self) -> list[str]:
        """All suffixes of the name."""
        return PurePosixPath(self.name).suffixes

    @property
    def is_web(self) -> bool:
        """Whether it is of the World Wide Web, where a folder cannot be listed."""
        return self.text.lower().startswith(("http://", "https://"))

    @property
    def location(self) -> Location:
        """The file system and the path in it; ImportError names the package that is missing."""
        fsspec = _extras.require("fsspec.core", "cloud", f"opening {self}")
        try:
            filesystem, path = fsspec.url_to_fs(self.text)
        except ImportError as error:  # of the package for this kind of URL
            protocol = self.text.partition("://")[0]
            raise ImportError(
                f"{self}: {protocol}:// needs another package ({error}); pip install it"
            ) from error
        except ValueError as error:
            raise OSError(errno.EINVAL, str(error), self.text) from error
        return Location(filesystem=filesystem, path=path)

    def __truediv__(self, name: str) -> "Url":
        return Url(f"{self.text.rstrip('/')}/{name}")

    def absolute(self) -> "Url":
        """Return the URL, which is absolute."""
        return self

    def open(self, mode: str = "rb", **options: Any) -> IO[bytes]:
        """Open the file; `options` are those of fsspec."""
        filesystem, path = self.location
        with as_os_errors(self):
            file: IO[bytes] = filesystem.open(path, mode, **options)
        return file

    def info(self) -> Mapping[str, Any]:
        """Return what the file system says of the file now."""
        filesystem, path = self.location
        with as_os_errors(self):
            filesystem.invalidate_cache(filesystem._parent(path))
            info: Mapping[str, Any] = filesystem.info(path)
        return info

    def exists(self) -> bool:
        """Return whether there is such a file or folder."""
        try:
            self.info()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Return whether it is a folder."""
        try:
            return bool(self.info()["type"] == "directory")
        except FileNotFoundError:
            return False

    def files(self) -> "list[Url]":
        """Return the files in this folder, in any order."""
        filesystem, path = self.location
        with as_os_errors(self):
            filesystem.invalidate_cache(path)
            entries = filesystem.ls(path, detail=True)
        names = [PurePosixPath(info["name"]).name for info in entries if info["type"] == "file"]
        return [self / name for name in names]

    def glob(self) -> "list[Url]":
        """Return the files that match the pattern, in any order."""
        filesystem, path = self.location
        with as_os_errors(self):
            filesystem.invalidate_cache()
            entries = filesystem.glob(path, detail=True)
        names = [name for name, info in entries.items() if info["type"] == "file"]
        chain = self.text.rpartition("::")
        return [Url("".join(chain[:2]) + filesystem.unstrip_protocol(name)) for name in names]

    def read_ranges(self, starts: Sequence[int], stops: Sequence[int]) -> list[bytes]:
        """Return the bytes of several ranges, which are asked for together."""
        filesystem, path = self.location
        with as_os_errors(self):
            ranges: list[bytes] = filesystem.cat_ranges(
                [path] * len(starts), list(starts), list(stops), on_error="raise"
            )
        return ranges

    def read_start(self, size: int) -> IO[bytes]:
        """Return at most the first `size` bytes as a file."""
        return io.BytesIO(*self.read_ranges([0], [size]))


File: TypeAlias = Path | Url


def file_of(name: str | Path | Url) -> File:
    """Return the file of a name: of a URL if it is one, else of a path."""
    if isinstance(name, str):
        return Url(name) if PATTERN.match(name) else Path(name)
    return name


class State(NamedTuple):
    """What tells a file from a later state of itself."""

    size: int
    """Bytes."""
    version: int | str
    """Time of modification of a path, in ns; what the file system has for it of a URL."""


def states(files: Sequence[File]) -> dict[File, State]:
    """Return the present states of files; of many in one folder by listing it.

    Raises
    ------
    OSError
        If a file is not there; its `filename` names the file.
    """
    present: dict[File, State] = {}
    folders: dict[str, list[Url]] = defaultdict(list)
    for file in files:
        if isinstance(file, Url):
            folders[file.text.rpartition("/")[0]].append(file)
        else:
            status = file.stat()
            present[file] = State(size=status.st_size, version=status.st_mtime_ns)
    for urls in folders.values():
        listed = _listed(urls) if len(urls) > SEPARATE and not urls[0].is_web else {}
        for url in urls:
            info = listed.get(url) or url.info()
            version = next((info[key] for key in VERSIONS if info.get(key) is not None), "")
            present[url] = State(size=int(info["size"] or 0), version=str(version))
    return {file: present[file] for file in files}


def _listed(urls: list[Url]) -> dict[Url, Mapping[str, Any]]:
    """Return what the listing of their folder says of files."""
    filesystem, path = urls[0].location
    folder = filesystem._parent(path)
    with as_os_errors(urls[0]):
        filesystem.invalidate_cache(folder)
        infos = {info["name"].rstrip("/"): info for info in filesystem.ls(folder, detail=True)}
    return {url: infos[key] for url in urls if (key := url.location.path) in infos}


@contextmanager
def as_os_errors(url: Url) -> Iterator[None]:
    """Raise the errors of a file system as OSError with the reason and the URL."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        code = next((code for kind, code in CODES.items() if isinstance(error, kind)), errno.EIO)
        reason = os.strerror(code)
        if code == errno.EIO:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise OSError(code, reason, url.text) from error


CODES = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    FileExistsError: errno.EEXIST,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
}
