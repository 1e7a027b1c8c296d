"""Sums on a GPU, exact and in any order: integers.

A row adds q_j = floor(w (x_j - s_j) m_j + 1/2) to its cluster, m_j a power of two such that N times
the largest stays below 2^61. Integer addition is exact, so atomics in any order give the same
sums bit for bit, and a row that moves subtracts from the old cluster what it had added. What
rounding leaves, at most 2^-30 of the largest value in the column for a billion rows, goes to a
second integer where X is float64, and for weights.
"""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from unsup_fast.kernels.assign.triton_scores import rows_at
from unsup_fast.kernels.powers import power_of_two

FINE = tl.constexpr(2.0**30)  # quanta of the second integer in one of the first


class Totals:
    """Sums and weights of clusters as integers, with their units.

    Parameters
    ----------
    X : tensor of shape (N, D)
    n_clusters : int
    sample_weight : tensor of shape (N,) or None
    shift : tensor of shape (D,) or None
    """

    def __init__(
        self, X: Tensor, n_clusters: int, sample_weight: Tensor | None, shift: Tensor | None
    ) -> None:
        n, d = X.shape
        low, high = torch.aminmax(X, dim=0) if n else (X.new_zeros(d), X.new_zeros(d))
        if shift is not None:
            low, high = low - shift, high - shift
        self.largest = torch.maximum(low.abs(), high.abs()).double()  # [D] max |x - s|
        bits = 61 - max(n, 1).bit_length()
        if sample_weight is None:
            self.quanta = power_above(self.largest, bits)  # [D] float64: quanta in one
            self.weight_quanta = self.quanta.new_ones(1)
        else:
            heaviest = sample_weight.abs().amax().double()
            self.quanta = power_above(self.largest * heaviest, bits)
            self.weight_quanta = power_above(heaviest[None], bits)
        limbs = 2 if X.dtype == torch.float64 else 1
        where: dict[str, Any] = {"dtype": torch.int64, "device": X.device}
        self.sums = torch.zeros((limbs, n_clusters, d), **where)
        self.weights = torch.zeros((2, n_clusters), **where)
        self.fresh = True

    def clear(self) -> None:
        """Forget all rows; the next pass adds them anew, whatever their labels were."""
        self.sums.zero_()
        self.weights.zero_()
        self.fresh = True

    def values(self) -> tuple[Tensor, Tensor]:
        """Return sums [K, D] and weights [K] in float64."""
        sums, weights = self.sums.double(), self.weights.double()
        whole = sums[0] if len(sums) == 1 else sums[0] + sums[1] / FINE.value
        return whole / self.quanta, (weights[0] + weights[1] / FINE.value) / self.weight_quanta


def power_above(value: Tensor, bits: int) -> Tensor:
    """Return the largest power of two m with value * m <= 2^bits; one for zero."""
    exponent = torch.frexp(value).exponent  # value < 2^exponent
    limit = 1000 if value.dtype == torch.float64 else 120
    power = power_of_two((bits - exponent).clamp(-limit, limit), value.dtype)
    return torch.where(value > 0, power, torch.ones_like(value))


@triton.jit(do_not_specialize=["n", "k", "fresh"])
def total(
    x_ptr,  # IN [N, D]
    shift_ptr,  # IN [D]
    scale_ptr,  # IN [1]
    rows_ptr,  # IN [K, D] centroids less the shift, times the scale
    weight_ptr,  # IN [N]
    nearest_ptr,  # IN [N]
    labels_ptr,  # IN/OUT [N]: labels of the pass before, then `nearest`
    quanta_ptr,  # IN [D]
    weight_quanta_ptr,  # IN [1]
    sums_ptr,  # IN/OUT [LIMBS, K, D]
    weights_ptr,  # IN/OUT [2, K]
    distances_ptr,  # OUT [N]
    inertia_ptr,  # OUT [programs]
    n_changed_ptr,  # IN/OUT [1]
    n,
    k,
    d,
    fresh,  # nonzero: the sums hold no row yet
    SHIFTED: tl.constexpr,
    WEIGHTED: tl.constexpr,
    UPDATE: tl.constexpr,
    MEASURE: tl.constexpr,  # inertia is wanted
    DISTANCES: tl.constexpr,
    LIMBS: tl.constexpr,
    BN: tl.constexpr,
    BD: tl.constexpr,
):
    """Move rows to their new clusters, count them and sum squared distances."""
    rows = tl.program_id(0).to(tl.int64) * BN + tl.arange(0, BN)
    live = rows < n
    old = tl.load(labels_ptr + rows, mask=live, other=0)
    new = tl.load(nearest_ptr + rows, mask=live, other=0)
    changed = live & (old != new)
    tl.store(labels_ptr + rows, new, mask=live)
    tl.atomic_add(n_changed_ptr, tl.sum(changed.to(tl.int64), axis=0), sem="relaxed")
    known = (tl.zeros([BN], tl.int32) + fresh) == 0
    enter = live & (changed | (known == 0))
    leave = changed & known & (old >= 0)
    scale = tl.load(scale_ptr)
    unscale = 1.0 / scale.to(tl.float64)
    weight = tl.full([BN], 1.0, tl.float64)
    if WEIGHTED:
        weight = tl.load(weight_ptr + rows, mask=live, other=0.0).to(tl.float64)
    if UPDATE:
        ones, parts = _quanta(weight * tl.load(weight_quanta_ptr))  # [BN]
        _move(weights_ptr, new, enter, ones)
        _move(weights_ptr, old, leave, -ones)
        if WEIGHTED:
            _move(weights_ptr + k, new, enter, parts)
            _move(weights_ptr + k, old, leave, -parts)
    squared = tl.zeros([BN], x_ptr.dtype.element_ty)
    for d0 in range(0, d, BD):
        columns = d0 + tl.arange(0, BD)
        here = (columns < d)[None, :]
        seen = live if MEASURE else enter
        x = rows_at(x_ptr, shift_ptr, scale, rows, seen, columns, d, SHIFTED)  # [BN, BD]
        target = new[:, None].to(tl.int64) * d + columns[None, :]
        if MEASURE:
            c = tl.load(rows_ptr + target, mask=live[:, None] & here, other=0.0)
            squared += tl.sum((x - c) * (x - c), axis=1)
        if UPDATE:
            quanta = tl.load(quanta_ptr + columns, mask=columns < d, other=0.0) * unscale
            whole, rest = _quanta(x.to(tl.float64) * quanta[None, :] * weight[:, None])
            source = old[:, None].to(tl.int64) * d + columns[None, :]
            _move(sums_ptr, target, enter[:, None] & here, whole)
            _move(sums_ptr, source, leave[:, None] & here, -whole)
            if LIMBS == 2:
                size = k.to(tl.int64) * d
                _move(sums_ptr + size, target, enter[:, None] & here, rest)
                _move(sums_ptr + size, source, leave[:, None] & here, -rest)
    if MEASURE:
        wide = squared.to(tl.float64) * unscale * unscale
        part = tl.sum(tl.where(live, wide * weight, 0.0), axis=0)
        tl.store(inertia_ptr + tl.program_id(0), part)
        if DISTANCES:
            tl.store(distances_ptr + rows, wide.to(distances_ptr.dtype.element_ty), mask=live)


@triton.jit
def _quanta(value):
    """Return value in whole quanta, and what is left in quanta 2^30 times smaller."""
    whole = tl.floor(value + 0.5)
    rest = tl.floor((value - whole) * FINE + 0.5)
    return whole.to(tl.int64), rest.to(tl.int64)


@triton.jit
def _move(to_ptr, offsets, mask, amounts):
    tl.atomic_add(to_ptr + offsets, amounts, mask=mask, sem="relaxed")
