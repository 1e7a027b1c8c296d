"""`style_act` and its gradients on a GPU: a program has some channels of some pixels of a picture.

Sums have two stages: each program adds up its pixels and its channels, then torch adds the
programs' sums in an order that does not change.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsup_fast.kernels.bias_act.layout import arithmetic, last, new_like

BLOCK = 4096  # numbers that a program has in registers
CHANNELS = 128  # of a pixel, at most


def style_act(
    x: Tensor,
    scale: Tensor | None,
    noise: Tensor | None,
    strength: Tensor | None,
    bias: Tensor | None,
    slope: float,
    gain: float,
    n_threads: int | None,
) -> Tensor:
    """Return [B, C, H, W] of the type of x, channels-last."""
    out, kind = new_like(x), arithmetic(x)
    if not out.numel():
        return out
    blocks, grid, tile = _tiles(out, BLOCK)
    with _on(x):
        modulate[grid](
            x_ptr=last(x),
            scale_ptr=_dense(scale, kind),
            noise_ptr=_dense(noise, kind),
            strength_ptr=_dense(strength, kind),
            bias_ptr=_dense(bias, kind),
            out_ptr=out,
            positive=gain,
            negative=gain * slope,
            pixels=x.shape[2] * x.shape[3],
            blocks=blocks,
            width=x.shape[1],
            num_warps=4,
            enable_fp_fusion=True,
            **tile,
        )
    return out


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
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Return of_x, of_scale [B, C] if there is x, sums over channels [B, H, W], and of_bias [C]."""
    of_x, kind = new_like(out), arithmetic(out)
    batch, channels, height, width = out.shape
    if not out.numel():
        return (
            of_x,
            None if x is None else out.new_zeros((batch, channels), dtype=kind),
            out.new_zeros((batch, height, width), dtype=kind) if of_noise else None,
            out.new_zeros(channels, dtype=kind) if of_bias else None,
        )
    blocks, grid, tile = _tiles(out, BLOCK // 2)
    of_scales, of_biases = (
        out.new_empty((batch, blocks, channels), dtype=kind) if wanted else None
        for wanted in (x is not None, of_bias)
    )
    of_noises = out.new_empty((grid[1], batch, height, width), dtype=kind) if of_noise else None
    with _on(out):
        pull_back[grid](
            of_out_ptr=last(of_out.to(out.dtype)),
            out_ptr=last(out),
            x_ptr=None if x is None else last(x),
            scale_ptr=_dense(scale, kind),
            of_x_ptr=of_x,
            of_scales_ptr=of_scales,
            of_noises_ptr=of_noises,
            of_biases_ptr=of_biases,
            positive=gain,
            negative=gain * slope,
            pixels=height * width,
            all_pixels=batch * height * width,
            blocks=blocks,
            width=channels,
            num_warps=4,
            enable_fp_fusion=True,
            **tile,
        )
    return (
        of_x,
        None if of_scales is None else of_scales.sum(1, dtype=torch.float64).to(kind),
        None if of_noises is None else of_noises.sum(0, dtype=torch.float64).to(kind),
        None if of_biases is None else of_biases.sum((0, 1), dtype=torch.float64).to(kind),
    )


def _tiles(like: Tensor, block: int) -> tuple[int, tuple[int, int], dict[str, int | bool]]:
    """Return the blocks of pixels of a picture, the grid, and what a program has."""
    batch, channels, height, width = like.shape
    wide = like.dtype == torch.float64
    columns = min(CHANNELS, triton.next_power_of_2(channels))
    rows = min(block // columns // (1 + wide), triton.next_power_of_2(height * width))
    blocks = triton.cdiv(height * width, rows)
    tile: dict[str, int | bool] = {"WIDE": wide, "HEIGHT": rows, "COLUMNS": columns}
    return blocks, (batch * blocks, triton.cdiv(channels, columns)), tile


def _dense(x: Tensor | None, kind: torch.dtype) -> Tensor | None:
    return None if x is None else x.to(kind).contiguous()


def _on(x: Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext()


@triton.jit(do_not_specialize=["positive", "negative", "pixels", "blocks"])
def modulate(
    x_ptr,  # IN [B, pixels, width]
    scale_ptr,  # IN [B, width] or None; this and what follows in the type of the arithmetic
    noise_ptr,  # IN [B, pixels] or None
    strength_ptr,  # IN [] or None
    bias_ptr,  # IN [width] or None
    out_ptr,  # OUT [B, pixels, width]
    positive: tl.float64,  # what positive numbers are multiplied by
    negative: tl.float64,  # and the others
    pixels: tl.int64,  # of a picture
    blocks: tl.int32,  # of pixels of a picture
    width,  # channels
    WIDE: tl.constexpr,  # float64
    HEIGHT: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Fill a block of pixels and channels of a picture."""
    kind: tl.constexpr = tl.float64 if WIDE else tl.float32
    picture = (tl.program_id(0) // blocks).to(tl.int64)
    pixel = (tl.program_id(0) % blocks).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside, has = pixel < pixels, channel < width
    pixel += picture * pixels
    at = pixel[:, None] * width + channel[None, :]
    live = inside[:, None] & has[None, :]
    v = tl.load(x_ptr + at, mask=live, other=0.0).to(kind)
    if scale_ptr is not None:
        v *= tl.load(scale_ptr + picture * width + channel, mask=has, other=0.0)[None, :]
    if noise_ptr is not None:
        noise = tl.load(noise_ptr + pixel, mask=inside, other=0.0)
        if strength_ptr is not None:
            noise *= tl.load(strength_ptr)
        v += noise[:, None]
    if bias_ptr is not None:
        v += tl.load(bias_ptr + channel, mask=has, other=0.0)[None, :]
    v *= tl.where(v > 0, tl.full([], positive, kind), tl.full([], negative, kind))
    tl.store(out_ptr + at, v.to(out_ptr.dtype.element_ty), mask=live)


@triton.jit(do_not_specialize=["positive", "negative", "pixels", "all_pixels", "blocks"])
def pull_back(
    of_out_ptr,  # IN [B, pixels, width]
    out_ptr,  # IN [B, pixels, width]
    x_ptr,  # IN [B, pixels, width] or None: no of_scales
    scale_ptr,  # IN [B, width] or None
    of_x_ptr,  # OUT [B, pixels, width]
    of_scales_ptr,  # OUT [B, blocks, width] or None; this and what follows in the arithmetic's type
    of_noises_ptr,  # OUT [blocks of channels, B, pixels] or None
    of_biases_ptr,  # OUT [B, blocks, width] or None
    positive: tl.float64,  # what is multiplied where out is positive
    negative: tl.float64,  # and elsewhere
    pixels: tl.int64,  # of a picture
    all_pixels: tl.int64,  # of all pictures
    blocks: tl.int32,  # of pixels of a picture
    width,  # channels
    WIDE: tl.constexpr,  # float64
    HEIGHT: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Fill the gradient of a block of pixels and channels, and its sums over either."""
    kind: tl.constexpr = tl.float64 if WIDE else tl.float32
    picture = (tl.program_id(0) // blocks).to(tl.int64)
    pixel = (tl.program_id(0) % blocks).to(tl.int64) * HEIGHT + tl.arange(0, HEIGHT)
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    inside, has = pixel < pixels, channel < width
    pixel += picture * pixels
    at = pixel[:, None] * width + channel[None, :]
    live = inside[:, None] & has[None, :]
    sums_at = tl.program_id(0).to(tl.int64) * width + channel
    h = tl.load(of_out_ptr + at, mask=live, other=0.0).to(kind)
    out = tl.load(out_ptr + at, mask=live, other=0.0).to(kind)
    h *= tl.where(out > 0, tl.full([], positive, kind), tl.full([], negative, kind))
    if of_scales_ptr is not None:
        x = tl.load(x_ptr + at, mask=live, other=0.0).to(kind)
        tl.store(of_scales_ptr + sums_at, tl.sum(h * x, 0), mask=has)
    if of_biases_ptr is not None:
        tl.store(of_biases_ptr + sums_at, tl.sum(h, 0), mask=has)
    if of_noises_ptr is not None:
        noises_at = tl.program_id(1).to(tl.int64) * all_pixels + pixel
        tl.store(of_noises_ptr + noises_at, tl.sum(h, 1), mask=inside)
    if scale_ptr is not None:
        h *= tl.load(scale_ptr + picture * width + channel, mask=has, other=0.0)[None, :]
    tl.store(of_x_ptr + at, h.to(of_x_ptr.dtype.element_ty), mask=live)
