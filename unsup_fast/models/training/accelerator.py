"""What the loop asks of an `accelerate.Accelerator`: devices, precision and processes."""

from typing import Any, Protocol

import torch
from torch import Tensor

from unsup_fast._extras import require
from unsup_fast.models.training import precision as precisions


class Accelerator(Protocol):
    """The part of `accelerate.Accelerator` that training uses."""

    num_processes: int
    process_index: int
    is_main_process: bool
    mixed_precision: str
    """"no" or "bf16"."""
    distributed_type: Any
    gradient_accumulation_steps: int

    @property
    def device(self) -> torch.device:
        """Device of this process."""

    def backward(self, loss: Tensor, *, inputs: list[Tensor]) -> None:
        """Add the gradient of a loss to those of the inputs."""

    def gather(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, one after the other."""

    def reduce(self, tensor: Tensor, reduction: str) -> Tensor:
        """Return the sum or mean of the processes' tensors."""

    def wait_for_everyone(self) -> None:
        """Wait for all processes."""


def accelerator_for(
    accelerator: Accelerator | None, precision: str, device: torch.device | str | None
) -> tuple[Accelerator, torch.dtype]:
    """Return the accelerator to train with, and the type that the network computes in."""
    if accelerator is not None:
        mixed = accelerator.mixed_precision
        return accelerator, torch.bfloat16 if mixed == "bf16" else torch.float32
    accelerate = require("accelerate", "train", "training")
    on_host = device is not None and torch.device(device).type == "cpu"
    # Accelerate has one precision for the whole process, so autocast is entered here instead.
    accelerator = accelerate.Accelerator(cpu=on_host, mixed_precision="no")
    return accelerator, precisions.chosen(precision, accelerator.device)
