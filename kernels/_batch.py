"""Checks of a batch of samples, a tensor [B, ...], and how it is worked on."""

import torch
from torch import Tensor

from unsup_fast.kernels import threads

TYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def batch(name: str, value: object) -> None:
    """Raise unless `value` is a tensor [B, ...] of a type the operations know."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor, got {type(value).__name__}")
    if value.dtype not in TYPES:
        raise TypeError(
            f"{name} must be float32, float64, bfloat16 or float16, got {value.dtype}; "
            f"pass {name}.float()"
        )
    if value.ndim == 0:
        raise ValueError(f"{name} has no dimension; it must have shape (B, ...): one row a sample")


def like(name: str, value: object, x: Tensor, x_name: str) -> None:
    """Raise unless `value` is a tensor of the shape, type and device of `x`."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"{name} must be a torch tensor like {x_name}, got {type(value).__name__}")
    if value.shape != x.shape:
        raise ValueError(
            f"{name} has shape {tuple(value.shape)}; it must be {tuple(x.shape)} like {x_name}"
        )
    if value.dtype != x.dtype:
        raise TypeError(f"{name} must be {x.dtype} like {x_name}, got {value.dtype}")
    if value.device != x.device:
        raise ValueError(f"{name} is on {value.device}; it must be on {x.device} like {x_name}")


def on_gpu(name: str, x: Tensor) -> None:
    """Raise unless x is where Triton's kernels run."""
    from triton import knobs

    if x.device.type != "cuda" and not knobs.runtime.interpret:
        raise TypeError(
            f"backend='triton' needs CUDA tensors; {name} is on '{x.device}': pass {name}.cuda()"
        )


def threads_for(x: Tensor, n_threads: int | None) -> int:
    """Return the threads to run; one for a tensor that is done before others have started."""
    if n_threads is None and x.numel() <= 8192:
        return 1
    return threads.effective(n_threads)
