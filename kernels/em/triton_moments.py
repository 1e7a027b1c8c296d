"""Moments of a mixture on a GPU.

    share_ik = w_i r_ik, or zero where r_ik < pi_k u / 64
    resp_sums_k = sum_i share_ik     sums_k = sum_i share_ik g_ik
    second_k = sum_i share_ik g_ik g_ik^T

with g_ik = x'_i - mu'_k, scaled as in `triton_densities`. Program p of S that share a tile of sums
takes blocks p, p + S, p + 2 S, ... of the rows, adds the products of a block in X's type and the
blocks in float64, in that order, to sums of its own. S depends on N, D and K alone, and nothing is
added by atomics. With u the unit roundoff of X's type and BN <= 64 the rows of a block, sums err
by at most (BN + 6) u sum share |g|, products in float32 (three of tf32) by at most
(4 BN + 28) u sum share |g_d| |g_e|, in float64 and for "diag" and "spherical" by (BN + 8) u of it.

For "tied" the products are those of float64, about the mean s of the means, with sum_k share_ik;
they are moved to the means at the end, where they lose what the squared distance of the means from
s has in digits over the spread.
"""

import triton
import triton.language as tl

from unsup_fast.kernels.em.triton_densities import BEST, INVERSE, less_mean, rows_at


@triton.jit(do_not_specialize=["first", "count", "chunk", "k"])
def shares(
    work_ptr,  # IN/OUT [K, chunk]: l, then shares; only OUT unless SOURCE is "log"
    norms_ptr,  # IN [2, chunk]
    least_ptr,  # IN [K] pi_k u / 64
    weight_ptr,  # IN [N]
    resp_ptr,  # OUT [N, K]; IN where SOURCE is "resp"
    labels_ptr,  # IN [N]
    totals_ptr,  # OUT [chunk] float64: sum_k share_ik
    first,
    count,
    chunk,
    k,
    SOURCE: tl.constexpr,  # "log", "resp" or "labels": the source of responsibilities
    WEIGHTED: tl.constexpr,
    RESP: tl.constexpr,  # whether responsibilities are wanted
    TOTALS: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
):
    """Find the share that each component has of each row."""
    local_rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    live = local_rows < count
    rows = first + local_rows
    totals = tl.zeros([BN], tl.float64)
    for k0 in range(0, k, BK):
        components = (k0 + tl.arange(0, BK)).to(tl.int64)
        here = live[:, None] & (components < k)[None, :]
        at = components[None, :] * chunk + local_rows[:, None]
        outer = rows[:, None] * k + components[None, :]
        if SOURCE == "log":
            best = tl.load(norms_ptr + BEST * chunk + local_rows, mask=live, other=0.0)
            inverse = tl.load(norms_ptr + INVERSE * chunk + local_rows, mask=live, other=0.0)
            log_p = tl.load(work_ptr + at, mask=here, other=float("-inf"))
            share = tl.exp(log_p - best[:, None]) * inverse[:, None]  # [BN, BK]
            if RESP:
                tl.store(resp_ptr + outer, share, mask=here)
            least = tl.load(least_ptr + components, mask=components < k, other=0.0)
            share = tl.where(share < least[None, :], 0.0, share).to(log_p.dtype)
        elif SOURCE == "resp":
            share = tl.load(resp_ptr + outer, mask=here, other=0.0)
        else:
            label = tl.load(labels_ptr + rows, mask=live, other=-1)
            share = (label[:, None] == components[None, :]).to(work_ptr.dtype.element_ty)
        if WEIGHTED:
            share *= tl.load(weight_ptr + rows, mask=live, other=0.0)[:, None]
        tl.store(work_ptr + at, share, mask=here)
        totals += tl.sum(tl.where(here, share, 0.0).to(tl.float64), axis=1)
    if TOTALS:
        tl.store(totals_ptr + local_rows, totals, mask=live)


@triton.jit
def _add(to_ptr, offsets, mask, amounts):
    """Add to sums that no other program touches."""
    tl.store(to_ptr + offsets, tl.load(to_ptr + offsets, mask=mask, other=0.0) + amounts, mask=mask)


@triton.jit(do_not_specialize=["first", "count", "chunk", "k"])
def moments_full(
    x_ptr,  # IN [N, D]
    scale_ptr,  # IN [1]
    high_ptr,  # IN [K, D]
    low_ptr,  # IN [K, D]
    shares_ptr,  # IN [K, chunk]
    resp_sums_ptr,  # IN/OUT [S, K] float64
    sums_ptr,  # IN/OUT [S, K, D] float64
    second_ptr,  # IN/OUT [S, K, D, D] float64; what is below the diagonal is left as it is
    first,
    count,
    chunk,
    k,
    d,
    PRECISION: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
):
    """Add up products of pairs of columns; the type of the shares is that of the products."""
    tiles = tl.cdiv(d, BD)
    component = (tl.program_id(0) // (tiles * tiles)).to(tl.int64)
    tile = tl.program_id(0) % (tiles * tiles)
    row_tile = tile // tiles
    column_tile = tile % tiles
    if row_tile > column_tile:
        return
    kind = shares_ptr.dtype.element_ty
    scale = tl.load(scale_ptr)
    i = row_tile * BD + tl.arange(0, BD)
    j = column_tile * BD + tl.arange(0, BD)
    share_sum = tl.zeros([1], tl.float64)
    sums = tl.zeros([BD], tl.float64)
    second = tl.zeros([BD, BD], tl.float64)
    for r0 in range(tl.program_id(1) * BN, count, tl.num_programs(1) * BN):
        local_rows = (r0 + tl.arange(0, BN)).to(tl.int64)
        live = local_rows < count
        share = tl.load(shares_ptr + component * chunk + local_rows, mask=live, other=0.0)
        if tl.max(share, axis=0) > 0:
            live = share > 0
            rows = first + local_rows
            left = rows_at(x_ptr, scale, rows, live, i, d).to(kind)
            left = less_mean(left, high_ptr, low_ptr, component * d, i, d)  # [BN, BD]
            left = left * share[:, None]
            right = rows_at(x_ptr, scale, rows, live, j, d).to(kind)
            right = less_mean(right, high_ptr, low_ptr, component * d, j, d)
            product = tl.dot(tl.trans(left), right, input_precision=PRECISION, out_dtype=kind)
            second += product.to(tl.float64)
            sums += tl.sum(left, axis=0).to(tl.float64)
            share_sum += tl.sum(share, axis=0).to(tl.float64)
    slot = tl.program_id(1) * k.to(tl.int64) + component
    at = slot * d * d + i[:, None] * d + j[None, :]
    _add(second_ptr, at, (i[:, None] <= j[None, :]) & (j < d)[None, :], second)
    if row_tile == column_tile:
        _add(sums_ptr, slot * d + i, i < d, sums)
        if row_tile == 0:
            one = tl.arange(0, 1)
            _add(resp_sums_ptr, slot + one, one < 1, share_sum)


@triton.jit(do_not_specialize=["first", "count", "chunk", "k"])
def moments_plain(
    x_ptr,  # IN [N, D]
    scale_ptr,  # IN [1]
    high_ptr,  # IN [K, D]
    low_ptr,  # IN [K, D]
    shares_ptr,  # IN [K, chunk]
    resp_sums_ptr,  # IN/OUT [S, K] float64
    sums_ptr,  # IN/OUT [S, K, D] float64
    second_ptr,  # IN/OUT [S, K, D] float64
    first,
    count,
    chunk,
    k,
    d,
    SECOND: tl.constexpr,  # whether squares are wanted
    BN: tl.constexpr,
    BK: tl.constexpr,
    BD: tl.constexpr,
):
    """Add up rows and squares of single columns."""
    tiles = tl.cdiv(d, BD)
    components = (tl.program_id(0) // tiles * BK + tl.arange(0, BK)).to(tl.int64)
    known = components < k
    column_tile = tl.program_id(0) % tiles
    columns = column_tile * BD + tl.arange(0, BD)
    here = known[:, None] & (columns < d)[None, :]
    scale = tl.load(scale_ptr)
    at = components[:, None] * d + columns[None, :]
    high = tl.load(high_ptr + at, mask=here, other=0.0)  # [BK, BD]
    low = tl.load(low_ptr + at, mask=here, other=0.0)
    share_sum = tl.zeros([BK], tl.float64)
    sums = tl.zeros([BK, BD], tl.float64)
    second = tl.zeros([BK, BD], tl.float64)
    for r0 in range(tl.program_id(1) * BN, count, tl.num_programs(1) * BN):
        local_rows = (r0 + tl.arange(0, BN)).to(tl.int64)
        live = local_rows < count
        inside = live[:, None] & known[None, :]
        from_ = shares_ptr + components[None, :] * chunk + local_rows[:, None]
        share = tl.load(from_, mask=inside, other=0.0)  # [BN, BK]
        most = tl.max(share, axis=1)  # [BN]
        if tl.max(most, axis=0) > 0:
            x = rows_at(x_ptr, scale, first + local_rows, most > 0, columns, d)  # [BN, BD]
            gaps = (x[:, None, :] - high[None, :, :]) - low[None, :, :]  # [BN, BK, BD]
            part = gaps * share[:, :, None]
            sums += tl.sum(part, axis=0).to(tl.float64)
            if SECOND:
                second += tl.sum(part * gaps, axis=0).to(tl.float64)
            share_sum += tl.sum(share, axis=0).to(tl.float64)
    slots = tl.program_id(1) * k.to(tl.int64) + components
    at = slots[:, None] * d + columns[None, :]
    _add(sums_ptr, at, here, sums)
    if SECOND:
        _add(second_ptr, at, here, second)
    if column_tile == 0:
        _add(resp_sums_ptr, slots, known, share_sum)
