"""`upfirdn` on a GPU: a program has some channels of some pixels of the result.

Zeros are neither stored nor multiplied: along an axis, output pixel j meets pixel i of x in tap
i up - (j down - a), where a is the padding in front, so that it meets every up-th tap.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsup_fast.kernels.bias_act.layout import arithmetic, last
from unsup_fast.kernels.upfirdn.sizes import new, output_sides

BLOCK = 1024  # numbers that a program has in registers
CHANNELS = 64  # of a pixel, at most


def upfirdn(
    x: Tensor,
    taps: Tensor,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    flipped: bool,
) -> Tensor:
    """Return [B, C, H', W'] of the type of x [B, C, H, W], of taps [KH, KW]."""
    sides = output_sides(x.shape[2:], taps.shape, up, down, padding)
    pixels = x.shape[0] * sides[0] * sides[1]
    if pixels >= 2**31:
        raise ValueError(
            f"the result has {pixels} pixels, and at most 2**31 - 1 are allowed; "
            "pass fewer pictures at a time"
        )
    out, kind, channels = new(x, sides), arithmetic(x), x.shape[1]
    if not out.numel():
        return out
    wide = kind == torch.float64
    columns = min(CHANNELS, triton.next_power_of_2(channels))
    height = BLOCK // columns // (1 + wide)
    (skipped_y, first_y), (skipped_x, first_x) = (
        _first(before, factor) for before, factor in zip(padding[2::-2], up, strict=True)
    )
    with _on(x):
        filter_pixels[(triton.cdiv(pixels, height), triton.cdiv(channels, columns))](
            x_ptr=last(x),
            taps_ptr=taps.to(kind).contiguous(),
            out_ptr=out,
            pixels=pixels,
            in_height=x.shape[2],
            in_width=x.shape[3],
            out_height=sides[0],
            out_width=sides[1],
            skipped_y=skipped_y,
            skipped_x=skipped_x,
            first_y=first_y,
            first_x=first_x,
            width=channels,
            UP_Y=up[0],
            UP_X=up[1],
            DOWN_Y=down[0],
            DOWN_X=down[1],
            TAPS_Y=taps.shape[0],
            TAPS_X=taps.shape[1],
            FLIPPED=flipped,
            WIDE=wide,
            HEIGHT=height,
            COLUMNS=columns,
            num_warps=4,
            enable_fp_fusion=True,
        )
    return out


def _first(before: int, up: int) -> tuple[int, int]:
    """Return pixels of x to skip, and that less the padding in front: both not negative.

    The second counts zeros of `up` as pixels, so that no negative number has to be divided.
    """
    skipped = -(-max(before, 0) // up)
    return skipped, skipped * up - before


def _on(x: Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext()


@triton.jit(
    do_not_specialize=[
        "pixels",
        "in_height",
        "in_width",
        "out_height",
        "out_width",
        "skipped_y",
        "skipped_x",
        "first_y",
        "first_x",
    ]
)
def filter_pixels(
    x_ptr,  # IN [B, in_height, in_width, width]
    taps_ptr,  # IN [TAPS_Y, TAPS_X], in the type of the arithmetic
    out_ptr,  # OUT [B, out_height, out_width, width]
    pixels: tl.int32,  # B out_height out_width
    in_height: tl.int32,
    in_width: tl.int32,
    out_height: tl.int32,
    out_width: tl.int32,
    skipped_y: tl.int32,  # see _first
    skipped_x: tl.int32,
    first_y: tl.int32,
    first_x: tl.int32,
    width,  # channels
    UP_Y: tl.constexpr,
    UP_X: tl.constexpr,
    DOWN_Y: tl.constexpr,
    DOWN_X: tl.constexpr,
    TAPS_Y: tl.constexpr,
    TAPS_X: tl.constexpr,
    FLIPPED: tl.constexpr,  # correlate with taps instead of convolving
    WIDE: tl.constexpr,  # float64
    HEIGHT: tl.constexpr,
    COLUMNS: tl.constexpr,
):
    """Fill a block of pixels and channels."""
    kind: tl.constexpr = tl.float64 if WIDE else tl.float32
    pixel = tl.program_id(0) * HEIGHT + tl.arange(0, HEIGHT)
    exists = pixel < pixels
    channel = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    has = channel < width
    line = pixel // out_width
    picture = line // out_height
    at_y = (line - picture * out_height) * DOWN_Y + first_y
    at_x = (pixel - line * out_width) * DOWN_X + first_x
    y = (at_y + UP_Y - 1) // UP_Y  # the first pixel that a tap meets, with those skipped
    x = (at_x + UP_X - 1) // UP_X
    tap_y, tap_x = y * UP_Y - at_y, x * UP_X - at_x
    y -= skipped_y
    x -= skipped_x
    total = tl.zeros((HEIGHT, COLUMNS), kind)
    for i in range((TAPS_Y + UP_Y - 1) // UP_Y):
        row, t = y + i, tap_y + i * UP_Y
        has_row = exists & (row >= 0) & (row < in_height) & (t < TAPS_Y)
        start = (picture.to(tl.int64) * in_height + row) * in_width
        taps_row = taps_ptr + (t if FLIPPED else TAPS_Y - 1 - t) * TAPS_X
        for j in tl.static_range((TAPS_X + UP_X - 1) // UP_X):
            column, s = x + j, tap_x + j * UP_X
            meets = has_row & (column >= 0) & (column < in_width) & (s < TAPS_X)
            tap = tl.load(taps_row + (s if FLIPPED else TAPS_X - 1 - s), mask=meets, other=0.0)
            value = tl.load(
                x_ptr + ((start + column) * width)[:, None] + channel[None, :],
                mask=meets[:, None] & has[None, :],
                other=0.0,
            )
            total += tap[:, None] * value.to(kind)
    at = (pixel.to(tl.int64) * width)[:, None] + channel[None, :]
    live = exists[:, None] & has[None, :]
    tl.store(out_ptr + at, total.to(out_ptr.dtype.element_ty), mask=live)
