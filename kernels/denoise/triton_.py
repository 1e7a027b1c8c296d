"""`denoise` on a GPU: one pass, the row read on the device, so nothing waits for it.

Products of coefficients are computed in float64 by every program, for a row with a CLIP and for one
without; a tensor whose coefficients are zero is not read.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsup_fast.kernels import _layout
from unsup_fast.kernels.denoise.call import Call
from unsup_fast.kernels.denoise.quantile import between, quantile_ranks
from unsup_fast.kernels.noise.triton_ import normals_of, other_offsets
from unsup_fast.kernels.sampler_terms import GUIDANCE, N_HISTORY, X0_OUTPUT, X0_X

TENSORS = (  # as FOREIGN numbers them
    "x_ptr",
    "output_ptr",
    "uncond_ptr",
    "anchor_ptr",
    *(f"history{j}_ptr" for j in range(N_HISTORY)),
    "noise_ptr",
    "out_ptr",
    "keep_ptr",
    "anchor_out_ptr",
)
BLOCK = 1024  # elements of a program, twice those of float64


def denoise(call: Call, shape: tuple[int, int, int], to: Sequence[Tensor | None]) -> None:
    """Fill the tensors of `to`."""
    samples, channels, positions = shape
    n = channels * positions
    if samples * n == 0:
        return
    x = call.x
    with torch.cuda.device(x.device) if x.is_cuda else nullcontext():
        row = call.row.to(x.device, non_blocking=True)
        bounds = None if call.threshold is None else _bounds(call, row)
        pairs: list[Any] = [
            None if tensor is None else _layout.dense_out(tensor, n) for tensor in to
        ]
        last = pairs[0][1]
        past = (*call.history, *(None,) * (N_HISTORY - len(call.history)))
        tensors = [
            (None, last) if tensor is None else _layout.dense(tensor, n)
            for tensor in (x, call.output, call.uncond, call.anchor, *past, call.noise)
        ]
        tensors += [(None, last) if pair is None else pair for pair in pairs]
        wide = x.dtype == torch.float64
        block = BLOCK // 2 if wide else BLOCK
        step[(triton.cdiv(n, block) * samples,)](
            **{name: tensor for name, (tensor, _) in zip(TENSORS, tensors, strict=True)},
            row_ptr=row,
            bounds_ptr=bounds,
            seeds_ptr=call.seeds,
            seed=0 if call.seed is None else call.seed,
            stream=call.stream,
            n=n,
            channels=channels,
            positions=positions,
            FOREIGN=_layout.foreign(tensors, last),
            DRAWN=call.noise is None and call.noisy,
            LAST=last,
            ALIGNED=n % (2 if wide else 4) == 0 or call.seeds is not None,
            WIDE=wide,
            BLOCK=block,
            num_warps=4,
            enable_fp_fusion=True,
        )
        _layout.copy_back(pairs, to)


def _bounds(call: Call, row: Tensor) -> Tensor:
    """Return s of dynamic thresholding [B], in the type of the arithmetic."""
    dtype = torch.float64 if call.x.dtype == torch.float64 else torch.float32
    model = call.output.to(dtype)
    if call.uncond is not None:
        uncond = call.uncond.to(dtype)
        model = uncond + row[GUIDANCE] * (model - uncond)
    x0 = row[X0_X] * call.x.to(dtype) + row[X0_OUTPUT] * model
    sizes = x0.abs().reshape(len(x0), -1).sort(dim=1).values  # [B, N]
    quantile, greatest = call.threshold or (0, 1)
    low, high, share = quantile_ranks(sizes.shape[1], quantile)
    s = between(sizes[:, low].double(), sizes[:, high].double(), share)
    s = torch.where(sizes[:, -1].isnan(), torch.nan, s.clamp(1, greatest))
    return s.to(dtype)


@triton.jit
def load_if(wanted, ptr, where, at, n, kind: tl.constexpr):
    """Load a block if it is wanted."""
    end = tl.where(wanted, n, 0)
    return tl.load(ptr + where, mask=at < end, other=0.0).to(kind)


@triton.jit(do_not_specialize=["seed", "stream", "n", "channels", "positions"])
def step(
    x_ptr,  # IN [B, N]
    output_ptr,  # IN [B, N]
    uncond_ptr,  # IN [B, N] or None, as all that follow
    anchor_ptr,
    history0_ptr,
    history1_ptr,
    history2_ptr,
    history3_ptr,
    noise_ptr,
    out_ptr,  # OUT [B, N]
    keep_ptr,  # OUT [B, N] or None
    anchor_out_ptr,  # OUT [B, N] or None
    row_ptr,  # IN [N_TERMS] float64: terms.py
    bounds_ptr,  # IN [B] or None
    seeds_ptr,  # IN [B] or None
    seed,
    stream,
    n,
    channels,
    positions,
    FOREIGN: tl.constexpr,  # bit i: tensor i is in the other format
    DRAWN: tl.constexpr,  # noise is drawn
    LAST: tl.constexpr,  # the format: with the channels last
    ALIGNED: tl.constexpr,  # a block begins with a group of normals
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Make a step of a block of a sample."""
    parts = tl.cdiv(n, BLOCK)
    b = (tl.program_id(0) // parts).to(tl.int64)
    begin = (tl.program_id(0) % parts).to(tl.int64) * BLOCK
    at = begin + tl.arange(0, BLOCK)
    live = at < n
    other = other_offsets(at, channels, positions, LAST)
    kind: tl.constexpr = tl.float64 if WIDE else tl.float32
    element: tl.constexpr = out_ptr.dtype.element_ty

    x0_x, x0_output = tl.load(row_ptr + 1), tl.load(row_ptr + 2)
    keep_x, keep_x0 = tl.load(row_ptr + 4), tl.load(row_ptr + 5)
    next_keep, anchor_keep = tl.load(row_ptr + 7), tl.load(row_ptr + 15)
    x0_uncond = x0_x * 0
    if uncond_ptr is not None:
        guidance = tl.load(row_ptr)
        x0_uncond = x0_output * (1 - guidance)
        x0_output = x0_output * guidance
    if bounds_ptr is not None:
        clipped = b >= 0
        bound = tl.load(bounds_ptr + b)
    else:
        clip = tl.load(row_ptr + 3)
        clipped = clip < float("inf")
        bound = clip.to(kind)
    # d is d_x x + the two outputs, or d_x x + keep_x0 x0 where x0 is clipped.
    d_x = keep_x + tl.where(clipped, 0.0, keep_x0 * x0_x)
    next_x = tl.load(row_ptr + 6) + next_keep * d_x
    anchor_x = tl.load(row_ptr + 14) + anchor_keep * d_x

    x = tl.load(x_ptr + b * n + (other if FOREIGN & 1 else at), mask=live, other=0.0).to(kind)
    where = b * n + (other if FOREIGN & 2 else at)
    output = load_if(x0_output != 0, output_ptr, where, at, n, kind)
    x0 = x0_output.to(kind) * output
    if uncond_ptr is not None:
        where = b * n + (other if FOREIGN & 4 else at)
        x0 += x0_uncond.to(kind) * load_if(x0_uncond != 0, uncond_ptr, where, at, n, kind)
    part = x0  # what the outputs of the model add to x0
    x0 += x0_x.to(kind) * x
    x0 = tl.where(x0 > bound, bound, x0)
    x0 = tl.where(x0 < -bound, -bound, x0)
    if bounds_ptr is not None:
        x0 = x0 / bound
    part = tl.where(clipped, x0, part)
    d = d_x.to(kind) * x + keep_x0.to(kind) * part
    next_ = next_x.to(kind) * x + (next_keep * keep_x0).to(kind) * part
    anchor = anchor_x.to(kind) * x + (anchor_keep * keep_x0).to(kind) * part
    if anchor_ptr is not None:
        a, c = tl.load(row_ptr + 8), tl.load(row_ptr + 16)
        where = b * n + (other if FOREIGN & 8 else at)
        value = load_if((a != 0) | (c != 0), anchor_ptr, where, at, n, kind)
        next_ += a.to(kind) * value
        anchor += c.to(kind) * value
    if history0_ptr is not None:
        a, c = tl.load(row_ptr + 9), tl.load(row_ptr + 17)
        where = b * n + (other if FOREIGN & 16 else at)
        value = load_if((a != 0) | (c != 0), history0_ptr, where, at, n, kind)
        next_ += a.to(kind) * value
        anchor += c.to(kind) * value
    if history1_ptr is not None:
        a, c = tl.load(row_ptr + 10), tl.load(row_ptr + 18)
        where = b * n + (other if FOREIGN & 32 else at)
        value = load_if((a != 0) | (c != 0), history1_ptr, where, at, n, kind)
        next_ += a.to(kind) * value
        anchor += c.to(kind) * value
    if history2_ptr is not None:
        a, c = tl.load(row_ptr + 11), tl.load(row_ptr + 19)
        where = b * n + (other if FOREIGN & 64 else at)
        value = load_if((a != 0) | (c != 0), history2_ptr, where, at, n, kind)
        next_ += a.to(kind) * value
        anchor += c.to(kind) * value
    if history3_ptr is not None:
        a, c = tl.load(row_ptr + 12), tl.load(row_ptr + 20)
        where = b * n + (other if FOREIGN & 128 else at)
        value = load_if((a != 0) | (c != 0), history3_ptr, where, at, n, kind)
        next_ += a.to(kind) * value
        anchor += c.to(kind) * value
    amount = tl.load(row_ptr + 13)
    if noise_ptr is not None:
        where = b * n + (other if FOREIGN & 256 else at)
        next_ += amount.to(kind) * load_if(amount != 0, noise_ptr, where, at, n, kind)
    if DRAWN:  # noqa: SIM102  the one is known when compiled, the other when run
        if amount != 0:
            if seeds_ptr is not None:
                key, first = tl.load(seeds_ptr + b), b * 0
            else:
                key, first = seed, b * n
            z = normals_of(key, stream, first, begin, at, other, LAST, ALIGNED, WIDE, BLOCK)
            next_ += amount.to(kind) * z
    tl.store(out_ptr + b * n + at, next_.to(element), mask=live)
    if keep_ptr is not None:
        where = b * n + (other if FOREIGN & 1024 else at)
        tl.store(keep_ptr + where, d.to(element), mask=live)
    if anchor_out_ptr is not None:
        where = b * n + (other if FOREIGN & 2048 else at)
        tl.store(anchor_out_ptr + where, anchor.to(element), mask=live)
