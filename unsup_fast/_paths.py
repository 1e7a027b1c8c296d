"""Kind of the file at a path, without opening it: a named pipe blocks, a device has no end."""

import errno
import os
import stat

KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


def special(path: str | os.PathLike[str]) -> str | None:
    """Return the kind of a pipe, socket or device, as "a socket".

    None for regular files, directories and what cannot be looked at. Links are followed.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    return next((kind for is_kind, kind in KINDS if is_kind(mode)), None)


def check_not_special(path: str | os.PathLike[str]) -> None:
    """Refuse to read a pipe, a socket or a device.

    Raises
    ------
    OSError
        With the kind of file and the name.
    """
    kind = special(path)
    if kind is not None:
        raise OSError(errno.EINVAL, f"is {kind}; name a regular file", os.fspath(path))
