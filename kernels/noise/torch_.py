"""`noise` as an operation of torch: what it gives a compiler, and its gradient."""

from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels import _layout
from unsup_fast.kernels._operators import operator
from unsup_fast.kernels.noise._run import run
from unsup_fast.kernels.noise.call import Call


def noise(
    call: Call, out: Tensor | None, out_target: Tensor | None
) -> Tensor | tuple[Tensor, Tensor]:
    """Return x_t and the target if there is one, through the operations below."""
    tensors = (call.x0, call.eps, out, out_target)
    grad = torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in tensors
    )
    if grad or (out is None and out_target is None):
        results = _noise(*call)
        outputs = [
            value if to is None else to.copy_(value)
            for value, to in zip(results, (out, out_target), strict=False)
        ]
    else:
        outputs = [_layout.empty_like(call.x0) if out is None else out]
        if call.target is not None:
            outputs.append(_layout.empty_like(call.x0) if out_target is None else out_target)
        _noise_into(*call, outputs[0], outputs[1] if call.target is not None else None)
    return outputs[0] if call.target is None else (outputs[0], outputs[1])


@operator("noise", differentiable=True)
def _noise(
    x0: Tensor,
    signal: Tensor,
    sigma: Tensor,
    eps: Tensor | None,
    seed: int | None,
    seeds: Tensor | None,
    stream: int,
    target: str | None,
    n_threads: int | None,
    backend: str | None,
) -> list[Tensor]:
    call = Call(x0, signal, sigma, eps, seed, seeds, stream, target, n_threads, backend)
    results = [_layout.new_like(x0) for _ in range(1 if target is None else 2)]
    run(call, results[0], None if target is None else results[1])
    return results


@_noise.register_fake
def _noise_fake(x0: Tensor, *arguments: Any) -> list[Tensor]:
    return [_layout.empty_like(x0) for _ in range(1 if arguments[6] is None else 2)]


@operator("noise_into", mutates=("out", "out_target"))
def _noise_into(
    x0: Tensor,
    signal: Tensor,
    sigma: Tensor,
    eps: Tensor | None,
    seed: int | None,
    seeds: Tensor | None,
    stream: int,
    target: str | None,
    n_threads: int | None,
    backend: str | None,
    out: Tensor,
    out_target: Tensor | None,
) -> None:
    call = Call(x0, signal, sigma, eps, seed, seeds, stream, target, n_threads, backend)
    run(call, out, out_target)


@_noise_into.register_fake
def _noise_into_fake(*arguments: Any) -> None:
    return None


def _setup(ctx: Any, inputs: Any, output: object) -> None:
    ctx.save_for_backward(inputs[1], inputs[2])
    ctx.target, ctx.has_eps = inputs[7], inputs[3] is not None


def _backward(ctx: Any, of_results: Any) -> tuple[Any, ...]:
    of_x_t = of_results[0]
    dtype = torch.float64 if of_x_t.dtype == torch.float64 else torch.float32
    each = (-1, *[1] * (of_x_t.ndim - 1))
    signal, sigma = (value.to(dtype).view(each) for value in ctx.saved_tensors)
    of_x0, of_eps = signal * of_x_t, sigma * of_x_t
    if ctx.target is not None:
        of_target = of_results[1].to(dtype)
        of_eps = of_eps + (signal * of_target if ctx.target == "v_prediction" else of_target)
        if ctx.target != "epsilon":
            of_x0 = of_x0 - (sigma * of_target if ctx.target == "v_prediction" else of_target)
    eps = of_eps.to(of_x_t.dtype) if ctx.has_eps else None
    return (of_x0.to(of_x_t.dtype), None, None, eps, *[None] * 6)


_noise.register_autograd(_backward, setup_context=_setup)
