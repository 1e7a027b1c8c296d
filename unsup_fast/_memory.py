"""Memory that is free on this machine."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

UNKNOWN = 1 << 30  # bytes assumed to be free where the system does not say
GROUP_FILES = (  # of the second version of control groups and of the first
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def free_memory() -> int:
    """Return the bytes of memory that are free, as far as anybody says."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        named = dict(line.split(":", 1) for line in lines)
        available = int(named["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        available = UNKNOWN
    return min([available, *left_in_groups(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))])


def left_in_groups(root: Path, own: Path) -> Iterator[int]:
    """Yield the bytes that the limits of this process's control groups leave, as in a container.

    Parameters
    ----------
    root : Path
        Directory where the groups are mounted.
    own : Path
        File that names the groups of this process.

    Yields
    ------
    int
        Limit - use; cached pages of files that no process reads do not count as use.
    """
    directories = {root, root / "memory"}  # a container may see its own group as the root
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds == "" or "memory" in kinds.split(","):
                directories.add(root / kinds / path.lstrip("/"))
    for directory in directories:
        for limit, use, idle in GROUP_FILES:
            with suppress(OSError, KeyError, ValueError):
                maximum, used = (int((directory / name).read_text()) for name in (limit, use))
                lines = (directory / "memory.stat").read_text().splitlines()
                named = dict(line.split() for line in lines)
                yield max(0, maximum - used + int(named[idle]))
