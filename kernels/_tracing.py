"""Whether torch traces, transforms or differentiates an operation, or it may run at once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

_unpack_dual: Any = forward_ad.unpack_dual

Tensors = Sequence[Tensor | None]


def direct(tensors: Tensors) -> bool:
    """Return whether an operation may run now: not traced, transformed or recording gradients."""
    if torch.compiler.is_compiling() or torch._C._is_tracing():
        return False
    if forward_ad._current_level >= 0:
        _refuse_tangents(tensors)
    if torch._C._are_functorch_transforms_active() or torch._C._len_torch_dispatch_stack():
        return False
    if tensors[0] is not None and tensors[0].is_meta:
        return False
    grad = torch.is_grad_enabled()
    for value in tensors:
        if value is not None:
            if type(value) is not torch.Tensor and type(value) is not torch.nn.Parameter:
                return False
            if grad and value.requires_grad:
                return False
    return True


def recorded(tensors: Tensors) -> bool:
    """Return whether autograd alone, and nothing that traces, looks at tensors."""
    return direct([None if one is None else one.detach() for one in tensors])


def _refuse_tangents(tensors: Tensors) -> None:
    if _have_tangents(tensors):
        raise NotImplementedError("noise and denoise have no forward-mode gradient; use backward()")


def transformed(tensors: Tensors) -> bool:
    """Return whether torch.func transforms the tensors, or they have forward-mode gradients."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._are_functorch_transforms_active() or (
        forward_ad._current_level >= 0 and _have_tangents(tensors)
    )


def _have_tangents(tensors: Tensors) -> bool:
    return any(value is not None and _unpack_dual(value).tangent is not None for value in tensors)


def written(to: Tensors, into: Tensors) -> None:
    """Copy buffers to their outputs, and mark outputs written in place for autograd."""
    for out, buffer in zip(to, into, strict=True):
        if out is None or buffer is None:
            continue
        if out is not buffer:
            out.copy_(buffer)
        else:
            torch.autograd.graph.increment_version(out)
