"""`full_precision`: what is computed in float32 although autocast is on."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor


def full_precision(x: Tensor) -> AbstractContextManager[Any]:
    """Return a context without autocast on the device of a tensor, which may be "meta"."""
    device = x.device.type
    if device == "meta":  # autocast does not know it
        return nullcontext()
    context: AbstractContextManager[Any] = torch.autocast(device, enabled=False)
    return context
