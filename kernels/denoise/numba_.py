"""The portable `denoise`, compiled by Numba."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from unsup_fast.kernels import _batch, _chunks, _mix
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.denoise.call import Call, check_row
from unsup_fast.kernels.denoise.quantile import quantile_ranks
from unsup_fast.kernels.sampler_terms import (
    ANCHOR_ANCHOR,
    ANCHOR_HISTORY,
    ANCHOR_KEEP,
    ANCHOR_X,
    CLIP,
    GUIDANCE,
    KEEP_X,
    KEEP_X0,
    N_HISTORY,
    NEXT_ANCHOR,
    NEXT_HISTORY,
    NEXT_KEEP,
    NEXT_NOISE,
    NEXT_X,
    X0_OUTPUT,
    X0_X,
)

X, OUTPUT, UNCOND, ANCHOR, HISTORY, NOISE = 0, 1, 2, 3, 4, 8  # columns of the weights


def denoise(call: Call, to: Sequence[Tensor | None]) -> None:
    """Fill the outputs that are not None, or raise if the row does not fit."""
    check_row(call)
    row = call.row.numpy()
    clipped = call.threshold is not None or row[CLIP] < np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        table = _weights(row, call.uncond is not None, clipped)  # [4, SOURCES + 1]
    wanted = [o for o, tensor in enumerate(to) if tensor is not None]
    of = table[[*wanted, 3]][None]
    past = (*call.history, *(None,) * (N_HISTORY - len(call.history)))
    tensors = (call.x, call.output, call.uncond, call.anchor, *past, call.noise)
    live = (of[0, :, : _mix.SOURCES] != 0).any(axis=0)
    sources = [tensor if live[s] else None for s, tensor in enumerate(tensors)]
    drawn = call.noise is None and bool(live[NOISE])
    flat = _mix.Flat(sources, to, drawn)
    samples, n_threads = len(call.x), _batch.threads_for(call.x, call.n_threads)
    bounds = np.array([row[CLIP]]) if clipped else None
    if call.threshold is not None and call.x.numel() > 0:
        bounds = _thresholds(flat, table[3], samples, call.threshold, n_threads)
        of = np.repeat(of, samples, axis=0)
    weights = _mix.Weights(of=of, bounds=bounds, divided=call.threshold is not None)
    draw = _mix.Draw(call.seed, call.seeds, call.stream) if drawn else None
    _mix.run(flat, weights, samples, draw, n_threads)
    flat.copy_back()


def _weights(row: Array, guided: bool, clipped: bool) -> Array:
    """Return what next, d, anchor and x0 take of the sources, products of the row's entries."""
    of = np.zeros((4, _mix.SOURCES + 1))
    guidance = row[GUIDANCE] if guided else 1.0
    after, keep, anchor, x0 = of
    x0[X] = row[X0_X]
    x0[OUTPUT] = row[X0_OUTPUT] * guidance
    x0[UNCOND] = row[X0_OUTPUT] * (1 - guidance) if guided else 0
    if clipped:
        keep[_mix.CLIPPED] = row[KEEP_X0]
    else:
        keep[:] = row[KEEP_X0] * x0
    keep[X] += row[KEEP_X]
    results = (
        (after, NEXT_X, NEXT_KEEP, NEXT_ANCHOR, NEXT_HISTORY),
        (anchor, ANCHOR_X, ANCHOR_KEEP, ANCHOR_ANCHOR, ANCHOR_HISTORY),
    )
    for result, of_x, of_keep, of_anchor, of_history in results:
        result[:] = row[of_keep] * keep
        result[X] += row[of_x]
        result[ANCHOR] = row[of_anchor]
        result[HISTORY : HISTORY + N_HISTORY] = row[of_history : of_history + N_HISTORY]
    after[NOISE] = row[NEXT_NOISE]
    if not clipped:
        x0[:] = 0
    return of


def _thresholds(
    flat: _mix.Flat, of_x0: Array, samples: int, threshold: Sequence[float], n_threads: int
) -> Array:
    """Return s of dynamic thresholding, [B]."""
    quantile, greatest = threshold
    dtype = flat.outs[0].dtype
    size = flat.outs[0].size // samples
    low, high, share = quantile_ranks(size, quantile)
    weights = np.zeros((1, 2, _mix.SOURCES + 1), dtype)
    weights[0, 0] = of_x0
    bound, bounds = np.zeros(1, dtype), np.empty(samples, dtype)
    missing = np.empty(0, dtype)

    def work(sample: int) -> None:
        begin, end = sample * size, (sample + 1) * size
        x0 = np.empty(size, dtype)
        parts = tuple(missing if row is None else row[begin:end] for row in flat.sources)
        _mix.mix(parts, (x0,) * 3, weights, bound, False, False, size, 0)
        sizes = np.abs(x0, out=x0)
        if np.isnan(sizes).any():
            bounds[sample] = np.nan
            return
        ordered = np.partition(sizes, (low, high))
        below, above = float(ordered[low]), float(ordered[high])
        s = below if share == 0 or below == above else below + share * (above - below)
        bounds[sample] = min(max(s, 1.0), greatest)

    _chunks.run(work, samples, n_threads)
    return bounds
