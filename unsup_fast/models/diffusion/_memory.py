"""The number of samples in a batch that fits into memory."""

import math
from collections.abc import Sequence

import torch
from torch.nn import Module

from unsup_fast.models.training.memory import activation_bytes, free

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
    x, one = torch.zeros(1, *shape, device=device), torch.ones(1, device=device)
    weight = (one,) if guided else ()
    total = activation_bytes(network, lambda: network(x, one, None, *weight))
    return total + 8 * math.prod(shape) * 4
