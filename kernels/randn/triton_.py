"""`randn` on a GPU: a program draws some groups of one sample, of some channels at a time."""

from contextlib import nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsup_fast.kernels.randn.triton_normals import four_normals, normals_from, two_normals

GROUPS = 512  # of a program where numbers are neighbours in memory,
TILE = (16, 32)  # groups and channels where they are not
WARPS = 4


def fill(out: Tensor, seed: int, seeds: Tensor | None, stream: int, first: int) -> None:
    """Fill a tensor on the device from one seed or one for each sample [B]."""
    if out.numel() == 0:
        return
    channels_last = out.movedim(1, -1) if out.ndim > 2 else out
    samples, channels, memory = 1 if seeds is None else len(seeds), 1, out
    if not out.is_contiguous():
        if channels_last.is_contiguous():
            samples, channels = out.shape[:2]
        else:
            memory = torch.empty(out.shape, dtype=out.dtype, device=out.device)
    positions, wide = out.numel() // (samples * channels), out.dtype == torch.float64
    each = 2 if wide else 4
    groups, block = (GROUPS, 1) if channels == 1 else TILE
    # One group more than there are, as the first may lie in the middle of its own.
    tiles = triton.cdiv(positions // each + 2, groups)
    grid = (samples * tiles, triton.cdiv(channels, block))
    with torch.cuda.device(out.device) if out.device.type == "cuda" else nullcontext():
        draw[grid](
            out_ptr=memory,
            seeds_ptr=seeds,
            seed=seed,
            stream=stream,
            first=first,
            channels=channels,
            positions=positions,
            tiles=tiles,
            SEEDED=seeds is not None,
            WIDE=wide,
            CHANNELS_LAST=channels > 1,
            ALIGNED=first % each == 0
            and (samples == 1 or seeds is not None or positions % each == 0),
            BG=groups,
            BC=block,
            num_warps=WARPS,
            enable_fp_fusion=True,
        )
    if memory is not out:
        out.copy_(memory)


@triton.jit
def _store(out_ptr, z, sample, position, channel, positions, channels):
    live = (position >= 0) & (position < positions) & (channel < channels)
    at = (sample * positions + position) * channels + channel
    tl.store(out_ptr + at, z.to(out_ptr.dtype.element_ty), mask=live)


@triton.jit(do_not_specialize=["seed", "stream", "first", "channels", "tiles"])
def draw(
    out_ptr,  # OUT [samples, positions, channels]
    seeds_ptr,  # IN [samples] if SEEDED
    seed: tl.int64,
    stream: tl.int64,
    first: tl.int64,
    channels: tl.int64,
    positions: tl.int64,
    tiles: tl.int32,  # of groups in a sample
    SEEDED: tl.constexpr,
    WIDE: tl.constexpr,  # float64
    CHANNELS_LAST: tl.constexpr,  # there is more than one channel
    ALIGNED: tl.constexpr,  # a sample begins with a group
    BG: tl.constexpr,
    BC: tl.constexpr,
):
    """Draw BG groups for BC channels of a sample."""
    EACH: tl.constexpr = 2 if WIDE else 4
    sample = (tl.program_id(0) // tiles).to(tl.int64)
    tile = (tl.program_id(0) % tiles).to(tl.int64) * BG
    begin = first + sample * 0
    if SEEDED:
        key = tl.load(seeds_ptr + sample)
    else:
        key = seed + sample * 0
        begin += sample * channels * positions
    if CHANNELS_LAST:
        channel = tl.program_id(1).to(tl.int64) * BC + tl.arange(0, BC)[None, :]
        start = begin + channel * positions  # [1, BC]
        group = start // EACH + tile + tl.arange(0, BG)[:, None]  # [BG, BC]
        position = group * EACH - start
        if WIDE:
            z0, z1 = two_normals(key, stream, group)
        else:
            z0, z1, z2, z3 = four_normals(key, stream, group)
            _store(out_ptr, z2, sample, position + 2, channel, positions, channels)
            _store(out_ptr, z3, sample, position + 3, channel, positions, channels)
        _store(out_ptr, z0, sample, position, channel, positions, channels)
        _store(out_ptr, z1, sample, position + 1, channel, positions, channels)
    else:
        group = begin // EACH + tile
        z = normals_from(key, stream, group, BG, WIDE)
        position = tl.arange(0, BG * EACH) + tile * EACH
        if not ALIGNED:
            position -= begin % EACH
        _store(out_ptr, z, sample, position, 0, positions, 1)
