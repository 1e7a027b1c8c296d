"""Running means of the weights, which samples are drawn with."""

from typing import Any

import torch

from unsup_fast.models.training.parallel import broadcast
from unsup_fast.models.training.state import State


def average(state: State, decay: float, accelerator: Any) -> None:
    """Move the averaged weights towards the present ones; copy the main process's buffers."""
    for name, network in state.networks.items():
        average = state.averages[name]
        weights = [weight.detach() for weight in network.parameters()]
        torch._foreach_lerp_(list(average.parameters()), weights, 1 - decay)
        if accelerator.num_processes > 1:
            broadcast(network.buffers())
        for to, value in zip(average.buffers(), network.buffers(), strict=True):
            to.copy_(value)
