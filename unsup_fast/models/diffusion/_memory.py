"""How many samples a network is given at once."""

import math
from collections.abc import Sequence
from typing import Any

import torch

SHARE = 0.25  # of the free memory
MOST = 256
UNKNOWN = 1 << 30  # bytes taken to be free where nobody says


def largest_batch(network: Any, shape: Sequence[int], device: Any) -> int:
    """Return how many samples fit, with all that the network makes of them, at most 256.

    What it makes is counted on one sample of zeros without labels, as if nothing were freed.
    """
    total = 0

    def count(module: Any, given: Any, output: Any) -> None:
        nonlocal total
        if isinstance(output, torch.Tensor):
            total += output.numel() * output.element_size()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    training = network.training
    try:
        with torch.no_grad():
            network.eval()(
                torch.zeros(1, *shape, device=device), torch.zeros(1, device=device), None
            )
    finally:
        for hook in hooks:
            hook.remove()
        network.train(training)
    each = total + 8 * math.prod(shape) * 4
    return max(1, min(MOST, int(SHARE * _free(device)) // each))


def _free(device: Any) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            named = dict(line.split(":", 1) for line in file)
        return int(named["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return UNKNOWN
