"""`group_norm` as an operation of torch: what it gives a compiler, and its gradient."""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._operators import operator
from unsup_fast.kernels.group_norm import native, ref

LAST = torch.channels_last


@operator("group_norm", differentiable=True)
def group_norm(
    x: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    eps: float,
    silu: bool,
    n_threads: int | None,
    backend: str | None,
) -> Tensor:
    """Return what `unsup_fast.kernels.group_norm.group_norm` does."""
    run = choose("group_norm", FORWARD, backend)
    out: Tensor = run(x, groups, weight, bias, scale, shift, eps, silu, n_threads)
    return out


@group_norm.register_fake
def _fake(x: Tensor, *arguments: Any) -> Tensor:
    return torch.empty_like(x, memory_format=LAST)


@operator("group_norm_gradient")
def gradient(
    of_out: Tensor,
    x: Tensor,
    groups: int,
    weight: Tensor | None,
    bias: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    eps: float,
    silu: bool,
    n_threads: int | None,
    backend: str | None,
) -> list[Tensor]:
    """Return the gradients of x and of those of weight, bias, scale and shift that are not None."""
    run = choose("group_norm", BACKWARD, backend)
    grads = run(of_out, x, groups, weight, bias, scale, shift, eps, silu, n_threads)
    return [value for value in grads if value is not None]


@gradient.register_fake
def _gradient_fake(of_out: Tensor, x: Tensor, groups: int, *rest: Any) -> list[Tensor]:
    of_x = torch.empty_like(x, memory_format=LAST)
    return [of_x, *(torch.empty_like(one) for one in rest[:4] if one is not None)]


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[0], *inputs[2:6])
    ctx.groups, ctx.rest = inputs[1], inputs[6:]


def _backward(ctx: Any, of_out: Tensor) -> tuple[Any, ...]:
    x, *channels = ctx.saved_tensors
    if torch.is_grad_enabled():  # the gradient is to have a gradient, which the kernel has not
        of_x, *of_channels = _ref_gradient(of_out, x, ctx.groups, *channels, *ctx.rest[:-1])
        return (of_x, None, *of_channels, None, None, None, None)
    grads = iter(gradient(of_out, x, ctx.groups, *channels, *ctx.rest))
    of_x = next(grads)
    of_channels = [None if one is None else next(grads) for one in channels]
    return (of_x, None, *of_channels, None, None, None, None)


group_norm.register_autograd(_backward, setup_context=_setup)


def formulas(*arguments: Any) -> Tensor:
    """Return the same by operations of torch in float64, in any layout."""
    return ref.group_norm(*arguments)


def _ref(*arguments: Any) -> Tensor:
    return formulas(*arguments[:-1]).contiguous(memory_format=LAST)


def _ref_gradient(of_out: Tensor, x: Tensor, groups: int, *rest: Any) -> Any:
    grads = ref.gradient(of_out, x, groups, *rest[:-1])
    of_x = grads[0]
    assert of_x is not None
    return (of_x.contiguous(memory_format=LAST), *grads[1:])


def _numba(*arguments: Any) -> Tensor:
    from unsup_fast.kernels.group_norm import numba_

    return numba_.group_norm(*arguments)


def _numba_gradient(*arguments: Any) -> Any:
    from unsup_fast.kernels.group_norm import numba_

    return numba_.gradient(*arguments)


FORWARD: dict[str, Any] = {"native": native.group_norm, "numba": _numba, "ref": _ref}
BACKWARD: dict[str, Any] = {
    "native": native.gradient,
    "numba": _numba_gradient,
    "ref": _ref_gradient,
}
