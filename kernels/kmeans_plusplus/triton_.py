"""`kmeans_plusplus` on a GPU: all rounds without waiting for the device.

A round reads the rows once for all its candidates. Squared distances are summed in float64 over
fixed blocks of rows, and the blocks in order, so a draw always falls on the same row.
"""

from contextlib import nullcontext

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS = 256  # rows of a block
BLOCKS = 1024  # block sums scanned at a time


def kmeans_plusplus(
    X: Tensor,
    n_clusters: int,
    random_state: np.random.RandomState,
    sample_weight: Tensor | None,
    trials: int,
) -> Tensor:
    """Return the chosen rows [n_clusters], int64, on the device of X."""
    with torch.cuda.device(X.device) if X.device.type == "cuda" else nullcontext():
        return _seed(X, n_clusters, random_state, sample_weight, trials)


def _seed(
    X: Tensor,
    n_clusters: int,
    random_state: np.random.RandomState,
    sample_weight: Tensor | None,
    trials: int,
) -> Tensor:
    n, device = len(X), X.device
    first = random_state.random_sample()
    draws = random_state.uniform(size=(n_clusters - 1, trials))  # the stream of one round at a time
    uniforms = torch.from_numpy(draws).to(device)  # [K - 1, T]
    chosen = torch.empty(n_clusters, dtype=torch.int64, device=device)
    if sample_weight is None:
        candidates = torch.full((1,), min(int(first * n), n - 1), device=device)
    else:
        mass = torch.nn.functional.pad(sample_weight.double(), (0, -n % ROWS))
        start = torch.full((1, 1), first, dtype=torch.float64, device=device)
        candidates = _picked(sample_weight, None, mass.view(-1, ROWS).sum(dim=1), start, 0)
    closest, sums = _scored(X, candidates, None, sample_weight)  # [1, N], [1, blocks]
    chosen[0] = candidates[0]
    for k in range(1, n_clusters):
        candidates = _picked(closest[0], sample_weight, sums[0], uniforms, k - 1)  # [T]
        distances, sums = _scored(X, candidates, closest[0], sample_weight)
        best = sums.sum(dim=1).argmin(dim=0, keepdim=True)  # [1]
        closest, sums = distances.index_select(0, best), sums.index_select(0, best)
        chosen[k] = candidates.index_select(0, best)[0]
    return chosen


def tiles(d: int, itemsize: int) -> tuple[int, int]:
    """Return how many rows of a block, and how many of D columns, are taken at a time."""
    columns = int(min(64, max(16, triton.next_power_of_2(d))))
    return 4096 // itemsize // columns, columns


def _scored(
    X: Tensor, candidates: Tensor, closest: Tensor | None, sample_weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return min(closest, squared distance) [T, N] and its sums over blocks of rows [T, blocks]."""
    n, d = X.shape
    rows, columns = tiles(d, X.element_size())
    blocks = triton.cdiv(n, ROWS)
    trials = len(candidates)
    distances = torch.empty((trials, n), dtype=X.dtype, device=X.device)
    sums = torch.empty((trials, blocks), dtype=torch.float64, device=X.device)
    score[(blocks,)](
        x_ptr=X,
        candidates_ptr=candidates,
        closest_ptr=closest,
        weight_ptr=sample_weight,
        distances_ptr=distances,
        sums_ptr=sums,
        n=n,
        d=d,
        trials=trials,
        CLOSEST=closest is not None,
        WEIGHTED=sample_weight is not None,
        T=max(2, triton.next_power_of_2(trials)),
        ROWS=ROWS,
        BN=rows,
        BD=columns,
        num_warps=4,
        enable_fp_fusion=False,
    )
    return distances, sums


def _picked(
    closest: Tensor, sample_weight: Tensor | None, sums: Tensor, uniforms: Tensor, round_: int
) -> Tensor:
    """Return the row [T] that each draw of a round falls on."""
    trials = uniforms.shape[1]
    candidates = torch.empty(trials, dtype=torch.int64, device=closest.device)
    pick[(trials,)](
        closest_ptr=closest,
        weight_ptr=sample_weight,
        sums_ptr=sums,
        uniforms_ptr=uniforms,
        candidates_ptr=candidates,
        n=len(closest),
        blocks=len(sums),
        first=round_ * trials,
        WEIGHTED=sample_weight is not None,
        ROWS=ROWS,
        BLOCKS=BLOCKS,
        num_warps=8,
        enable_fp_fusion=False,
    )
    return candidates


@triton.jit(do_not_specialize=["n", "trials"])
def score(
    x_ptr,  # IN [N, D]
    candidates_ptr,  # IN [trials] rows
    closest_ptr,  # IN [N]
    weight_ptr,  # IN [N]
    distances_ptr,  # OUT [trials, N]
    sums_ptr,  # OUT [trials, programs]
    n,
    d,
    trials,
    CLOSEST: tl.constexpr,
    WEIGHTED: tl.constexpr,
    T: tl.constexpr,  # power of two, at least `trials`
    ROWS: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
):
    """Find the distance of a block of rows to the nearest of chosen rows and each candidate."""
    lane = tl.arange(0, T)
    sums = tl.zeros([T], tl.float64)
    for r0 in range(0, ROWS, BN):
        rows = tl.program_id(0).to(tl.int64) * ROWS + r0 + tl.arange(0, BN)
        live = rows < n
        squared = tl.zeros([BN, T], x_ptr.dtype.element_ty)
        for d0 in range(0, d, BD):
            columns = d0 + tl.arange(0, BD)
            here = columns < d
            at = rows[:, None] * d + columns[None, :]
            x = tl.load(x_ptr + at, mask=live[:, None] & here[None, :], other=0.0)  # [BN, BD]
            for t in range(0, trials):
                row = tl.load(candidates_ptr + t).to(tl.int64)
                c = tl.load(x_ptr + row * d + columns, mask=here, other=0.0)  # [BD]
                part = tl.sum((x - c[None, :]) * (x - c[None, :]), axis=1)  # [BN]
                squared += tl.where(lane[None, :] == t, part[:, None], 0.0).to(squared.dtype)
        if CLOSEST:
            closest = tl.load(closest_ptr + rows, mask=live, other=0.0)
            squared = tl.minimum(squared, closest[:, None])
        known = (lane < trials)[None, :]
        to = lane[None, :].to(tl.int64) * n + rows[:, None]  # [BN, T]
        tl.store(distances_ptr + to, squared, mask=live[:, None] & known)
        mass = squared.to(tl.float64)
        if WEIGHTED:
            mass *= tl.load(weight_ptr + rows, mask=live, other=0.0).to(tl.float64)[:, None]
        sums += tl.sum(tl.where(live[:, None], mass, 0.0), axis=0)  # [T]
    slot = lane.to(tl.int64) * tl.num_programs(0) + tl.program_id(0)
    tl.store(sums_ptr + slot, sums, mask=lane < trials)


@triton.jit(do_not_specialize=["n", "blocks", "first"])
def pick(
    closest_ptr,  # IN [N]
    weight_ptr,  # IN [N]
    sums_ptr,  # IN [blocks] sums of weight times closest over ROWS rows each
    uniforms_ptr,  # IN: draws of the rounds, one after another
    candidates_ptr,  # OUT [programs]
    n,
    blocks,
    first,  # where the draws of this round begin
    WEIGHTED: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCKS: tl.constexpr,
):
    """Find the first row where the cumulated mass reaches a draw."""
    offsets = tl.arange(0, BLOCKS)
    total = tl.zeros([1], tl.float64)
    for b0 in range(0, blocks, BLOCKS):
        sums = tl.load(sums_ptr + b0 + offsets, mask=b0 + offsets < blocks, other=0.0)
        total += tl.sum(sums, axis=0)
    draw = tl.load(uniforms_ptr + first + tl.program_id(0)) * total  # [1]
    before = tl.zeros([1], tl.float64)  # mass of the blocks below the draw
    start = tl.zeros([1], tl.float64)  # mass of the blocks scanned
    block = tl.zeros([1], tl.int64)
    for b0 in range(0, blocks, BLOCKS):
        known = b0 + offsets < blocks
        sums = tl.load(sums_ptr + b0 + offsets, mask=known, other=0.0)
        cumulated = start + tl.cumsum(sums, axis=0)
        below = known & (cumulated < draw)
        block += tl.sum(below.to(tl.int64), axis=0)
        before = tl.maximum(before, tl.max(tl.where(below, cumulated, 0.0), axis=0))
        start += tl.sum(sums, axis=0)
    block = tl.minimum(block, blocks - 1)
    rows = block * ROWS + tl.arange(0, ROWS)
    live = rows < n
    mass = tl.load(closest_ptr + rows, mask=live, other=0.0).to(tl.float64)
    if WEIGHTED:
        mass *= tl.load(weight_ptr + rows, mask=live, other=0.0).to(tl.float64)
    below = live & (before + tl.cumsum(mass, axis=0) < draw)
    row = block * ROWS + tl.sum(below.to(tl.int64), axis=0)  # [1]
    tl.store(candidates_ptr + tl.program_id(0) + tl.arange(0, 1), tl.minimum(row, n - 1))
