"""`denoise` as an operation of torch: what it gives a compiler, and its gradient."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from unsup_fast.kernels import _layout
from unsup_fast.kernels._operators import operator
from unsup_fast.kernels.denoise._run import run
from unsup_fast.kernels.denoise.call import Call
from unsup_fast.kernels.denoise.quantile import between, quantile_ranks
from unsup_fast.kernels.sampler_terms import (
    ANCHOR_ANCHOR,
    ANCHOR_HISTORY,
    ANCHOR_KEEP,
    ANCHOR_X,
    CLIP,
    GUIDANCE,
    KEEP_X,
    KEEP_X0,
    NEXT_ANCHOR,
    NEXT_HISTORY,
    NEXT_KEEP,
    NEXT_NOISE,
    NEXT_X,
    X0_OUTPUT,
    X0_X,
)


def denoise(
    call: Call, out: Tensor | None, keep: Tensor | None, anchor_out: Tensor | None
) -> Tensor:
    """Return the next sample, through the operations below."""
    inputs = (*call[:4], list(call.history), *call[5:])
    tensors = (call.x, call.output, call.uncond, *call.history, call.anchor, call.noise)
    outputs = (out, keep, anchor_out)
    grad = torch.is_grad_enabled() and any(
        tensor is not None and tensor.requires_grad for tensor in (*tensors, *outputs)
    )
    if grad or all(tensor is None for tensor in outputs):
        results = _denoise(*inputs, keep is not None, anchor_out is not None)
        rest = iter(results[1:])
        for tensor in (keep, anchor_out):
            if tensor is not None:
                tensor.copy_(next(rest))
        return results[0] if out is None else out.copy_(results[0])
    out = _layout.empty_like(call.x) if out is None else out
    _denoise_into(*inputs, out, keep, anchor_out)
    return out


@operator("denoise", differentiable=True)
def _denoise(
    x: Tensor,
    output: Tensor,
    row: Tensor,
    uncond: Tensor | None,
    history: Sequence[Tensor],
    anchor: Tensor | None,
    seed: int | None,
    seeds: Tensor | None,
    stream: int,
    noise: Tensor | None,
    threshold: Sequence[float] | None,
    n_threads: int | None,
    backend: str | None,
    keep: bool,
    anchor_out: bool,
) -> list[Tensor]:
    inputs = (x, output, row, uncond, history, anchor, seed, seeds, stream, noise, threshold)
    call = Call(*inputs, n_threads, backend)
    results = [_layout.new_like(x) for _ in range(1 + keep + anchor_out)]
    run(call, results[0], results[1] if keep else None, results[-1] if anchor_out else None)
    return results


@_denoise.register_fake
def _denoise_fake(x: Tensor, *arguments: Any) -> list[Tensor]:
    keep, anchor_out = arguments[-2:]
    return [_layout.empty_like(x) for _ in range(1 + keep + anchor_out)]


@operator("denoise_into", mutates=("out", "keep", "anchor_out"))
def _denoise_into(
    x: Tensor,
    output: Tensor,
    row: Tensor,
    uncond: Tensor | None,
    history: Sequence[Tensor],
    anchor: Tensor | None,
    seed: int | None,
    seeds: Tensor | None,
    stream: int,
    noise: Tensor | None,
    threshold: Sequence[float] | None,
    n_threads: int | None,
    backend: str | None,
    out: Tensor,
    keep: Tensor | None,
    anchor_out: Tensor | None,
) -> None:
    inputs = (x, output, row, uncond, history, anchor, seed, seeds, stream, noise, threshold)
    call = Call(*inputs, n_threads, backend)
    run(call, out, keep, anchor_out)


@_denoise_into.register_fake
def _denoise_into_fake(*arguments: Any) -> None:
    return None


def _setup(ctx: Any, inputs: Any, output: object) -> None:
    x, model, row, uncond, history = inputs[:5]
    ctx.threshold, (ctx.keep, ctx.anchor_out) = inputs[10], inputs[-2:]
    ctx.n_history = len(history)
    ctx.save_for_backward(x, model, row, uncond)


def _backward(ctx: Any, of_results: Any) -> tuple[Any, ...]:
    """Return the gradients: sums of those of the results, but for x0 where it is clipped."""
    x, output, row, uncond = ctx.saved_tensors
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    rest = iter(of_results[1:])
    of_next = of_results[0].to(dtype)
    of_keep = next(rest).to(dtype) if ctx.keep else None
    of_anchor = next(rest).to(dtype) if ctx.anchor_out else None

    def both(next_: int, anchor: int) -> Tensor:
        total: Tensor = row[next_] * of_next
        if of_anchor is not None:
            total = total + row[anchor] * of_anchor
        return total

    of_d = both(NEXT_KEEP, ANCHOR_KEEP)
    of_d = of_d if of_keep is None else of_d + of_keep
    model = output.to(dtype)
    if uncond is not None:
        model = uncond.to(dtype) + row[GUIDANCE] * (model - uncond.to(dtype))
    x0 = row[X0_X] * x.to(dtype) + row[X0_OUTPUT] * model
    of_x0 = row[KEEP_X0] * of_d
    if ctx.threshold is None:
        of_x0 = torch.where(x0.abs() <= row[CLIP], of_x0, 0)
    else:
        of_x0 = _through_threshold(x0, of_x0, *ctx.threshold)
    of_x = both(NEXT_X, ANCHOR_X) + row[KEEP_X] * of_d + row[X0_X] * of_x0
    of_output, of_uncond = row[X0_OUTPUT] * of_x0, None
    if uncond is not None:
        of_uncond = (1 - row[GUIDANCE]) * of_output
        of_output = row[GUIDANCE] * of_output
    history = [both(NEXT_HISTORY + j, ANCHOR_HISTORY + j) for j in range(ctx.n_history)]
    of_inputs = (
        of_x,
        of_output,
        None,
        of_uncond,
        history,
        both(NEXT_ANCHOR, ANCHOR_ANCHOR),
        None,
        None,
        None,
        row[NEXT_NOISE] * of_next,
    )
    wanted = ctx.needs_input_grad
    grads: list[Any] = []
    for i, grad in enumerate(of_inputs):
        if isinstance(grad, list):
            grads.append([g.to(x.dtype) for g in grad])
        else:
            grads.append(grad.to(x.dtype) if grad is not None and wanted[i] else None)
    return (*grads, *[None] * 5)


def _through_threshold(x0: Tensor, grad: Tensor, quantile: float, greatest: float) -> Tensor:
    """Return the gradient in x0 [B, ...] of clamp(x0, -s, s) / s, s the quantile of its sizes."""
    flat, grad_flat = x0.reshape(len(x0), -1), grad.reshape(len(x0), -1)  # [B, N]
    ordered, order = flat.abs().sort(dim=1)
    low, high, share = quantile_ranks(flat.shape[1], quantile)
    unclamped = between(ordered[:, low], ordered[:, high], share)[:, None]  # [B, 1]
    s = unclamped.clamp(1, greatest)
    inside = flat.abs() <= s
    of_x0 = torch.where(inside, grad_flat / s, 0)
    of_s = -torch.where(inside, grad_flat * flat, 0).sum(dim=1, keepdim=True) / s**2
    of_s = torch.where((unclamped >= 1) & (unclamped <= greatest), of_s, 0)
    for rank, weight in ((low, 1 - share), (high, share)):
        where = order[:, rank : rank + 1]  # [B, 1]
        of_x0 = of_x0.scatter_add(1, where, weight * of_s * flat.gather(1, where).sign())
    return of_x0.view(x0.shape)


_denoise.register_autograd(_backward, setup_context=_setup)
