"""`denoise`: one row of a sampler's table, in one pass over the sample.

With the named entries of `row` (`kernels.sampler_terms`) and noise z,

    m      = uncond + GUIDANCE (output - uncond)      (output where there is no uncond)
    x0     = X0_X x + X0_OUTPUT m                     clipped to +-CLIP, or dynamically thresholded
    d      = KEEP_X x + KEEP_X0 x0                    -> keep
    next   = NEXT_X x + NEXT_KEEP d + NEXT_ANCHOR anchor + sum_j NEXT_HISTORY[j] history[j]
             + NEXT_NOISE z                           -> out
    anchor = ANCHOR_X x + ANCHOR_KEEP d + ANCHOR_ANCHOR anchor
             + sum_j ANCHOR_HISTORY[j] history[j]     -> anchor_out

Coefficients are multiplied out in float64 and cast once to the type of the arithmetic, float32
(float64 for float64); each result is rounded once.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _layout, _seeds, _tracing
from unsup_fast.kernels._seeds import Seed
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.denoise._run import run
from unsup_fast.kernels.denoise.call import Call
from unsup_fast.kernels.sampler_terms import N_HISTORY, N_TERMS

__all__ = ["denoise"]


def denoise(
    x: Tensor,
    output: Tensor,
    row: Tensor | Array,
    *,
    uncond: Tensor | None = None,
    history: Sequence[Tensor] = (),
    anchor: Tensor | None = None,
    seed: Seed = None,
    stream: int = 0,
    noise: Tensor | None = None,
    threshold: tuple[float, float] | None = None,
    keep: Tensor | None = None,
    anchor_out: Tensor | None = None,
    out: Tensor | None = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Tensor:
    """Return the next sample.

    Parameters
    ----------
    x : tensor of shape (B, ...), float32, float64, bfloat16 or float16
        The present sample, row-major or channels-last as every other tensor for itself; other
        strides are copied first.
    output : tensor like x
        The model's output; with `uncond`, that under the condition.
    row : float64 tensor or ndarray of shape (N_TERMS,)
        Coefficients, on the host or on the device of x. It takes no gradient.
    uncond : tensor like x, optional
        The model's output without the condition.
    history : at most 4 tensors like x
        The `keep` outputs of earlier steps, the most recent first.
    anchor : tensor like x, optional
    seed : int, or one int a sample, optional
        Draws the noise, as `kernels.randn` does.
    stream : int
        As for `kernels.randn`: the number of the step.
    noise : tensor like x, optional
        Noise to use instead of drawing it from `seed`.
    threshold : (quantile, greatest), optional
        Dynamic thresholding instead of CLIP: with s the quantile of abs(x0) in a sample, not
        below 1 nor above `greatest`, x0 is clipped to +-s and divided by s (Imagen, section 2.3).
    keep, anchor_out, out : tensors like x, optional
        Where to write d, the next anchor and the next sample, by a copy if they are neither
        row-major nor channels-last. Each may be one of the inputs.
    n_threads : int, optional
        Threads to run; None for all. The result is bitwise the same.
    backend : {"native", "numba", "triton", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    tensor like x
        `out`, or a new tensor if that is None.

    Raises
    ------
    TypeError, ValueError
        If shapes, types or devices do not fit, both `seed` and `noise` are passed, or a row on the
        host has a coefficient for a missing tensor.
    """
    _batch.batch("x", x)
    history = tuple(history)
    if len(history) > N_HISTORY:
        raise ValueError(f"history has {len(history)} tensors; pass at most {N_HISTORY}")
    _batch.like("output", output, x, "x")
    named = (("uncond", uncond), ("anchor", anchor), ("noise", noise), ("out", out))
    for name, value in (*named, ("keep", keep), ("anchor_out", anchor_out)):
        if value is not None:
            _batch.like(name, value, x, "x")
    for j, past in enumerate(history):
        _batch.like(f"history[{j}]", past, x, "x")
    if seed is not None and noise is not None:
        raise ValueError("both seed and noise are given; pass one of them, or none")
    row, threshold = _row(row, x), _threshold(threshold)
    number, numbers = _seeds.seeds(seed, x)
    stream = _seeds.stream(stream)
    inputs = (x, output, row, uncond, history, anchor, number, numbers, stream, noise, threshold)
    call = Call(*inputs, n_threads, backend)
    if _tracing.direct((x, output, uncond, *history, anchor, noise, keep, anchor_out, out)):
        out = _layout.new_like(x) if out is None else out
        run(call, out, keep, anchor_out)
        return out
    from unsup_fast.kernels.denoise import torch_

    return torch_.denoise(call, out, keep, anchor_out)


def _row(row: Tensor | Array, x: Tensor) -> Tensor:
    """Return float64 [N_TERMS], on the host or on the device of x."""
    if isinstance(row, np.ndarray):
        row = torch.tensor(row)
    if not isinstance(row, torch.Tensor):
        raise TypeError(f"row must be a tensor or an ndarray, got {type(row).__name__}")
    if row.dtype != torch.float64 or row.shape != (N_TERMS,):
        raise ValueError(
            f"row must be float64 of shape ({N_TERMS},), got {row.dtype} of shape "
            f"{tuple(row.shape)}; take a row of a sampler's table"
        )
    if not row.is_cpu and row.device != x.device:
        raise ValueError(f"row is on {row.device}; it must be on the host or on {x.device} like x")
    if row.requires_grad and torch.is_grad_enabled():
        raise ValueError("row takes no gradient; pass row.detach()")
    return row.contiguous()


def _threshold(threshold: Any) -> tuple[float, float] | None:
    if threshold is None:
        return None
    try:
        quantile, greatest = map(float, threshold)
        fits = 0 <= quantile <= 1 <= greatest
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"threshold={threshold!r} must be (quantile, greatest) with 0 <= quantile <= 1 "
            "<= greatest; (0.995, 1.0) is usual"
        )
    return quantile, greatest
