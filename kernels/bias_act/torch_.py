"""`bias_act` as operations of torch, closed under differentiation.

The gradient of `bias_act` is `gradient`, a linear map of pairs: (g, b) becomes
(h, sum of h over all but the channels) with h = gain (1 or slope) (g + b). It is its own adjoint,
so that its gradient is `gradient` again, to any order; its derivative with respect to the output,
whose sign chooses between 1 and the slope, is zero.
"""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _tracing
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._operators import operator
from unsup_fast.kernels.bias_act import native, ref
from unsup_fast.kernels.bias_act.layout import arithmetic, last, new_like


@operator("bias_act", differentiable=True)
def bias_act(
    x: Tensor,
    bias: Tensor | None,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> Tensor:
    """Return what `unsup_fast.kernels.bias_act.bias_act` does."""
    out: Tensor = implementation(FORWARD, x, backend)(x, bias, slope, gain, n_threads)
    return out


@bias_act.register_fake
def _fake(x: Tensor, *_: Any) -> Tensor:
    return new_like(x)


@operator("bias_act_gradient", differentiable=True)
def gradient(
    of_out: Tensor,
    shift: Tensor | None,
    out: Tensor,
    summed: bool,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> tuple[Tensor, Tensor]:
    """Return of_x = gain (1 or slope, by the sign of out) (of_out + shift), and its sum.

    The sum over all but the channels has the type of the arithmetic, and is empty unless `summed`.
    """
    run = implementation(BACKWARD, out, backend)
    of_x, sums = run(of_out, shift, out, summed, slope, gain, n_threads)
    return of_x, sums


@gradient.register_fake
def _gradient_fake(
    of_out: Tensor, shift: Tensor | None, out: Tensor, summed: bool, *_: Any
) -> tuple[Tensor, Tensor]:
    sums = out.new_empty(out.shape[1] if summed else 0, dtype=arithmetic(out))
    return new_like(out), sums


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(output)
    ctx.rest = inputs[2:]
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, of_out: Tensor | None) -> tuple[Any, ...]:
    if of_out is None:
        return (None,) * 6
    summed = ctx.needs_input_grad[1]
    of_x, sums = derivative(of_out, None, ctx.saved_tensors[0], summed, *ctx.rest)
    return of_x, sums if summed else None, None, None, None, None


bias_act.register_autograd(_backward, setup_context=_setup)


def _setup_gradient(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(inputs[2])
    ctx.summed, ctx.rest = inputs[3], inputs[4:]
    ctx.set_materialize_grads(False)


def _backward_of_gradient(ctx: Any, of_x: Tensor | None, of_sums: Tensor | None) -> tuple[Any, ...]:
    (out,) = ctx.saved_tensors
    if not ctx.summed:
        of_sums = None
    if of_x is None and of_sums is None:
        return (None,) * 8
    if of_x is None:
        of_x = torch.zeros_like(out)
    summed = ctx.needs_input_grad[1]
    of_of_out, of_shift = derivative(of_x, of_sums, out, summed, *ctx.rest)
    return (of_of_out, of_shift if summed else None, *(None,) * 6)


gradient.register_autograd(_backward_of_gradient, setup_context=_setup_gradient)


class BiasAct(torch.autograd.Function):
    """`bias_act` of tensors that nothing traces, with less to do around it."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bias: Tensor | None, *rest: Any) -> Tensor:
        """Return what the operation does, of its arguments."""
        *options, backend = rest
        out: Tensor = implementation(FORWARD, x, backend)(x, bias, *options)
        _setup(ctx, (x, bias, *rest), out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        """Return the gradients with respect to x and bias."""
        return _backward(ctx, *grads)


class Gradient(torch.autograd.Function):
    """The same for `gradient`."""

    @staticmethod
    def forward(
        ctx: Any, of_out: Tensor, shift: Tensor | None, out: Tensor, summed: bool, *rest: Any
    ) -> tuple[Tensor, Tensor]:
        """Return what the operation does, of its arguments."""
        *options, backend = rest
        _setup_gradient(ctx, (of_out, shift, out, summed, *rest), None)
        of_x, sums = implementation(BACKWARD, out, backend)(of_out, shift, out, summed, *options)
        return of_x, sums

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        """Return the gradients with respect to of_out and shift."""
        return _backward_of_gradient(ctx, *grads)


def derivative(
    of_out: Tensor,
    shift: Tensor | None,
    out: Tensor,
    summed: bool,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> tuple[Tensor, Tensor]:
    """Return what `gradient` does, as torch permits it here."""
    tensors = (of_out, shift, out)
    if _tracing.transformed(tensors):
        of_x, sums = ref.gradient(of_out, shift, out, slope, gain)
        return of_x, sums.to(arithmetic(out))
    if _tracing.direct(tensors):
        run = implementation(BACKWARD, out, backend)
        of_x, sums = run(of_out, shift, out, summed, slope, gain, n_threads)
    else:
        run = Gradient.apply if _tracing.recorded(tensors) else gradient
        of_x, sums = run(of_out, shift, out, summed, slope, gain, n_threads, backend)
    return of_x, sums


def implementation(
    known: tuple[dict[str, Any], dict[str, Any]], x: Tensor, backend: str | None
) -> Any:
    """Return what runs for a tensor of this device."""
    host, device = known
    if x.device.type == "cpu":
        return choose("bias_act", host, backend)
    return choose("bias_act", device, backend, "triton")


def _ref(
    x: Tensor, bias: Tensor | None, slope: float, gain: float, n_threads: int | None
) -> Tensor:
    return last(ref.bias_act(x, bias, slope, gain))


def _ref_gradient(
    of_out: Tensor,
    shift: Tensor | None,
    out: Tensor,
    summed: bool,
    slope: float,
    gain: float,
    n_threads: int | None,
) -> tuple[Tensor, Tensor]:
    of_x, sums = ref.gradient(of_out, shift, out, slope, gain)
    return last(of_x), sums.to(arithmetic(out)) if summed else sums.new_empty(
        0, dtype=arithmetic(out)
    )


def _numba(name: str) -> Any:
    def run(*arguments: Any) -> Any:
        from unsup_fast.kernels.bias_act import numba_

        return getattr(numba_, name)(*arguments)

    return run


def _triton(name: str) -> Any:
    def run(x: Tensor, *arguments: Any) -> Any:
        _batch.on_gpu("x", x)
        from unsup_fast.kernels.bias_act import triton_

        return getattr(triton_, name)(x, *arguments)

    return run


def _known(name: str, compiled: Any, reference: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    device = {"triton": _triton(name), "ref": reference}
    return {"native": compiled, "numba": _numba(name), **device}, device


FORWARD = _known("bias_act", native.bias_act, _ref)
BACKWARD = _known("gradient", native.gradient, _ref_gradient)
