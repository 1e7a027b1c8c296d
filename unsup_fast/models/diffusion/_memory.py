"""The number of samples in a batch that fits into memory."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import torch
from torch.nn import Module

from unsup_fast.models.base import evaluating

SHARE = 0.25  # of the free memory
MOST = 256
UNKNOWN = 1 << 30  # bytes assumed to be free where the system does not say
GROUP_FILES = (  # of the second version of control groups and of the first
    ("memory.max", "memory.current", "inactive_file"),
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def largest_batch(network: Module, shape: Sequence[int], device: torch.device) -> int:
    """Return how many samples fit into memory with all activations, at most 256."""
    return max(1, min(MOST, int(SHARE * free(device)) // sample_bytes(network, shape, device)))


def sample_bytes(network: Module, shape: Sequence[int], device: torch.device) -> int:
    """Return the bytes of a sample with all of its activations.

    Activations are counted on one sample of zeros without labels, as if none were freed. A network
    on torch's device "meta" is counted without memory.
    """
    total = 0

    def count(module: Module, inputs: object, output: object) -> None:
        nonlocal total
        if isinstance(output, torch.Tensor):
            total += output.numel() * output.element_size()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.no_grad(), evaluating(network):
            network(torch.zeros(1, *shape, device=device), torch.zeros(1, device=device), None)
    finally:
        for hook in hooks:
            hook.remove()
    return total + 8 * math.prod(shape) * 4


def free(device: torch.device) -> int:
    """Return the bytes of a device's memory that are free, as far as anybody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
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
