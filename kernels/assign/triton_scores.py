"""Labels on a GPU: scores on tensor cores, doubtful rows once more in higher precision.

With x' = (x - s) 2^e and c' = (c - s) 2^e, e such that the largest value is near one, and x', c'
split into bfloat16 parts and a rest, h + l + r, a row's label is that of the largest

    score_k = x' . c'_k - |c'_k|^2 / 2

computed from h.h ("bf16"). Where the best two differ by no more than twice

    E = |x' - h| C + |h| max_k |c'_k - h_k| + 2^-22 (D + 16 + BK) C (|x'| + C)

it is recomputed from h.h + h.l + l.h ("bf16x3", with the bound of these parts), and where that is
in doubt from x' and c' themselves ("exact", in the type of X). C = max_k |c'_k|; the lengths of
x' - h and c' - h are computed, not estimated. The last term bounds the sums: a tensor core adds D
products and now and then a carry, each cut at 2^-23 of the largest magnitude, which is at most
|x'| C (Fasi, Higham, Mikaitis & Pranesh, PeerJ Comput. Sci. 7:e330, 2021); the halved norm is
rounded once; and the low bits of a score hold the column it came from.

Doubtful rows are appended to a list whose length stays on the device. Their order in it is not
fixed and does not matter: a row's label depends on the row and the centroids alone.
"""

import triton
import triton.language as tl

FAR = tl.constexpr(-1e38)  # below every score
CUT = tl.constexpr(2.0**-22)  # twice what one addition in a tensor core may lose
WHOLE = tl.constexpr(0)  # indices into `limits`
OFF = tl.constexpr(1)
FAR_OFF = tl.constexpr(2)
INTERPRETED = tl.constexpr(triton.knobs.runtime.interpret)


@triton.jit
def rows_at(x_ptr, shift_ptr, scale, rows, live, columns, d, SHIFTED: tl.constexpr):
    """Load (x - s) * scale at `rows` x `columns`; zero outside."""
    here = columns < d
    at = rows[:, None] * d + columns[None, :]
    x = tl.load(x_ptr + at, mask=live[:, None] & here[None, :], other=0.0)
    if SHIFTED:
        shift = tl.load(shift_ptr + columns, mask=here, other=0.0)
        x = tl.where(live[:, None], x - shift[None, :], 0.0).to(x.dtype)
    return x * scale


@triton.jit
def _split(x):
    """Return h and l in bfloat16, and x - h in float32."""
    x = x.to(tl.float32)
    high = x.to(tl.bfloat16)
    rest = x - high.to(tl.float32)
    return high, rest.to(tl.bfloat16), rest


@triton.jit(do_not_specialize=["first", "last", "n"])
def pack(
    x_ptr,  # IN [N, D]
    shift_ptr,  # IN [D]
    scale_ptr,  # IN [1]
    high_ptr,  # OUT [last - first, WIDTH], padded with zeros
    lengths_ptr,  # OUT [2, N]: |x'|, |x' - h|
    first,  # row to begin with
    last,  # one past the row to end with
    n,
    d,
    width,  # D rounded up, so that rows are aligned
    SHIFTED: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
):
    """Shift and scale rows, round them to bfloat16, and measure what that loses."""
    local_rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    rows = first + local_rows
    live = rows < last
    scale = tl.load(scale_ptr)
    whole = tl.zeros([BN], tl.float32)
    off = tl.zeros([BN], tl.float32)
    for d0 in range(0, width, BD):
        columns = d0 + tl.arange(0, BD)
        x = rows_at(x_ptr, shift_ptr, scale, rows, live, columns, d, SHIFTED)
        high, _, rest = _split(x)
        here = live[:, None] & (columns < width)[None, :]
        tl.store(high_ptr + local_rows[:, None] * width + columns[None, :], high, mask=here)
        x = x.to(tl.float32)
        whole += tl.sum(x * x, axis=1)
        off += tl.sum(rest * rest, axis=1)
    tl.store(lengths_ptr + rows, tl.sqrt(whole), mask=live)
    tl.store(lengths_ptr + n + rows, tl.sqrt(off), mask=live)


@triton.jit(do_not_specialize=["k"])
def prepare(
    centers_ptr,  # IN [K, D]
    shift_ptr,  # IN [D]
    scale_ptr,  # IN [1]
    rows_ptr,  # OUT [K, D] c'
    high_ptr,  # OUT [K, WIDTH]
    low_ptr,  # OUT [K, WIDTH]
    half_ptr,  # OUT [K] |c'|^2 / 2
    limits_ptr,  # IN/OUT [3]: largest |c'|, |c' - h|, |c' - h - l|, bits of float32
    k,
    d,
    width,
    SHIFTED: tl.constexpr,
    BK: tl.constexpr,
    BD: tl.constexpr,
):
    """Shift, scale and split the centroids."""
    rows = (tl.program_id(0) * BK + tl.arange(0, BK)).to(tl.int64)
    live = rows < k
    scale = tl.load(scale_ptr)
    whole = tl.zeros([BK], tl.float64)
    off = tl.zeros([BK], tl.float32)
    far_off = tl.zeros([BK], tl.float32)
    for d0 in range(0, width, BD):
        columns = d0 + tl.arange(0, BD)
        c = rows_at(centers_ptr, shift_ptr, scale, rows, live, columns, d, SHIFTED)
        high, low, rest = _split(c)
        here = live[:, None] & (columns < d)[None, :]
        tl.store(rows_ptr + rows[:, None] * d + columns[None, :], c, mask=here)
        at = rows[:, None] * width + columns[None, :]
        here = live[:, None] & (columns < width)[None, :]
        tl.store(high_ptr + at, high, mask=here)
        tl.store(low_ptr + at, low, mask=here)
        wide = c.to(tl.float64)
        whole += tl.sum(wide * wide, axis=1)
        off += tl.sum(rest * rest, axis=1)
        rest -= low.to(tl.float32)
        far_off += tl.sum(rest * rest, axis=1)
    tl.store(half_ptr + rows, (whole / 2).to(half_ptr.dtype.element_ty), mask=live)
    # Bits of floats that are not negative are in the order of the floats.
    tl.atomic_max(limits_ptr + WHOLE, _length(tl.max(whole.to(tl.float32), axis=0)))
    tl.atomic_max(limits_ptr + OFF, _length(tl.max(off, axis=0)))
    tl.atomic_max(limits_ptr + FAR_OFF, _length(tl.max(far_off, axis=0)))


@triton.jit
def _length(squared):
    return tl.sqrt(squared).to(tl.int32, bitcast=True)


@triton.jit
def _limit(limits_ptr, index: tl.constexpr):
    return tl.load(limits_ptr + index).to(tl.float32, bitcast=True)


@triton.jit
def _dot(a, b, score):
    if INTERPRETED:  # Triton's interpreter would multiply the bits of bfloat16
        a, b = a.to(tl.float32), b.to(tl.float32)
    return tl.dot(a, b, score)


@triton.jit
def _best_two(score, k0, best, second, label, BK: tl.constexpr):
    """Merge scores [BN, BK] of centroids k0... into the best, its index, and the second best."""
    bits = (score.to(tl.int32, bitcast=True) & -BK) | tl.arange(0, BK)[None, :]
    score = bits.to(tl.float32, bitcast=True)
    top = tl.max(score, axis=1)  # [BN]
    below = tl.max(tl.where(score == top[:, None], FAR, score), axis=1)  # [BN]
    index = top.to(tl.int32, bitcast=True) & (BK - 1)
    label = tl.where(top > best, k0 + index, label)
    second = tl.maximum(tl.minimum(best, top), tl.maximum(second, below))
    return tl.maximum(best, top), second, label


@triton.jit
def _doubt(gap, error, rows, live, list_ptr, list_length_ptr):
    """Append the rows whose gap is not beyond twice the error, or whose error overflowed."""
    doubtful = live & ((gap > 2 * error) == 0)
    ones = doubtful.to(tl.int32)
    start = tl.atomic_add(list_length_ptr, tl.sum(ones, axis=0).to(tl.int64), sem="relaxed")
    slots = start + tl.cumsum(ones, axis=0) - 1
    tl.store(list_ptr + slots, rows.to(list_ptr.dtype.element_ty), mask=doubtful)


@triton.jit(do_not_specialize=["first", "last", "n", "k"])
def nearest_packed(
    high_ptr,  # IN [last - first, WIDTH]
    lengths_ptr,  # IN [2, N]
    c_high_ptr,  # IN [K, WIDTH]
    half_ptr,  # IN [K]
    limits_ptr,  # IN [3]
    labels_ptr,  # OUT [N], entries first to last
    doubtful_ptr,  # OUT [N]
    n_doubtful_ptr,  # IN/OUT [1]
    first,
    last,
    n,
    k,
    width,
    CERTIFY: tl.constexpr,
    ONE: tl.constexpr,  # BD >= WIDTH: a row is loaded once for all centroids
    BN: tl.constexpr,
    BK: tl.constexpr,
    BD: tl.constexpr,
):
    """Label packed rows by their bfloat16 scores; list those in doubt."""
    local_rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    rows = first + local_rows
    live = rows < last
    offsets = tl.arange(0, BD)
    at = local_rows[:, None] * width + offsets[None, :]
    if ONE:
        x = tl.load(high_ptr + at, mask=live[:, None] & (offsets < width)[None, :], other=0.0)
    best = tl.full([BN], FAR, tl.float32)
    second = tl.full([BN], FAR, tl.float32)
    label = tl.zeros([BN], tl.int32)
    for k0 in range(0, k, BK):
        clusters = k0 + tl.arange(0, BK)
        known = clusters < k
        c_at = clusters[None, :].to(tl.int64) * width + offsets[:, None]  # [BD, BK]
        score = tl.zeros([BN, BK], tl.float32)
        if ONE:
            here = known[None, :] & (offsets < width)[:, None]
            score = _dot(x, tl.load(c_high_ptr + c_at, mask=here, other=0.0), score)
        else:
            for d0 in range(0, width, BD):
                left = offsets < width - d0
                x = tl.load(high_ptr + at + d0, mask=live[:, None] & left[None, :], other=0.0)
                c = tl.load(c_high_ptr + c_at + d0, mask=known[None, :] & left[:, None], other=0.0)
                score = _dot(x, c, score)
        half = tl.load(half_ptr + clusters, mask=known, other=-FAR).to(tl.float32)
        best, second, label = _best_two(score - half[None, :], k0, best, second, label, BK)
    tl.store(labels_ptr + rows, label, mask=live)
    if CERTIFY:
        largest = _limit(limits_ptr, WHOLE)
        whole = tl.load(lengths_ptr + rows, mask=live, other=0.0)
        off = tl.load(lengths_ptr + n + rows, mask=live, other=0.0)
        error = off * largest + (whole + off) * _limit(limits_ptr, OFF)
        # A part in a hundred for the rounding of the lengths themselves.
        error = 1.01 * error + CUT * (width + 16 + BK) * largest * (whole + largest)
        _doubt(best - second, error, rows, live, doubtful_ptr, n_doubtful_ptr)


@triton.jit(do_not_specialize=["n", "k"])
def nearest(
    x_ptr,  # IN [N, D]
    shift_ptr,  # IN [D]
    scale_ptr,  # IN [1]
    lengths_ptr,  # IN [2, N]
    rows_ptr,  # IN [K, D]
    high_ptr,  # IN [K, WIDTH]
    low_ptr,  # IN [K, WIDTH]
    half_ptr,  # IN [K]
    limits_ptr,  # IN [3]
    list_ptr,  # IN [N]: rows to label, the first list_length of them
    list_length_ptr,  # IN [1]
    labels_ptr,  # OUT [N]
    doubtful_ptr,  # OUT [N]
    n_doubtful_ptr,  # IN/OUT [1]
    n,
    k,
    d,
    width,
    MODE: tl.constexpr,  # "bf16x3", "tf32" or "exact"
    SHIFTED: tl.constexpr,
    LISTED: tl.constexpr,  # or else all rows
    BN: tl.constexpr,
    BK: tl.constexpr,
    BD: tl.constexpr,
):
    """Label rows by their scores in a higher precision; "bf16x3" lists those still in doubt."""
    score_type = x_ptr.dtype.element_ty if MODE == "exact" else tl.float32
    scale = tl.load(scale_ptr)
    offsets = tl.arange(0, BD)
    length = tl.load(list_length_ptr) if LISTED else n.to(tl.int64)
    for block in range(tl.program_id(0).to(tl.int64), tl.cdiv(length, BN), tl.num_programs(0)):
        rows = block * BN + tl.arange(0, BN)
        live = rows < length
        if LISTED:
            rows = tl.load(list_ptr + rows, mask=live, other=0).to(tl.int64)
        best = tl.full([BN], FAR, score_type)
        second = tl.full([BN], FAR, score_type)
        label = tl.zeros([BN], tl.int32)
        for k0 in range(0, k, BK):
            clusters = k0 + tl.arange(0, BK)
            score = tl.zeros([BN, BK], score_type)
            if MODE == "bf16x3":  # on its own, so that the small products lose little
                small = tl.zeros([BN, BK], tl.float32)
            for d0 in range(0, d, BD):
                columns = d0 + offsets
                x = rows_at(x_ptr, shift_ptr, scale, rows, live, columns, d, SHIFTED)
                here = (clusters < k)[None, :] & (columns < d)[:, None]  # [BD, BK]
                stride = width if MODE == "bf16x3" else d
                at = clusters[None, :].to(tl.int64) * stride + columns[:, None]
                if MODE == "bf16x3":
                    high, low, _ = _split(x)
                    c = tl.load(high_ptr + at, mask=here, other=0.0)
                    c_low = tl.load(low_ptr + at, mask=here, other=0.0)
                    small = _dot(high, c_low, _dot(low, c, small))
                    score = _dot(high, c, score)
                elif MODE == "tf32":
                    c = tl.load(rows_ptr + at, mask=here, other=0.0).to(tl.float32)
                    score = tl.dot(x.to(tl.float32), c, score, input_precision="tf32")
                else:
                    c = tl.load(rows_ptr + at, mask=here, other=0.0)
                    score = tl.dot(x, c, score, input_precision="ieee", out_dtype=score_type)
            half = tl.load(half_ptr + clusters, mask=clusters < k, other=-FAR)
            score -= half.to(score_type)[None, :]
            if MODE == "bf16x3":
                best, second, label = _best_two(score + small, k0, best, second, label, BK)
            else:
                top, index = tl.max(score, axis=1, return_indices=True)  # the lowest of equals
                label = tl.where(top > best, k0 + index, label)
                best = tl.maximum(best, top)
        tl.store(labels_ptr + rows, label, mask=live)
        if MODE == "bf16x3":
            largest = _limit(limits_ptr, WHOLE)
            whole = tl.load(lengths_ptr + rows, mask=live, other=0.0)
            off = tl.load(lengths_ptr + n + rows, mask=live, other=0.0)
            # What l leaves of x' - h is at most its 2^-9th part.
            error = off * (_limit(limits_ptr, OFF) + largest * 0.001953125)
            error = 1.01 * (error + whole * _limit(limits_ptr, FAR_OFF))
            # The 2 D small products are together at most 2^-8 |x'| C.
            error += CUT * (d + d / 64 + 24 + BK) * largest * (whole + largest)
            _doubt(best - second, error, rows, live, doubtful_ptr, n_doubtful_ptr)
