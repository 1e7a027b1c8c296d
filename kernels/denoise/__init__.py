"""`denoise`: one row of a sampler's table, in one pass over the sample.

With the named entries of `row` (`kernels.denoise.terms`) and noise z,

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

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from unsup_fast.kernels import _check, _samples, threads
from unsup_fast.kernels._dispatch import choose
from unsup_fast.kernels.denoise.terms import (
    ANCHOR_ANCHOR,
    ANCHOR_HISTORY,
    CLIP,
    N_HISTORY,
    N_TERMS,
    NEXT_ANCHOR,
    NEXT_HISTORY,
    NEXT_NOISE,
)

__all__ = ["denoise"]


def denoise(
    x: Any,
    output: Any,
    row: Any,
    *,
    uncond: Any = None,
    history: Sequence[Any] = (),
    anchor: Any = None,
    seed: Any = None,
    stream: int = 0,
    noise: Any = None,
    threshold: tuple[float, float] | None = None,
    keep: Any = None,
    anchor_out: Any = None,
    out: Any = None,
    n_threads: int | None = None,
    backend: str | None = None,
) -> Any:
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
        What earlier steps kept, the most recent first.
    anchor : tensor like x, optional
    seed : int, or one int a sample, optional
        Draws the noise, as `kernels.randn` does.
    stream : int
        As for `kernels.randn`: the number of the step.
    noise : tensor like x, optional
        Noise in place of what `seed` would draw.
    threshold : (quantile, greatest), optional
        Dynamic thresholding in place of CLIP: with s the quantile of abs(x0) in a sample, not
        below 1 nor above `greatest`, x0 is clipped to +-s and divided by s (Imagen, section 2.3).
    keep, anchor_out, out : tensors like x, optional
        Where to write d, the next anchor and the next sample. Each may be one of the inputs.
    n_threads : int, optional
        Threads to run; None for all. The result is the same to the bit.
    backend : {"native", "triton", "ref"}, optional
        Implementation; None chooses.

    Returns
    -------
    tensor like x
        `out` if that is given.

    Raises
    ------
    TypeError, ValueError
        If shapes, types or devices do not fit, both `seed` and `noise` are given, or a row on the
        host has a coefficient for a tensor that is not given.
    """
    _samples.batch("x", x)
    history = tuple(history)
    named = (
        ("output", output),
        ("uncond", uncond),
        *((f"history[{j}]", past) for j, past in enumerate(history)),
        ("anchor", anchor),
        ("noise", noise),
        ("keep", keep),
        ("anchor_out", anchor_out),
        ("out", out),
    )
    for name, value in named:
        if value is not None or name == "output":
            _samples.like(name, value, x, "x")
    if len(history) > N_HISTORY:
        raise ValueError(f"history has {len(history)} tensors; pass at most {N_HISTORY}")
    if seed is not None and noise is not None:
        raise ValueError("both seed and noise are given; pass one of them, or none")
    row = _row(row, x)
    if row.device.type == "cpu":
        _check_row(row, len(history), anchor, seed is not None or noise is not None)
    if threshold is not None:
        _check_threshold(threshold)
    number, numbers = _samples.seeds(seed, x)
    stream = _samples.stream(stream)
    threads.effective(n_threads)
    run = choose("denoise", {"ref": _ref}, backend, "ref")
    made = run(x, output, row, uncond, history, anchor, number, numbers, stream, noise, threshold)
    for to, value in ((keep, made[1]), (anchor_out, made[2])):
        if to is not None:
            to.copy_(value)
    return made[0] if out is None else out.copy_(made[0])


def _row(row: Any, x: Any) -> Any:
    """Return float64 [N_TERMS], on the host or on the device of x."""
    if isinstance(row, np.ndarray):
        row = torch.tensor(row)
    if not _check.is_tensor(row):
        raise TypeError(f"row must be a tensor or an ndarray, got {type(row).__name__}")
    if row.dtype != torch.float64 or row.shape != (N_TERMS,):
        raise ValueError(
            f"row must be float64 of shape ({N_TERMS},), got {row.dtype} of shape "
            f"{tuple(row.shape)}; take a row of a sampler's table"
        )
    if row.device.type != "cpu" and row.device != x.device:
        raise ValueError(f"row is on {row.device}; it must be on the host or on {x.device} like x")
    if row.requires_grad and torch.is_grad_enabled():
        raise ValueError("row takes no gradient; pass row.detach()")
    return row


def _check_row(row: Any, n_history: int, anchor: Any, noisy: bool) -> None:
    """Raise if a coefficient is not a number, or is for a tensor that is not there."""
    values = row.tolist()
    clip = values[CLIP]
    if not clip >= 0:
        raise ValueError(f"row[CLIP]={clip} must be 0 or more; infinity clips nothing")
    if not math.isfinite(sum(values) - clip if math.isfinite(clip) else _without_clip(values)):
        raise ValueError(f"row must be finite but for an infinite CLIP, got {values}")
    absent = [] if noisy else [(NEXT_NOISE, "NEXT_NOISE", "seed or noise")]
    if anchor is None:
        absent.append((NEXT_ANCHOR, "NEXT_ANCHOR", "anchor"))
        absent.append((ANCHOR_ANCHOR, "ANCHOR_ANCHOR", "anchor"))
    for j in range(n_history, N_HISTORY):
        tensor = f"history of {j + 1} tensors"
        absent.append((NEXT_HISTORY + j, f"NEXT_HISTORY + {j}", tensor))
        absent.append((ANCHOR_HISTORY + j, f"ANCHOR_HISTORY + {j}", tensor))
    for place, name, tensor in absent:
        if values[place] != 0:
            raise ValueError(f"row[{name}]={values[place]} needs {tensor}; pass it, or 0 in row")


def _without_clip(values: list[float]) -> float:
    return sum(values[:CLIP]) + sum(values[CLIP + 1 :])


def _check_threshold(threshold: tuple[float, float]) -> None:
    try:
        quantile, greatest = threshold
        fits = 0 <= quantile <= 1 <= greatest
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"threshold={threshold!r} must be (quantile, greatest) with 0 <= quantile <= 1 "
            "<= greatest; (0.995, 1.0) is usual"
        )


def _ref(
    x: Any,
    output: Any,
    row: Any,
    uncond: Any,
    history: tuple[Any, ...],
    anchor: Any,
    seed: int | None,
    seeds: Any,
    stream: int,
    noise: Any,
    threshold: tuple[float, float] | None,
) -> tuple[Any, Any, Any]:
    from unsup_fast.kernels.denoise import ref

    drawn = seed is not None or seeds is not None
    z = _samples.reference_normals(x, seed, seeds, stream) if drawn else noise
    return ref.denoise(x, output, row, uncond, history, anchor, z, threshold)
