"""Log densities of rows under a mixture on a GPU, and what normalises them.

With x' = x m and mu' = mu m, m a power of two that brings the spreads near one, and U' = U / m::

    z_ik = U_k'^T ((x'_i - hi_k) - lo_k)      hi = mu' rounded to T, lo = mu' - hi rounded to T
    l_ik = (c_k - c) - |z_ik|^2 / 2           c_k the constant terms of log p_ik, c the largest
    best_i = max_k l_ik                       total_i = sum_k exp(l_ik - best_i)
    log p_i = c + best_i + log total_i        the sum of these in float64

A difference from the mean is formed before anything is squared, so where the rows are does not
matter: it errs by at most 2 u (|x - mu| + u |mu|), u the unit roundoff of T, X's type. A product of
float32 is the sum of three of tf32 ("tf32x3") on tensor cores. tf32 keeps 11 bits, so a = h + l +
e with |e| <= 2^-21 |a|, and l.l is left out: a product errs by at most 20 u, and an addition in a
tensor core by less than 4 u of the largest magnitude. So for "full", with g = |x - mu| + u |mu|::

    |dz_j| <= (4 D + 24) u sum_i |U_ij| g_i

for "tied" the same with g = |x - s| + |mu - s|, s the mean of the means, since rows are multiplied
by U once for all components; for "diag" and "spherical", without a product of matrices, |dz_j| <=
5 u U_j g_j. In float64 products are those of the type: (D + 4) u instead of (4 D + 24) u. Then

    |dl| <= sum_j (2 |z_j| + |dz_j|) |dz_j| / 2 + (D + 4) u |z|^2 + 2 u (c - c_k)

and exp errs by a few ulps and u |l - best|. Where |z|^2 overflows or is NaN, l
is minus infinity; where all l of a row are, so is log p, and `inverse` is zero.
"""

import triton
import triton.language as tl

BEST = tl.constexpr(0)  # indices into `norms`
INVERSE = tl.constexpr(1)


@triton.jit
def rows_at(x_ptr, scale, rows, live, columns, d):
    """Load x * scale at `rows` x `columns`; zero outside."""
    at = rows[:, None] * d + columns[None, :]
    seen = live[:, None] & (columns < d)[None, :]
    return tl.load(x_ptr + at, mask=seen, other=0.0) * scale


@triton.jit
def less_mean(x, high_ptr, low_ptr, start, columns, d):
    """Return x less the mean that begins at `start`; zero in columns from D on."""
    here = columns < d
    high = tl.load(high_ptr + start + columns, mask=here, other=0.0)
    low = tl.load(low_ptr + start + columns, mask=here, other=0.0)
    return (x - high[None, :]) - low[None, :]


@triton.jit
def _rotated(
    x_ptr,
    scale,
    rows,
    live,
    high_ptr,
    low_ptr,
    factors_ptr,
    component,
    j0,
    d,
    PRECISION: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
    BI: tl.constexpr,
):
    """Return columns j0 ... of U^T (x' - mu'), [BN, BD]; U is zero below its diagonal."""
    j = j0 + tl.arange(0, BD)
    z = tl.zeros([BN, BD], x_ptr.dtype.element_ty)
    for i0 in range(0, tl.minimum(j0 + BD, d), BI):
        i = i0 + tl.arange(0, BI)
        x = rows_at(x_ptr, scale, rows, live, i, d)
        gaps = less_mean(x, high_ptr, low_ptr, component * d, i, d)  # [BN, BI]
        u = _factor(factors_ptr, component, i, j, d)
        z = tl.dot(gaps, u, z, input_precision=PRECISION, out_dtype=z.dtype)
    return z


@triton.jit
def _factor(factors_ptr, component, i, j, d):
    at = component * d * d + i[:, None] * d + j[None, :]
    upper = (i[:, None] <= j[None, :]) & (j < d)[None, :]
    return tl.load(factors_ptr + at, mask=upper, other=0.0)


@triton.jit(do_not_specialize=["first", "count"])
def project(
    x_ptr,  # IN [N, D]
    scale_ptr,  # IN [1]
    high_ptr,  # IN [D] s'
    low_ptr,  # IN [D]
    factors_ptr,  # IN [D, D]
    y_ptr,  # OUT [count, D]: U^T (x' - s')
    first,
    count,
    d,
    PRECISION: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
    BI: tl.constexpr,  # columns that are summed over at a time
):
    """Multiply rows by the factor that all components of "tied" share."""
    local_rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    live = local_rows < count
    j0 = tl.program_id(1) * BD
    scale = tl.load(scale_ptr)
    y = _rotated(
        x_ptr=x_ptr,
        scale=scale,
        rows=first + local_rows,
        live=live,
        high_ptr=high_ptr,
        low_ptr=low_ptr,
        factors_ptr=factors_ptr,
        component=0,
        j0=j0,
        d=d,
        PRECISION=PRECISION,
        BN=BN,
        BD=BD,
        BI=BI,
    )
    columns = j0 + tl.arange(0, BD)
    at = local_rows[:, None] * d + columns[None, :]
    tl.store(y_ptr + at, y, mask=live[:, None] & (columns < d)[None, :])


@triton.jit
def _log_density(constant, squared):
    reached = squared < float("inf")
    return tl.where(reached, constant - 0.5 * squared, float("-inf")).to(squared.dtype)


@triton.jit
def _joined(best, total, top, more):
    """Return the larger of two maxima [BN], and the sum of exponentials about it."""
    largest = tl.maximum(best, top)
    about = tl.where(largest > float("-inf"), largest, 0.0).to(best.dtype)
    return largest, total * tl.exp(best - about) + more * tl.exp(top - about)


@triton.jit
def _finish(
    best,
    total,
    label,
    local_rows,
    live,
    weight_ptr,
    constant_ptr,
    norms_ptr,
    log_prob_ptr,
    labels_ptr,
    likelihood_ptr,
    first,
    chunk,
    WEIGHTED: tl.constexpr,
    LOG_PROB: tl.constexpr,
    LABELS: tl.constexpr,
):
    """Write what is known of each row, and add its log p to the program's own sum."""
    reached = best > float("-inf")
    kind = best.dtype
    tl.store(
        norms_ptr + BEST * chunk + local_rows, tl.where(reached, best, 0.0).to(kind), mask=live
    )
    inverse = tl.where(reached, 1.0 / total, 0.0).to(kind)
    tl.store(norms_ptr + INVERSE * chunk + local_rows, inverse, mask=live)
    log_total = tl.log(tl.where(reached, total, 1.0).to(kind)).to(tl.float64)
    row = tl.load(constant_ptr) + best.to(tl.float64) + log_total  # [BN]
    rows = first + local_rows
    if LOG_PROB:
        tl.store(log_prob_ptr + rows, row.to(kind), mask=live)
    if LABELS:
        tl.store(labels_ptr + rows, label, mask=live)
    counts = live
    if WEIGHTED:
        weight = tl.load(weight_ptr + rows, mask=live, other=0.0).to(tl.float64)
        counts = live & (weight > 0)
        row = row * weight
    mine = likelihood_ptr + tl.program_id(0)
    tl.store(mine, tl.load(mine) + tl.sum(tl.where(counts, row, 0.0), axis=0))


@triton.jit(do_not_specialize=["first", "count", "chunk", "k"])
def densities_full(
    x_ptr,  # IN [N, D]
    scale_ptr,  # IN [1]
    high_ptr,  # IN [K, D]
    low_ptr,  # IN [K, D]
    factors_ptr,  # IN [K, D, D] U', not read below the diagonal
    offsets_ptr,  # IN [K] c_k - c
    constant_ptr,  # IN [1] float64: c
    weight_ptr,  # IN [N]
    work_ptr,  # OUT [K, chunk]: l
    norms_ptr,  # OUT [2, chunk]: best, 1 / total
    log_prob_ptr,  # OUT [N]
    labels_ptr,  # OUT [N]
    likelihood_ptr,  # IN/OUT [programs] float64
    first,  # row to begin with
    count,  # rows to take
    chunk,  # rows that there is room for
    k,
    d,
    PRECISION: tl.constexpr,
    ONE: tl.constexpr,  # BD is at least D
    WEIGHTED: tl.constexpr,
    KEEP: tl.constexpr,  # l is wanted
    LOG_PROB: tl.constexpr,
    LABELS: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
    BI: tl.constexpr,  # columns that are summed over at a time, unless ONE
):
    """Find l and its log-sum-exp where each component has a factor of its own."""
    local_rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    live = local_rows < count
    rows = first + local_rows
    scale = tl.load(scale_ptr)
    columns = tl.arange(0, BD)
    best = tl.full([BN], float("-inf"), x_ptr.dtype.element_ty)
    total = tl.zeros([BN], x_ptr.dtype.element_ty)
    label = tl.zeros([BN], tl.int32)
    if ONE:
        x = rows_at(x_ptr, scale, rows, live, columns, d)
    for component in range(0, k):
        wide = k.to(tl.int64) * 0 + component
        squared = tl.zeros([BN], x_ptr.dtype.element_ty)
        if ONE:
            gaps = less_mean(x, high_ptr, low_ptr, wide * d, columns, d)
            u = _factor(factors_ptr, wide, columns, columns, d)
            z = tl.dot(gaps, u, input_precision=PRECISION, out_dtype=x.dtype)
            squared += tl.sum(z * z, axis=1)
        else:
            for j0 in range(0, d, BD):
                z = _rotated(
                    x_ptr=x_ptr,
                    scale=scale,
                    rows=rows,
                    live=live,
                    high_ptr=high_ptr,
                    low_ptr=low_ptr,
                    factors_ptr=factors_ptr,
                    component=wide,
                    j0=j0,
                    d=d,
                    PRECISION=PRECISION,
                    BN=BN,
                    BD=BD,
                    BI=BI,
                )
                squared += tl.sum(z * z, axis=1)
        log_p = _log_density(tl.load(offsets_ptr + component), squared)  # [BN]
        if KEEP:
            tl.store(work_ptr + wide * chunk + local_rows, log_p, mask=live)
        label = tl.where(log_p > best, component, label)
        best, total = _joined(best, total, log_p, 1.0)
    _finish(
        best=best,
        total=total,
        label=label,
        local_rows=local_rows,
        live=live,
        weight_ptr=weight_ptr,
        constant_ptr=constant_ptr,
        norms_ptr=norms_ptr,
        log_prob_ptr=log_prob_ptr,
        labels_ptr=labels_ptr,
        likelihood_ptr=likelihood_ptr,
        first=first,
        chunk=chunk,
        WEIGHTED=WEIGHTED,
        LOG_PROB=LOG_PROB,
        LABELS=LABELS,
    )


@triton.jit(do_not_specialize=["from_", "first", "count", "chunk", "k"])
def densities_plain(
    x_ptr,  # IN [N, D], or [count, D] where rows were projected
    scale_ptr,  # IN [1]
    high_ptr,  # IN [K, D]
    low_ptr,  # IN [K, D]
    factors_ptr,  # IN [K, D] U', or [K] where one number holds for all columns
    offsets_ptr,  # IN [K]
    constant_ptr,  # IN [1] float64
    weight_ptr,  # IN [N]
    work_ptr,  # OUT [K, chunk]
    norms_ptr,  # OUT [2, chunk]
    log_prob_ptr,  # OUT [N]
    labels_ptr,  # OUT [N]
    likelihood_ptr,  # IN/OUT [programs] float64
    from_,  # row of `x_ptr` to begin with
    first,  # row of the other arrays to begin with
    count,
    chunk,
    k,
    d,
    DIAG: tl.constexpr,  # whether there is a factor for each column
    WEIGHTED: tl.constexpr,
    KEEP: tl.constexpr,
    LOG_PROB: tl.constexpr,
    LABELS: tl.constexpr,
    BN: tl.constexpr,
    BK: tl.constexpr,
    BD: tl.constexpr,
):
    """Find l and its log-sum-exp where factors are diagonal."""
    local_rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    live = local_rows < count
    scale = tl.load(scale_ptr)
    best = tl.full([BN], float("-inf"), x_ptr.dtype.element_ty)
    total = tl.zeros([BN], x_ptr.dtype.element_ty)
    label = tl.zeros([BN], tl.int32)
    for k0 in range(0, k, BK):
        components = (k0 + tl.arange(0, BK)).to(tl.int64)
        known = components < k
        squared = tl.zeros([BN, BK], x_ptr.dtype.element_ty)
        for d0 in range(0, d, BD):
            columns = d0 + tl.arange(0, BD)
            x = rows_at(x_ptr, scale, from_ + local_rows, live, columns, d)  # [BN, BD]
            at = components[:, None] * d + columns[None, :]
            here = known[:, None] & (columns < d)[None, :]
            high = tl.load(high_ptr + at, mask=here, other=0.0)  # [BK, BD]
            low = tl.load(low_ptr + at, mask=here, other=0.0)
            if DIAG:
                u = tl.load(factors_ptr + at, mask=here, other=0.0)
            else:
                u = tl.load(factors_ptr + components, mask=known, other=0.0)[:, None]
            z = ((x[:, None, :] - high[None, :, :]) - low[None, :, :]) * u[None, :, :]
            squared += tl.sum(z * z, axis=2)
        offsets = tl.load(offsets_ptr + components, mask=known, other=float("-inf"))
        log_p = _log_density(offsets[None, :], squared)  # [BN, BK]
        if KEEP:
            to = components[None, :] * chunk + local_rows[:, None]
            tl.store(work_ptr + to, log_p, mask=live[:, None] & known[None, :])
        top, index = tl.max(log_p, axis=1, return_indices=True)  # the lowest of equals
        label = tl.where(top > best, k0 + index, label)
        about = tl.where(top > float("-inf"), top, 0.0).to(top.dtype)
        more = tl.sum(tl.exp(log_p - about[:, None]), axis=1)  # [BN]
        best, total = _joined(best, total, top, more)
    _finish(
        best=best,
        total=total,
        label=label,
        local_rows=local_rows,
        live=live,
        weight_ptr=weight_ptr,
        constant_ptr=constant_ptr,
        norms_ptr=norms_ptr,
        log_prob_ptr=log_prob_ptr,
        labels_ptr=labels_ptr,
        likelihood_ptr=likelihood_ptr,
        first=first,
        chunk=chunk,
        WEIGHTED=WEIGHTED,
        LOG_PROB=LOG_PROB,
        LABELS=LABELS,
    )
