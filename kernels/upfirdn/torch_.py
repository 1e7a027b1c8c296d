"""`upfirdn` as an operation of torch, whose gradient is itself with other settings."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _tracing
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._operators import operator
from unsup_fast.kernels.bias_act.layout import last
from unsup_fast.kernels.upfirdn import portable, ref
from unsup_fast.kernels.upfirdn.sizes import Settings, adjoint, new, output_sides


@operator("upfirdn", differentiable=True)
def upfirdn(
    x: Tensor,
    taps: Tensor,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flipped: bool,
    backend: str | None,
) -> Tensor:
    """Return what `unsup_fast.kernels.upfirdn.upfirdn` does for taps [KH, KW].

    With `flipped` the taps are those of a correlation.
    """
    out: Tensor = implementation(x, backend)(x, taps, up, down, padding, flipped)
    return out


@upfirdn.register_fake
def _fake(
    x: Tensor,
    taps: Tensor,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    *_: object,
) -> Tensor:
    return new(x, output_sides(x.shape[2:], taps.shape, up, down, padding))


def _setup(ctx: Any, inputs: Any, output: Tensor) -> None:
    x, taps, *settings, ctx.backend = inputs
    ctx.save_for_backward(taps)
    ctx.settings = adjoint(Settings(*settings), x.shape[2:], taps.shape)


def _backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
    (taps,) = ctx.saved_tensors
    return apply(of_out, taps, ctx.settings, ctx.backend), *(None,) * 6


upfirdn.register_autograd(_backward, setup_context=_setup)


class Upfirdn(torch.autograd.Function):
    """`upfirdn` of tensors that nothing traces, with less to do around it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, *rest: Any) -> Tensor:
        """Return what the operation does, of its arguments."""
        *settings, backend = rest
        _setup(ctx, (x, taps, *rest), x)
        out: Tensor = implementation(x, backend)(x, taps, *settings)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        """Return the gradient with respect to x."""
        return _backward(ctx, *grads)


def apply(x: Tensor, taps: Tensor, settings: Settings, backend: str | None) -> Tensor:
    """Return what `upfirdn` does, as torch permits it here."""
    if _tracing.transformed((x, taps)):
        return ref.upfirdn(x, taps, *settings)
    if _tracing.direct((x, taps)):
        out: Tensor = implementation(x, backend)(x, taps, *settings)
        return out
    run: Callable[..., Tensor] = Upfirdn.apply if _tracing.recorded((x, taps)) else upfirdn
    return run(x, taps, *settings, backend)


def implementation(x: Tensor, backend: str | None) -> Any:
    """Return what runs for a tensor of this device."""
    if x.device.type == "cpu":
        return choose("upfirdn", HOST, backend, "portable")
    return choose("upfirdn", DEVICE, backend, "triton")


def _ref(x: Tensor, taps: Tensor, *settings: Any) -> Tensor:
    return last(ref.upfirdn(x, taps, *settings))


def _triton(x: Tensor, taps: Tensor, *settings: Any) -> Tensor:
    _batch.on_gpu("x", x)
    from unsup_fast.kernels.upfirdn import triton_

    return triton_.upfirdn(x, taps, *settings)


DEVICE = {"triton": _triton, "ref": _ref}
HOST = {"portable": portable.upfirdn, **DEVICE}
