"""`bias_act` and its gradient on a GPU: a program has some channels of some rows of [N, C].

Sums over rows have two stages: each program adds up its rows, then torch adds the programs' sums in
an order that does not change.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsup_fast.kernels.bias_act.layout import arithmetic, last, new_like

BLOCK = 4096  # elements that a program has in registers
CHANNELS = 128  # of them in a row, at most


def bias_act(
    x: Tensor, bias: Tensor | None, slope: float, gain: float, n_threads: int | None
) -> Tensor:
    """Return [B, C, ...] of the type of x, channels-last."""
    return _launch(x, bias, None, x, False, slope, gain)[0]


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
    return _launch(of_out.to(out.dtype), shift, out, out, summed, slope, gain)


def _launch(
    x: Tensor,
    bias: Tensor | None,
    sign: Tensor | None,
    like: Tensor,
    summed: bool,
    slope: float,
    gain: float,
) -> tuple[Tensor, Tensor]:
    out, kind, channels = new_like(like), arithmetic(like), like.shape[1]
    if not out.numel():
        return out, x.new_zeros(channels if summed else 0, dtype=kind)
    rows, wide = out.numel() // channels, kind == torch.float64
    columns = min(CHANNELS, triton.next_power_of_2(channels))
    height = BLOCK // columns // (1 + wide)
    blocks = triton.cdiv(rows, height)
    sums = x.new_empty((blocks, channels), dtype=kind) if summed else None  # [blocks, C]
    with _on(x):
        activate[(blocks, triton.cdiv(channels, columns))](
            x_ptr=last(x),
            bias_ptr=None if bias is None else bias.to(kind).contiguous(),
            sign_ptr=None if sign is None else last(sign),
            out_ptr=out,
            sums_ptr=sums,
            positive=gain,
            negative=gain * slope,
            rows=rows,
            width=channels,
            WIDE=wide,
            HEIGHT=height,
            COLUMNS=columns,
            num_warps=4,
            enable_fp_fusion=True,
        )
    if sums is None:
        return out, x.new_empty(0, dtype=kind)
    return out, sums.sum(0, dtype=torch.float64).to(kind)


def _on(x: Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext()


@triton.jit(do_not_specialize=["positive", "negative", "rows"])
def activate(
    x_ptr,  # IN [rows, width]
    bias_ptr,  # IN [width] or None, in the type of the arithmetic
    sign_ptr,  # IN [rows, width], or None: the sign of x + bias
    out_ptr,  # OUT [rows, width]
    sums_ptr,  # OUT [blocks of rows, width] or None, in the type of the arithmetic
    positive: tl.float64,  # what positive numbers are multiplied by
    negative: tl.float64,  # and the others
    rows: tl.int64,
    width,  # channels
    WIDE: tl.constexpr,  # float64
    HEIGHT: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Fill a block of rows and channels, and the sums over its rows."""
    kind: tl.constexpr = tl.float64 if WIDE else tl.float32
    row = tl.program_id(0).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    exists = channel < width
    at = row[:, None] * width + channel[None, :]
    live = (row < rows)[:, None] & exists[None, :]
    v = tl.load(x_ptr + at, mask=live, other=0.0).to(kind)
    if bias_ptr is not None:
        v += tl.load(bias_ptr + channel, mask=exists, other=0.0)[None, :]
    s = v
    if sign_ptr is not None:
        s = tl.load(sign_ptr + at, mask=live, other=0.0).to(kind)
    up, down = tl.full([], positive, kind), tl.full([], negative, kind)
    v *= tl.where(s > 0, up, down)
    tl.store(out_ptr + at, v.to(out_ptr.dtype.element_ty), mask=live)
    if sums_ptr is not None:
        sums = tl.sum(tl.where(live, v, 0.0), 0)
        tl.store(sums_ptr + tl.program_id(0).to(tl.int64) * width + channel, sums, mask=exists)
