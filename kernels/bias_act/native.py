"""The compiled `bias_act`, and its gradient."""

import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _memory
from unsup_fast.kernels._dispatch import compiled
from unsup_fast.kernels.bias_act.layout import arithmetic, last, new_like


def bias_act(
    x: Tensor, bias: Tensor | None, slope: float, gain: float, n_threads: int | None
) -> Tensor:
    """Return [B, C, ...] of the type of x, channels-last."""
    out = _new(x)
    _call(x, bias, None, out, None, slope, gain, n_threads)
    return out


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
    of_x = _new(out)
    sums = torch.zeros(out.shape[1] if summed else 0, dtype=arithmetic(out))
    _call(of_out.to(out.dtype), shift, out, of_x, sums, slope, gain, n_threads)
    return of_x, sums


def _new(x: Tensor) -> Tensor:
    out = new_like(x)
    _memory.use_huge_pages(out)
    return out


def _call(
    x: Tensor,
    bias: Tensor | None,
    sign: Tensor | None,
    out: Tensor,
    sums: Tensor | None,
    slope: float,
    gain: float,
    n_threads: int | None,
) -> None:
    if not out.numel():
        return
    x, sign = last(x), None if sign is None else last(sign)
    bias = None if bias is None else bias.to(arithmetic(out)).contiguous()
    compiled().bias_act(
        element=_batch.TYPES.index(out.dtype),
        shape=(out.numel() // out.shape[1], out.shape[1]),
        slope=slope,
        gain=gain,
        x=x.data_ptr(),
        bias=0 if bias is None else bias.data_ptr(),
        sign=0 if sign is None else sign.data_ptr(),
        out=out.data_ptr(),
        sums=sums.data_ptr() if sums is not None and sums.numel() else 0,
        n_threads=_batch.threads_for(out, n_threads),
    )
