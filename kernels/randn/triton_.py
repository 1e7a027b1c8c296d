"""`randn` on a GPU: a program draws some groups of one sample, of some channels at a time."""

from contextlib import nullcontext
from typing import Any

import torch
import triton
import triton.language as tl

from unsup_fast.kernels.randn.triton_normals import four_normals, normals_from, two_normals

GROUPS = 512  # of a program where numbers are neighbours in memory,
TILE = (16, 32)  # groups and channels where they are not
WARPS = 4


def fill(out: Any, seed: int, seeds: Any, stream: int, first: int) -> None:
    """Fill a tensor on the device from one seed or one for each sample [B]."""
    if out.numel() == 0:
        return
    apart = out.movedim(1, -1) if out.ndim > 2 else out
    samples, channels, memory = 1 if seeds is None else len(seeds), 1, out
    if not out.is_contiguous():
        if apart.is_contiguous():
            samples, channels = out.shape[:2]
        else:
            memory = torch.empty(out.shape, dtype=out.dtype, device=out.device)
    places, wide = out.numel() // (samples * channels), out.dtype == torch.float64
    each = 2 if wide else 4
    groups, block = (GROUPS, 1) if channels == 1 else TILE
    # One group more than there are, as the first may lie in the middle of its own.
    tiles = triton.cdiv(places // each + 2, groups)
    grid = (samples * tiles, triton.cdiv(channels, block))
    with torch.cuda.device(out.device) if out.device.type == "cuda" else nullcontext():
        draw[grid](
            memory,
            seeds,
            seed,
            stream,
            first,
            channels,
            places,
            tiles,
            SEEDED=seeds is not None,
            WIDE=wide,
            APART=channels > 1,
            ALIGNED=first % each == 0 and (samples == 1 or seeds is not None or places % each == 0),
            BG=groups,
            BC=block,
            num_warps=WARPS,
            enable_fp_fusion=True,
        )
    if memory is not out:
        out.copy_(memory)


@triton.jit
def _store(out_ptr, z, sample, place, channel, places, channels):
    live = (place >= 0) & (place < places) & (channel < channels)
    at = (sample * places + place) * channels + channel
    tl.store(out_ptr + at, z.to(out_ptr.dtype.element_ty), mask=live)


@triton.jit(do_not_specialize=["seed", "stream", "first", "channels", "tiles"])
def draw(
    out_ptr,  # OUT [samples, places, channels]
    seeds_ptr,  # IN [samples] if SEEDED
    seed: tl.int64,
    stream: tl.int64,
    first: tl.int64,
    channels: tl.int64,
    places: tl.int64,
    tiles: tl.int32,  # of groups in a sample
    SEEDED: tl.constexpr,
    WIDE: tl.constexpr,  # float64
    APART: tl.constexpr,  # there is more than one channel
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
        begin += sample * channels * places
    if APART:
        channel = tl.program_id(1).to(tl.int64) * BC + tl.arange(0, BC)[None, :]
        start = begin + channel * places  # [1, BC]
        group = start // EACH + tile + tl.arange(0, BG)[:, None]  # [BG, BC]
        place = group * EACH - start
        if WIDE:
            z0, z1 = two_normals(key, stream, group)
        else:
            z0, z1, z2, z3 = four_normals(key, stream, group)
            _store(out_ptr, z2, sample, place + 2, channel, places, channels)
            _store(out_ptr, z3, sample, place + 3, channel, places, channels)
        _store(out_ptr, z0, sample, place, channel, places, channels)
        _store(out_ptr, z1, sample, place + 1, channel, places, channels)
    else:
        group = begin // EACH + tile
        z = normals_from(key, stream, group, BG, WIDE)
        place = tl.arange(0, BG * EACH) + tile * EACH
        if not ALIGNED:
            place -= begin % EACH
        _store(out_ptr, z, sample, place, 0, places, 1)
