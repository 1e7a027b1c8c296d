"""Files named by paths or URLs, written whole or not at all, and read again.

A path is written as in `atomic`. Object stores put a file whole or not at all when its upload is
completed, so an upload is completed at the end and aborted on an error. Other file systems of
fsspec write a draft beside the file, which is moved to its name.
"""

import errno
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from unsup_fast._urls import File, Url, as_os_errors
from unsup_fast.storage import atomic

UPLOADS = frozenset({"s3", "s3a", "gs", "gcs"})  # protocols whose uploads can be aborted


@contextmanager
def replacing(target: File, what: str) -> Iterator[BinaryIO]:
    """Yield a file to write; it replaces `target` when the block ends without an error.

    Parameters
    ----------
    target : Path or Url
        A folder of a path, and of a URL where folders exist, must be there.
    what : str
        What is written, for error messages, such as "the checkpoint".

    Raises
    ------
    OSError
        If the file cannot be written. Nothing has changed then.
    ImportError
        If a package for this kind of URL is missing.
    """
    if not isinstance(target, Url):
        with atomic.replacing(target, what) as file:
            yield file
        return
    opened = False
    try:
        with _draft(target) as file:
            opened = True
            yield file
    except OSError as error:
        if opened and error.filename not in (None, target.text):
            raise  # about a file that is read meanwhile
        raise OSError(
            error.errno,
            f"cannot save {what}, and nothing was changed: {error.strerror or error}",
            target.text,
        ) from error


def write_bytes(target: File, content: bytes, what: str) -> None:
    """Replace a file by `content`; see `replacing`."""
    with replacing(target, what) as file:
        file.write(content)


def read_bytes(target: File) -> bytes:
    """Return the content of a file; raise OSError if it cannot be read."""
    if not isinstance(target, Url):
        return target.read_bytes()
    with as_os_errors(target), target.open() as file:
        return file.read()


@contextmanager
def _draft(url: Url) -> Iterator[BinaryIO]:
    filesystem, path = url.location
    protocols = filesystem.protocol
    if not UPLOADS.isdisjoint([protocols] if isinstance(protocols, str) else protocols):
        with as_os_errors(url):
            file = filesystem.open(path, "wb", autocommit=False)
        with _upload(url, file):
            yield file
        return
    if url.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a directory; name a file", url.text)
    folder = path.rpartition("/")[:2]
    draft = f"{''.join(folder)}.{url.name}.{secrets.token_hex(4)}.tmp"
    try:
        with as_os_errors(url):
            file = filesystem.open(draft, "wb")
        with file:
            yield file
        with as_os_errors(url):
            filesystem.mv(draft, path)
    except BaseException:
        with suppress(Exception):
            filesystem.rm(draft)
        raise


@contextmanager
def _upload(url: Url, file: Any) -> Iterator[None]:
    """Complete an upload at the end of the block; abort it on an error."""
    try:
        yield
        with as_os_errors(url):
            file.close()
            file.commit()
    except BaseException:
        with suppress(Exception):
            file.discard()
        raise
