"""`group_norm` as an operation of torch: what it gives a compiler, and its gradient."""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels import _samples
from unsup_fast.kernels._dispatch import choose, native
from unsup_fast.kernels._operators import operator

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
    return run(x, groups, weight, bias, scale, shift, eps, silu, n_threads)


@group_norm.register_fake
def _fake(x: Any, *arguments: Any) -> Any:
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
def _gradient_fake(of_out: Any, x: Any, groups: int, *rest: Any) -> list[Any]:
    of_x = torch.empty_like(x, memory_format=LAST)
    return [of_x, *(torch.empty_like(one) for one in rest[:4] if one is not None)]


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[0], *inputs[2:6])
    ctx.groups, ctx.rest = inputs[1], inputs[6:]


def _backward(ctx: Any, of_out: Any) -> tuple[Any, ...]:
    x, *channels = ctx.saved_tensors
    if torch.is_grad_enabled():  # the gradient is to have a gradient, which the kernel has not
        of_x, *of_channels = _ref_gradient(of_out, x, ctx.groups, *channels, *ctx.rest[:-1])
        return (of_x, None, *of_channels, None, None, None, None)
    grads = iter(gradient(of_out, x, ctx.groups, *channels, *ctx.rest))
    of_x = next(grads)
    of_channels = [None if one is None else next(grads) for one in channels]
    return (of_x, None, *of_channels, None, None, None, None)


group_norm.register_autograd(_backward, setup_context=_setup)


def _native(
    x: Any,
    groups: int,
    weight: Any,
    bias: Any,
    scale: Any,
    shift: Any,
    eps: float,
    silu: bool,
    n_threads: int | None,
) -> Any:
    out = torch.empty_like(x, memory_format=LAST)
    if x.numel():
        x = x.contiguous(memory_format=LAST)
        channels = _computed((weight, bias, scale, shift), x)
        _call(x, groups, channels, eps, silu, out.data_ptr(), None, n_threads)
    return out


def _native_gradient(
    of_out: Any,
    x: Any,
    groups: int,
    weight: Any,
    bias: Any,
    scale: Any,
    shift: Any,
    eps: float,
    silu: bool,
    n_threads: int | None,
) -> tuple[Any, Any, Any, Any, Any]:
    of_x = torch.empty_like(x, memory_format=LAST)
    of_gain, of_shift = (torch.zeros(x.shape[:2], dtype=_arithmetic(x)) for _ in range(2))
    channels = _computed((weight, bias, scale, shift), x)
    if x.numel():
        x = x.contiguous(memory_format=LAST)
        of_out = of_out.to(x.dtype).contiguous(memory_format=LAST)
        tensors = tuple(one.data_ptr() for one in (of_out, of_x, of_gain, of_shift))
        _call(x, groups, channels, eps, silu, 0, tensors, n_threads)
    weight_, bias_, scale_, _ = channels
    more = 1 if scale_ is None else 1 + scale_
    of_scale = of_gain if weight_ is None else of_gain * weight_
    if bias_ is not None:
        of_scale = of_scale + of_shift * bias_
    of_channels = ((of_gain * more).sum(0), (of_shift * more).sum(0), of_scale, of_shift)
    grads = [
        None if one is None else value.to(one.dtype)
        for value, one in zip(of_channels, (weight, bias, scale, shift), strict=True)
    ]
    return of_x, grads[0], grads[1], grads[2], grads[3]


def _arithmetic(x: Any) -> Any:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _computed(tensors: Any, x: Any) -> list[Any]:
    """Return tensors in the type of the arithmetic, dense."""
    dtype = _arithmetic(x)
    return [None if one is None else one.detach().to(dtype).contiguous() for one in tensors]


def _call(
    x: Any,
    groups: int,
    channels: list[Any],
    eps: float,
    silu: bool,
    out: int,
    gradient: tuple[int, ...] | None,
    n_threads: int | None,
) -> None:
    native().group_norm(
        _samples.TYPES.index(x.dtype),
        _samples.shape_of(x),
        groups,
        eps,
        silu,
        [0 if one is None else one.data_ptr() for one in channels],
        x.data_ptr(),
        out,
        gradient,
        _samples.threads_for(x, n_threads),
    )


def formulas(*arguments: Any) -> Any:
    """Return the same by operations of torch in float64, in any layout."""
    from unsup_fast.kernels.group_norm import ref

    return ref.group_norm(*arguments)


def _ref(*arguments: Any) -> Any:
    return formulas(*arguments[:-1]).contiguous(memory_format=LAST)


def _ref_gradient(of_out: Any, x: Any, groups: int, *rest: Any) -> Any:
    from unsup_fast.kernels.group_norm import ref

    grads = ref.gradient(of_out, x, groups, *rest[:-1])
    return (grads[0].contiguous(memory_format=LAST), *grads[1:])


FORWARD: dict[str, Any] = {"native": _native, "ref": _ref}
BACKWARD: dict[str, Any] = {"native": _native_gradient, "ref": _ref_gradient}
