"""The portable `bias_act`, and its gradient: chunks of rows by Numba."""

import numpy as np
import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _chunks
from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.bias_act.layout import arithmetic, last, new_like

CHUNK = 1 << 15  # elements that a thread takes at a time


def bias_act(
    x: Tensor, bias: Tensor | None, slope: float, gain: float, n_threads: int | None
) -> Tensor:
    """Return [B, C, ...] of the type of x, channels-last."""
    return _run(x, bias, None, x, slope, gain, n_threads)[0]


def gradient(
    of_out: Tensor,
    shift: Tensor | None,
    out: Tensor,
    summed: bool,
    slope: float,
    gain: float,
    n_threads: int | None,
) -> tuple[Tensor, Tensor]:
    """Return of_x [B, C, ...] of the type of out, and its sums [C], or [0] unless summed."""
    of_x, sums = _run(of_out.to(out.dtype), shift, out, out, slope, gain, n_threads)
    return of_x, sums if summed else sums[:0]


def _run(
    x: Tensor,
    bias: Tensor | None,
    sign: Tensor | None,
    like: Tensor,
    slope: float,
    gain: float,
    n_threads: int | None,
) -> tuple[Tensor, Tensor]:
    """Return the result in the type of `like`, and its sums [C] in that of the arithmetic."""
    dtype, channels = arithmetic(like), like.shape[1]
    out = new_like(like.detach().to(dtype))
    if not out.numel():
        return out.to(like.dtype), torch.zeros(channels, dtype=dtype)
    rows, result = _rows(x.detach().to(dtype)), _rows(out)  # [N, C]
    signs = rows if sign is None else _rows(sign.detach().to(dtype))
    shift = np.zeros(channels, result.dtype)
    if bias is not None:
        shift[:] = bias.detach().to(dtype).numpy()
    up, down = (result.dtype.type(value) for value in (gain, gain * slope))
    size = max(1, CHUNK // channels)
    n_chunks = -(-len(rows) // size)
    sums = np.zeros((n_chunks, channels))

    def work(chunk: int) -> None:
        part = slice(chunk * size, (chunk + 1) * size)
        _fill(rows[part], shift, signs[part], sign is None, up, down, result[part], sums[chunk])

    _chunks.run(work, n_chunks, _batch.threads_for(like, n_threads))
    total = torch.from_numpy(sums.sum(0)).to(dtype)
    return out.to(like.dtype), total


def _rows(x: Tensor) -> Array:
    """Return a tensor [B, C, ...] as an array [N, C]; channels-last memory is not copied."""
    array: Array = last(x).movedim(1, -1).reshape(-1, x.shape[1]).numpy()
    return array


@jit()
def _fill(
    x: Array, shift: Array, signs: Array, own: bool, up: float, down: float, out: Array, sums: Array
) -> None:
    """Fill out [N, C], and add it to sums [C]; the sign is that of x + shift itself if `own`."""
    for n in range(len(x)):
        for c in range(len(shift)):
            v = x[n, c] + shift[c]
            s = v if own else signs[n, c]
            v = v * (up if s > 0 else down)
            out[n, c] = v
            sums[c] += v
