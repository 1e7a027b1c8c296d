"""`noise` on a GPU: one pass, coefficients and seeds read there, so nothing waits for it."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsup_fast.kernels import _layout
from unsup_fast.kernels.noise.call import TARGETS, Call
from unsup_fast.kernels.randn.triton_normals import normals_at, normals_from

TENSORS = ("x0_ptr", "eps_ptr", "out_ptr", "target_ptr")  # as FOREIGN numbers them
BLOCK = 1024  # elements of a program, twice those of float64


def noise(call: Call, shape: tuple[int, int, int], to: Sequence[Tensor | None]) -> None:
    """Fill the tensors of `to`."""
    samples, channels, positions = shape
    n = channels * positions
    if samples * n == 0:
        return
    pairs: list[Any] = [None if tensor is None else _layout.dense_out(tensor, n) for tensor in to]
    last = pairs[0][1]
    tensors: list[tuple[Tensor | None, bool]] = [_layout.dense(call.x0, n)]
    tensors.append((None, last) if call.eps is None else _layout.dense(call.eps, n))
    tensors += [(None, last) if pair is None else pair for pair in pairs]
    wide = call.x0.dtype == torch.float64
    block = BLOCK // 2 if wide else BLOCK
    aligned = n % (2 if wide else 4) == 0 or call.seeds is not None
    x0 = call.x0
    with torch.cuda.device(x0.device) if x0.is_cuda else nullcontext():
        add[(triton.cdiv(n, block) * samples,)](
            **{name: tensor for name, (tensor, _) in zip(TENSORS, tensors, strict=True)},
            signal_ptr=call.signal,
            sigma_ptr=call.sigma,
            seeds_ptr=call.seeds,
            seed=0 if call.seed is None else call.seed,
            stream=call.stream,
            n=n,
            channels=channels,
            positions=positions,
            FOREIGN=_layout.foreign(tensors, last),
            TARGET=TARGETS.index(call.target),
            LAST=last,
            ALIGNED=aligned,
            WIDE=wide,
            BLOCK=block,
            num_warps=4,
            enable_fp_fusion=True,
        )
    _layout.copy_back(pairs, to)


@triton.jit
def other_offsets(at, channels, positions, LAST: tl.constexpr):
    """Return where the elements of one format are in the other: with the channels last, or not."""
    if LAST:
        return at % channels * positions + at // channels
    else:
        return at % positions * channels + at // positions


@triton.jit
def normals_of(
    seed, stream, first, begin, at, other, LAST: tl.constexpr, ALIGNED: tl.constexpr,
    WIDE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Return the normals of a block of a sample whose elements are numbered from `first`."""
    if LAST or not ALIGNED:
        return normals_at(seed, stream, first + (other if LAST else at), WIDE)
    elif WIDE:
        return normals_from(seed, stream, (first + begin) // 2, BLOCK // 2, WIDE)
    else:
        return normals_from(seed, stream, (first + begin) // 4, BLOCK // 4, WIDE)


@triton.jit(do_not_specialize=["seed", "stream", "n", "channels", "positions"])
def add(
    x0_ptr,  # IN [B, N]
    eps_ptr,  # IN [B, N] or None
    out_ptr,  # OUT [B, N]
    target_ptr,  # OUT [B, N] or None
    signal_ptr,  # IN [B] float64
    sigma_ptr,  # IN [B] float64
    seeds_ptr,  # IN [B] or None
    seed,
    stream,
    n,
    channels,
    positions,
    FOREIGN: tl.constexpr,  # bit i: tensor i is in the other format
    TARGET: tl.constexpr,  # its index in TARGETS
    LAST: tl.constexpr,  # the format: with the channels last
    ALIGNED: tl.constexpr,  # a block begins with a group of normals
    WIDE: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Add noise to a block of a sample."""
    parts = tl.cdiv(n, BLOCK)
    b = (tl.program_id(0) // parts).to(tl.int64)
    begin = (tl.program_id(0) % parts).to(tl.int64) * BLOCK
    at = begin + tl.arange(0, BLOCK)
    live = at < n
    other = other_offsets(at, channels, positions, LAST)
    kind: tl.constexpr = tl.float64 if WIDE else tl.float32
    signal = tl.load(signal_ptr + b).to(kind)
    sigma = tl.load(sigma_ptr + b).to(kind)
    x0 = tl.load(x0_ptr + b * n + (other if FOREIGN & 1 else at), mask=live, other=0.0).to(kind)
    if eps_ptr is not None:
        where = b * n + (other if FOREIGN & 2 else at)
        eps = tl.load(eps_ptr + where, mask=live, other=0.0).to(kind)
    elif seeds_ptr is not None:
        of_sample = tl.load(seeds_ptr + b)
        eps = normals_of(of_sample, stream, b * 0, begin, at, other, LAST, ALIGNED, WIDE, BLOCK)
    else:
        eps = normals_of(seed, stream, b * n, begin, at, other, LAST, ALIGNED, WIDE, BLOCK)
    element: tl.constexpr = out_ptr.dtype.element_ty
    tl.store(out_ptr + b * n + at, (signal * x0 + sigma * eps).to(element), mask=live)
    if TARGET > 0:
        if TARGET == 1:
            target = eps
        elif TARGET == 2:
            target = signal * eps - sigma * x0
        else:
            target = eps - x0
        where = b * n + (other if FOREIGN & 8 else at)
        tl.store(target_ptr + where, target.to(element), mask=live)
