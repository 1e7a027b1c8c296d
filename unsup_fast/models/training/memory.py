"""Memory that a network needs, and that is free."""

from collections.abc import Callable

import torch
from torch.nn import Module

from unsup_fast._memory import free_memory
from unsup_fast.models.base import evaluating


def activation_bytes(network: Module, call: Callable[[], object]) -> int:
    """Return the bytes of what all modules of a network return in a call, as if none were freed.

    A network on torch's device "meta" is counted without memory.
    """
    total = 0

    def count(module: Module, inputs: object, output: object) -> None:
        nonlocal total
        if isinstance(output, torch.Tensor):
            total += output.numel() * output.element_size()

    hooks = [module.register_forward_hook(count) for module in network.modules()]
    try:
        with torch.no_grad(), evaluating(network):
            call()
    finally:
        for hook in hooks:
            hook.remove()
    return total


def free(device: torch.device) -> int:
    """Return the bytes of a device's memory that are free, as far as anybody says."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory()
