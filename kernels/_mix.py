"""Weighted sums of tensors on the CPU, noise among them, in one pass, compiled by Numba.

What the portable `noise` and `denoise` have in common; they import it when they are called. Sums
are in float32, in float64 for float64, and each result is rounded once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from unsup_fast.kernels import _chunks, _layout
from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.randn.numba_ import Normals

SOURCES = 9  # the last of them may be drawn
CLIPPED = SOURCES  # column of the clipped sum
TILE = 1024  # elements whose sums wait in cache
MOST = 1 << 16  # elements that a thread takes at a time
LEAST = 1 << 15  # elements that a thread is worth starting for


class Weights(NamedTuple):
    """What each output takes of the sources."""

    of: Array
    """float64 [S, outputs + 1, SOURCES + 1], S the number of samples, or 1 for all of them. The
    last row is that of the clipped sum, the last column what outputs take of it."""
    bounds: Array | None
    """[S]: the sum of the last row is clipped to +- it; None if there is no such sum."""
    divided: bool
    """Whether the clipped sum is divided by its bound."""


class Draw(NamedTuple):
    """Noise to draw for the last source."""

    seed: int | None
    """Signed; None if each sample has its own."""
    seeds: Tensor | None
    stream: int
    """Signed."""


class Flat:
    """Tensors [B, ...] as rows of elements [B * n] in one order, those of outputs to be written.

    Channels-last tensors keep their order where all have it and nothing is drawn; otherwise the
    order is row-major, by a copy where that is needed.
    """

    def __init__(
        self, sources: Sequence[Tensor | None], outs: Sequence[Tensor | None], drawn: bool
    ) -> None:
        present = [tensor for tensor in (*sources, *outs) if tensor is not None]
        self._n = present[0].numel() // max(1, len(present[0]))
        self._dtype = torch.float64 if present[0].dtype == torch.float64 else torch.float32
        orders = [_layout.tensor_layout(tensor, self._n) for tensor in present]
        self._last = not drawn and all(order is not None and order[2] for order in orders)
        self.sources = [None if tensor is None else self._row(tensor) for tensor in sources]
        self._copies: list[tuple[Tensor, Tensor]] = []
        self.outs = [self._out(tensor) for tensor in outs if tensor is not None]

    def _ordered(self, tensor: Tensor) -> Tensor:
        return tensor.movedim(1, -1) if self._last else tensor

    def _row(self, tensor: Tensor) -> Array:
        if tensor.numel() > 0 and tensor.data_ptr() == 0:
            raise ValueError(f"a tensor of shape {tuple(tensor.shape)} has no memory")
        dense = self._ordered(tensor.detach().resolve_neg()).to(self._dtype).contiguous()
        row: Array = dense.view(-1).numpy()
        return row

    def _out(self, tensor: Tensor) -> Array:
        ordered = self._ordered(tensor.detach())
        if ordered.dtype == self._dtype and ordered.is_contiguous() and not ordered.is_neg():
            return self._row(tensor)
        room = torch.empty(ordered.shape, dtype=self._dtype)
        self._copies.append((ordered, room))
        row: Array = room.view(-1).numpy()
        return row

    def copy_back(self) -> None:
        """Copy to the outputs what could not be written to them."""
        for tensor, room in self._copies:
            tensor.copy_(room)


def run(flat: Flat, weights: Weights, samples: int, draw: Draw | None, n_threads: int) -> None:
    """Fill the outputs of `flat`."""
    outs, size = flat.outs, flat.outs[0].size
    if size == 0:
        return
    dtype = outs[0].dtype
    with np.errstate(over="ignore"):  # a large weight may be infinite in float32
        of = weights.of.astype(dtype)
    clipped = weights.bounds is not None
    bounds = np.zeros(len(of), dtype) if weights.bounds is None else weights.bounds.astype(dtype)
    normals = None if draw is None else _normals(draw, size, samples, dtype)
    missing = np.empty(0, dtype)
    n_threads = max(1, min(n_threads, size // LEAST))
    per_thread = -(-size // n_threads)
    chunk = min(MOST, -(-per_thread // TILE) * TILE)

    def work(number: int) -> None:
        begin, end = number * chunk, min(size, (number + 1) * chunk)
        parts = [missing if row is None else row[begin:end] for row in flat.sources]
        if normals is not None:
            parts[-1] = np.empty(end - begin, dtype)
            normals.draw(begin, parts[-1])
        to = [row[begin:end] for row in outs]
        to += to[:1] * (3 - len(to))
        mix(tuple(parts), tuple(to), of, bounds, clipped, weights.divided, size // samples, begin)

    _chunks.run(work, -(-size // chunk), n_threads)


def _normals(draw: Draw, size: int, samples: int, dtype: np.dtype[np.floating]) -> Normals:
    if draw.seeds is not None:
        seeds, each = draw.seeds.contiguous().numpy(), size // samples
    else:
        seeds, each = np.array([draw.seed], np.int64), size
    return Normals(seeds.view(np.uint64), draw.stream % (1 << 64), 0, each, dtype.type)


@jit(fastmath={"contract"})
def mix(
    sources: tuple[Array, ...],
    outs: tuple[Array, ...],
    weights: Array,
    bounds: Array,
    clipped: bool,
    divided: bool,
    size: int,
    begin: int,
) -> None:
    """Fill the outputs, elements from `begin` on of samples of `size` elements.

    weights [S, outputs + 1, SOURCES + 1] and bounds [S] are those of `Weights`. A source with a
    weight of zero is not read, so that infinity adds no NaN.
    """
    n_outs = weights.shape[1] - 1
    count = len(outs[0])
    sums = np.empty((n_outs + 1, TILE), outs[0].dtype)
    live = np.empty(SOURCES + 1, np.int64)
    at = 0
    while at < count:
        past = min(count, at + TILE)
        sample = 0
        if len(weights) > 1:
            sample = (begin + at) // size
            past = min(past, (sample + 1) * size - begin)
        for r in range(n_outs + 1):
            n_live = 0
            for s in range(SOURCES):
                if weights[sample, r, s] != 0:
                    live[n_live] = s
                    n_live += 1
            total = sums[r, : past - at]
            if n_live % 2 == 1:
                start_sum(total, sources[live[0]][at:past], weights[sample, r, live[0]])
            else:
                total[:] = 0
            for s in range(n_live % 2, n_live, 2):
                add_two(
                    total,
                    sources[live[s]][at:past],
                    weights[sample, r, live[s]],
                    sources[live[s + 1]][at:past],
                    weights[sample, r, live[s + 1]],
                )
        if clipped:
            clip(sums[n_outs, : past - at], bounds[sample], divided)
        for r in range(n_outs):
            w = weights[sample, r, CLIPPED] if clipped else weights.dtype.type(0)
            finish(outs[r][at:past], sums[r], w, sums[n_outs])
        at = past


@jit(fastmath={"contract"})
def start_sum(total: Array, source: Array, w: np.floating) -> None:
    """Fill `total` with w times a source."""
    for i in range(len(total)):
        total[i] = w * source[i]


@jit(fastmath={"contract"})
def add_two(total: Array, a: Array, w_a: np.floating, b: Array, w_b: np.floating) -> None:
    """Add two sources, weighted, to `total`."""
    for i in range(len(total)):
        total[i] += w_a * a[i] + w_b * b[i]


@jit()
def clip(x: Array, bound: np.floating, divided: bool) -> None:
    """Clip x to +- a bound, and divide it by the bound if asked for; NaN stays."""
    for i in range(len(x)):
        value = x[i]
        value = bound if value > bound else value
        x[i] = -bound if value < -bound else value
    if divided:
        for i in range(len(x)):
            x[i] /= bound


@jit(fastmath={"contract"})
def finish(out: Array, total: Array, w: np.floating, clipped: Array) -> None:
    """Fill `out` with a sum and what it takes of the clipped one."""
    if w == 0:
        for i in range(len(out)):
            out[i] = total[i]
    else:
        for i in range(len(out)):
            out[i] = total[i] + w * clipped[i]
