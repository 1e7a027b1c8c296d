"""What the loop asks of an `accelerate.Accelerator`: devices, precision and processes."""

from typing import Any, Protocol

import torch
from torch import Tensor


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
