"""`bernoulli` on a GPU: a program draws a block of a row, or sums a row's terms."""

from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsup_fast.kernels.randn.triton_normals import words

GROUPS = 256  # of four words, of a program
BLOCK = 1024  # elements that a program has in registers


def bernoulli(
    p: Tensor, seed: int | None, seeds: Tensor | None, stream: int, n_threads: int | None
) -> Tensor:
    """Return bits, float32 [B, D]."""
    out = torch.empty_like(p, dtype=torch.float32)
    if out.numel() == 0:
        return out
    rows = 1 if seeds is None else len(seeds)
    size = p.numel() // rows  # that one seed draws
    with _on(p):
        blocks = triton.cdiv(size, 4 * GROUPS)
        draw[(rows * blocks,)](
            p_ptr=p,
            out_ptr=out,
            seeds_ptr=seeds,
            seed=0 if seed is None else seed,
            stream=stream,
            size=size,
            blocks=blocks,
            BYTES=p.dtype == torch.uint8,
            GROUPS=GROUPS,
        )
    return out


def bernoulli_log_prob(logits: Tensor, x: Tensor, n_threads: int | None) -> Tensor:
    """Return log-likelihoods [K, B] in the type of x."""
    out = x.new_empty(logits.shape[:2])
    with _on(x):
        add_terms[(out.numel(),)](
            logits_ptr=logits,
            x_ptr=x,
            out_ptr=out,
            x_rows=len(x),
            size=x.shape[1],
            WIDE=x.dtype == torch.float64,
            BLOCK=BLOCK,
        )
    return out


def gradient(of_log_prob: Tensor, logits: Tensor, x: Tensor, n_threads: int | None) -> Tensor:
    """Return the gradient with respect to the logits [K, B, D], in their type."""
    of_logits = torch.empty_like(logits)
    if of_logits.numel() == 0:
        return of_logits
    with _on(x):
        blocks = triton.cdiv(x.shape[1], BLOCK)
        residuals[(of_log_prob.numel() * blocks,)](
            logits_ptr=logits,
            x_ptr=x,
            of_log_prob_ptr=of_log_prob,
            of_logits_ptr=of_logits,
            x_rows=len(x),
            size=x.shape[1],
            blocks=blocks,
            WIDE=x.dtype == torch.float64,
            BLOCK=BLOCK,
        )
    return of_logits


def _on(x: Tensor) -> AbstractContextManager[object]:
    return torch.cuda.device(x.device) if x.device.type == "cuda" else nullcontext()


@triton.jit(do_not_specialize=["seed", "stream", "size", "blocks"])
def draw(
    p_ptr,  # IN [rows, size] uint8 if BYTES, else float32
    out_ptr,  # OUT [rows, size]
    seeds_ptr,  # IN [rows] or None
    seed: tl.int64,
    stream: tl.int64,
    size: tl.int64,
    blocks: tl.int64,  # programs of a row
    BYTES: tl.constexpr,
    GROUPS: tl.constexpr,
):
    """Draw the bits of GROUPS groups of a seed."""
    program = tl.program_id(0).to(tl.int64)
    row, begin = program // blocks, program % blocks * GROUPS
    key = seed + row * 0
    if seeds_ptr is not None:
        key = tl.load(seeds_ptr + row)
    w0, w1, w2, w3 = words(key, stream, begin + tl.arange(0, GROUPS))
    w = tl.interleave(tl.interleave(w0, w2), tl.interleave(w1, w3))
    at = begin * 4 + tl.arange(0, 4 * GROUPS)
    live = at < size
    p = tl.load(p_ptr + row * size + at, mask=live, other=0)
    if BYTES:
        one = (w < p.to(tl.uint32) * 0x01010101) | (p == 255)
    else:
        one = (w >> 8).to(tl.float32) < p * 16777216.0
    tl.store(out_ptr + row * size + at, one.to(tl.float32), mask=live)


@triton.jit
def _exp_of_minus_size(logit):
    return tl.exp(-tl.abs(logit))


@triton.jit(do_not_specialize=["x_rows", "size"])
def add_terms(
    logits_ptr,  # IN [rows, size]
    x_ptr,  # IN [x_rows, size]
    out_ptr,  # OUT [rows]
    x_rows: tl.int64,
    size: tl.int64,
    WIDE: tl.constexpr,  # float64
    BLOCK: tl.constexpr,
):
    """Add up x l - log(1 + exp(l)) over a row; the formulas of csrc/bernoulli."""
    TERMS: tl.constexpr = 16 if WIDE else 7
    kind: tl.constexpr = tl.float64 if WIDE else tl.float32
    row = tl.program_id(0).to(tl.int64)
    total = tl.zeros([BLOCK], kind)
    begin = row * 0
    while begin < size:
        at = begin + tl.arange(0, BLOCK)
        live = at < size
        logit = tl.load(logits_ptr + row * size + at, mask=live, other=0.0).to(kind)
        x = tl.load(x_ptr + row % x_rows * size + at, mask=live, other=0.0)
        factor = tl.where(logit > 0, x - 1, x)
        product = factor * tl.where((factor == 0) & (logit == logit), 0.0, logit)
        e = _exp_of_minus_size(logit)
        t = e / (e + 2)  # log(1 + e) = 2 artanh t
        square = t * t
        series = square * 0 + 2.0 / (2 * TERMS + 1)
        for i in tl.static_range(TERMS):
            series = series * square + 2.0 / (2 * (TERMS - 1 - i) + 1)
        total += tl.where(live, product - series * t, 0.0)
        begin += BLOCK
    tl.store(out_ptr + row, tl.sum(total.to(tl.float64)).to(kind))


@triton.jit(do_not_specialize=["x_rows", "size", "blocks"])
def residuals(
    logits_ptr,  # IN [rows, size]
    x_ptr,  # IN [x_rows, size]
    of_log_prob_ptr,  # IN [rows]
    of_logits_ptr,  # OUT [rows, size]
    x_rows: tl.int64,
    size: tl.int64,
    blocks: tl.int64,  # programs of a row
    WIDE: tl.constexpr,  # float64
    BLOCK: tl.constexpr,
):
    """Fill a block of a row with of_log_prob (x - sigmoid(l))."""
    kind: tl.constexpr = tl.float64 if WIDE else tl.float32
    program = tl.program_id(0).to(tl.int64)
    row, at = program // blocks, program % blocks * BLOCK + tl.arange(0, BLOCK)
    live = at < size
    logit = tl.load(logits_ptr + row * size + at, mask=live, other=0.0).to(kind)
    x = tl.load(x_ptr + row % x_rows * size + at, mask=live, other=0.0)
    e = _exp_of_minus_size(logit)
    r = 1 / (1 + e)
    out = (x - tl.where(logit > 0, r, e * r)) * tl.load(of_log_prob_ptr + row)
    tl.store(of_logits_ptr + row * size + at, out.to(of_logits_ptr.dtype.element_ty), mask=live)
