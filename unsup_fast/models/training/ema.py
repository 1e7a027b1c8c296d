"""Running means of the weights, which samples are drawn with."""

import torch

from unsup_fast.models.training.accelerator import Accelerator
from unsup_fast.models.training.parallel import broadcast
from unsup_fast.models.training.state import State


def average(state: State, decay: float, accelerator: Accelerator) -> None:
    """Move the averaged weights towards the present ones; copy the main process's buffers."""
    if accelerator.num_processes > 1:
        for network in state.networks.values():
            broadcast(network.buffers())
    for name, averaged in state.ema.items():
        network = state.networks[name]
        weights = [weight.detach() for weight in network.parameters()]
        if weights:
            torch._foreach_lerp_(list(averaged.parameters()), weights, 1 - decay)
        for to, value in zip(averaged.buffers(), network.buffers(), strict=True):
            to.copy_(value)
