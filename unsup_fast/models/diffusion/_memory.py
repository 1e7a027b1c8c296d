"""The number of samples in a batch that fits into memory."""

import math
from collections.abc import Sequence

import torch
from torch.nn import Module

from unsup_fast._memory import free_memory
from unsup_fast.models.base import evaluating

SHARE = 0.25  # of the free memory
MOST = 256


def largest_batch(
    network: Module, shape: Sequence[int], device: torch.device, *, guided: bool = False
) -> int:
    """Return how many samples fit into memory with all activations, at most 256."""
    return max(
        1,
        min(MOST, int(SHARE * free(device)) // sample_bytes(network, shape, device, guided=guided)),
    )


def sample_bytes(
    network: Module, shape: Sequence[int], device: torch.device, *, guided: bool = False
) -> int:
    """Return the bytes of a sample with all of its activations.

    Activations are counted on one sample of zeros without labels, as if none were freed. A network
    on torch's device "meta" is counted without memory; one that is `guided` takes a weight.
    """
    total = 0

    def count(module: Module, inputs: object, output: object) -> None:
        nonlocal total
        if isinstance(output, torch.Tensor):
            total += output.numel() * output.element_size()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.no_grad(), evaluating(network):
            x, one = torch.zeros(1, *shape, device=device), torch.ones(1, device=device)
            network(x, one, None, *((one,) if guided else ()))
    finally:
        for hook in hooks:
            hook.remove()
    return total + 8 * math.prod(shape) * 4


def free(device: torch.device) -> int:
    """Return the bytes of a device's memory that are free, as far as anybody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory()
