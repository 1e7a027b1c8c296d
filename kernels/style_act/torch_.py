"""`style_act` as operations of torch, with its gradient.

The gradient is one operation where it is not to be differentiated again. Where it is, it is
composed of operations that have gradients of any order.
"""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _tracing
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels._operators import operator
from unsup_fast.kernels.bias_act.layout import arithmetic, last, new_like
from unsup_fast.kernels.style_act import composed, ref


@operator("style_act", differentiable=True)
def style_act(
    x: Tensor,
    scale: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> Tensor:
    """Return what `unsup_fast.kernels.style_act.style_act` does."""
    run = implementation(FORWARD, x, backend)
    out: Tensor = run(x, scale, noise, strength, bias, slope, gain, n_threads)
    return out


@style_act.register_fake
def _fake(x: Tensor, *_: object) -> Tensor:
    return new_like(x)


@operator("style_act_gradient")
def gradient(
    of_out: Tensor,
    out: Tensor,
    x: Tensor | None,
    scale: Tensor | None,
    of_noise: bool,
    of_bias: bool,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return of_x, of_scale [B, C], sums over channels [B, H, W], and of_bias [C].

    of_x has the type of out, the others that of the arithmetic. They are empty if there is no x,
    or if they are not asked for.
    """
    run = implementation(BACKWARD, out, backend)
    of_x, *sums = run(of_out, out, x, scale, of_noise, of_bias, slope, gain, n_threads)
    empty = out.new_empty(0, dtype=arithmetic(out))
    of_scale, channels, pixels = (empty.clone() if one is None else one for one in sums)
    return of_x, of_scale, channels, pixels


@gradient.register_fake
def _gradient_fake(
    of_out: Tensor,
    out: Tensor,
    x: Tensor | None,
    scale: Tensor | None,
    of_noise: bool,
    of_bias: bool,
    *_: object,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, channels, height, width = out.shape
    kind = arithmetic(out)
    return (
        new_like(out),
        out.new_empty(0 if x is None else (batch, channels), dtype=kind),
        out.new_empty((batch, height, width) if of_noise else 0, dtype=kind),
        out.new_empty(channels if of_bias else 0, dtype=kind),
    )


def _setup(ctx: Any, inputs: Any, output: Tensor) -> None:
    x, scale, noise, strength, _, *ctx.rest = inputs
    ctx.save_for_backward(None if scale is None else x, scale, noise, strength, output)


def _backward(ctx: Any, of_out: Tensor) -> tuple[Tensor | None, ...]:
    x, scale, noise, strength, out = ctx.saved_tensors
    _, of_scale, of_noise, of_strength, of_bias = ctx.needs_input_grad[:5]
    grads = derivative(
        of_out,
        out,
        x if of_scale else None,
        scale,
        of_noise or of_strength,
        of_bias,
        *ctx.rest,
    )
    sums = grads[2]  # [B, H, W]
    return (
        grads[0],
        grads[1] if of_scale else None,
        _scaled(sums, strength) if of_noise and sums is not None else None,
        (noise.to(sums.dtype) * sums).sum() if of_strength and sums is not None else None,
        grads[3] if of_bias else None,
        *(None,) * 4,
    )


def _scaled(sums: Tensor, strength: Tensor | None) -> Tensor:
    return sums if strength is None else sums * strength.to(sums.dtype)


style_act.register_autograd(_backward, setup_context=_setup)


class StyleAct(torch.autograd.Function):
    """`style_act` of tensors that nothing traces, with less to do around it."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        """Return what the operation does, of its arguments."""
        *arguments, backend = inputs
        out: Tensor = implementation(FORWARD, arguments[0], backend)(*arguments)
        _setup(ctx, inputs, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor | None, ...]:
        """Return the gradients with respect to all tensors."""
        return _backward(ctx, *grads)


def derivative(
    of_out: Tensor,
    out: Tensor,
    x: Tensor | None,
    scale: Tensor | None,
    of_noise: bool,
    of_bias: bool,
    slope: float,
    gain: float,
    n_threads: int | None,
    backend: str | None,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return what `gradient` does, as torch permits it here; None for what is not asked for."""
    tensors = (of_out, out, x, scale)
    options = (of_noise, of_bias, slope, gain, n_threads)
    if torch.is_grad_enabled() or _tracing.transformed(tensors):
        return composed.gradient(
            of_out, out, x, scale, of_noise, of_bias, slope, gain, n_threads, backend
        )
    if _tracing.direct(tensors):
        grads = implementation(BACKWARD, out, backend)(*tensors, *options)
    else:
        grads = gradient(*tensors, *options, backend)
    of_x, of_scale, channels, pixels = grads
    return of_x, of_scale, channels, pixels


def implementation(
    known: tuple[dict[str, Any], dict[str, Any]], x: Tensor, backend: str | None
) -> Any:
    """Return what runs for a tensor of this device."""
    host, device = known
    if x.device.type == "cpu":
        return choose("style_act", host, backend)
    return choose("style_act", device, backend, "triton")


def _ref(x: Tensor, *arguments: Any) -> Tensor:
    return last(ref.style_act(x, *arguments[:-1]))


def _ref_gradient(
    of_out: Tensor,
    out: Tensor,
    x: Tensor | None,
    scale: Tensor | None,
    of_noise: bool,
    of_bias: bool,
    slope: float,
    gain: float,
    n_threads: int | None,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    kind = arithmetic(out)
    of_x, of_scale, channels, pixels = ref.gradient(of_out, out, x, scale, slope, gain)
    return (
        last(of_x),
        None if of_scale is None else of_scale.to(kind),
        channels.to(kind) if of_noise else None,
        pixels.to(kind) if of_bias else None,
    )


def _composed(name: str, backend: str) -> Any:
    def run(*arguments: Any) -> Any:
        return getattr(composed, name)(*arguments, backend)

    return run


def _triton(name: str) -> Any:
    def run(x: Tensor, *arguments: Any) -> Any:
        _batch.on_gpu("x", x)
        from unsup_fast.kernels.style_act import triton_

        return getattr(triton_, name)(x, *arguments)

    return run


def _known(name: str, host: str, reference: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    device = {"triton": _triton(name), "ref": reference}
    return {one: _composed(host, one) for one in ("native", "numba")} | device, device


FORWARD = _known("style_act", "style_act", _ref)
BACKWARD = _known("gradient", "gradient_by_parts", _ref_gradient)
