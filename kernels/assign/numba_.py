"""The portable `assign`: products by NumPy's BLAS, the rest compiled by Numba.

The formulas, types, error bound and tie rule are those of csrc/assign/assign.hpp. Rows of few
columns are scored by a compiled loop, others by blocks through the BLAS, whose scores [centroids,
rows] have the rows in the lanes of vectors for the comparison. Blocks and panels are filled up to
whole tiles of the BLAS, so that all pairs go through one kernel of it and equal centroids have
equal scores. A chunk's sums are its own and are merged in order.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from threading import Lock
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from unsup_fast.kernels import _chunks, threads
from unsup_fast.kernels._types import Array
from unsup_fast.kernels.assign import numba_csr, numba_rows

NARROW = 32  # columns up to which loops are as fast as the BLAS
PANEL = 256  # centroids of a product
SCORES, VALUES = 1 << 16, 1 << 18  # scores, and values of rows, of a product


class Centroids(NamedTuple):
    """Centroids less the shift, times a power of two that brings the largest value near one."""

    rows: Array
    """[K, D]"""
    half_norm: Array
    """[K]: -|c|^2 / 2"""
    shift: Array
    """[D], zeros if there is none."""
    scale: np.floating
    """The power of two, a scalar of X's type."""


class Padded(NamedTuple):
    """Centroids filled up to whole tiles of the product that scores dense rows against them."""

    rows: Array
    """[K', D'], the rest zeros."""
    half_norm: Array
    """[K'], the rest minus infinity."""
    narrow: bool
    """Whether loops score them, rather than the BLAS."""
    panel: int
    """Centroids of a product."""
    block: int
    """Rows of a product."""


class Part(NamedTuple):
    """What a chunk of rows adds to the result."""

    sums: Array
    """[K, D], or [0, D] without update."""
    weights: Array
    """[K], or [0] without update."""
    touched: Array
    """bool [K], or [0]: clusters that have rows of the chunk."""
    inertia: float
    changed: int


def assign(
    X: Array | sp.csr_array,
    centers: Array,
    sample_weight: Array | None,
    shift: Array | None,
    labels: Array,
    sums: Array | None,
    weights: Array | None,
    distances: Array | None,
    inertia: bool,
    labels_current: bool,
    n_threads: int,
) -> tuple[float, int]:
    """Fill labels, sums, weights and distances; return inertia (or zero) and changed labels."""
    n = X.shape[0]
    k, d = centers.shape
    if labels_current and n > 0 and not 0 <= labels.min() <= labels.max() < k:
        raise ValueError(
            f"labels are out of range: they run from {labels.min()} to {labels.max()} and must be "
            f"from 0 to {k - 1}"
        )
    c = scaled(centers, shift)
    add: Callable[..., float]
    if isinstance(X, np.ndarray):
        (label, blas), cost = _dense(X, c, labels), k * d
        add = functools.partial(numba_rows.add_rows, X)
    else:
        label, blas, cost = _csr(X, c, labels), False, k * (1 + X.nnz // max(1, n))
        add = functools.partial(numba_csr.add_rows, X.data, X.indices, X.indptr)
    none = np.empty(0, dtype=centers.dtype)
    weight = none if sample_weight is None else sample_weight
    to = none if distances is None else distances
    unscale = 1.0 / float(c.scale)
    size = k if sums is not None else 0
    total_inertia, total_changed = 0.0, 0

    def merge(part: Part) -> None:
        nonlocal total_inertia, total_changed
        total_inertia += part.inertia
        total_changed += part.changed
        if sums is not None and weights is not None:
            numba_rows.merge(sums, weights, part.sums, part.weights, part.touched)

    step = chunk_rows(cost)
    in_order = _chunks.InOrder(merge)

    def work(chunk: int) -> None:
        begin, end = chunk * step, min(n, (chunk + 1) * step)
        part_sums, part_weights = np.zeros((size, d)), np.zeros(size)
        touched = np.zeros(size, dtype=np.bool_)
        value, changed = 0.0, 0
        for first, past, new in [(begin, end, 0)] if labels_current else label(begin, end):
            changed += new
            if inertia:
                value += add(c.rows, c.half_norm, c.shift, c.scale, weight, labels, first,
                             past, part_sums, part_weights, touched, to)  # fmt: skip
        in_order.put(chunk, Part(part_sums, part_weights, touched, value, changed))

    with one_thread_in_blas() if blas else contextlib.nullcontext():
        _chunks.run(work, -(-n // step), n_threads)
    return total_inertia * unscale * unscale, total_changed


def chunk_rows(cost: int) -> int:
    """Return how many rows enter the sums together, for so many multiply-adds a row."""
    if cost * 2048 > 1 << 33:
        return max(256, (1 << 33) // cost)
    return min(1 << 16, max(2048, (1 << 25) // (cost + 64)))


def scaled(centers: Array, shift: Array | None) -> Centroids:
    """Return the centroids as they are scored."""
    dtype = centers.dtype
    shift = np.zeros(centers.shape[1], dtype) if shift is None else shift
    rows = centers - shift  # [K, D]
    largest = np.abs(rows).max()
    scale = dtype.type(1)
    if largest > 0 and np.isfinite(largest):
        exponent = max(np.frexp(largest)[1] - 1, 8 - np.finfo(dtype).maxexp)
        scale = np.ldexp(dtype.type(1), -exponent)
    rows *= scale
    half_norm = -0.5 * np.einsum("kd,kd->k", rows, rows, dtype=np.float64)
    return Centroids(rows=rows, half_norm=half_norm.astype(dtype), shift=shift, scale=scale)


Label = Callable[[int, int], Iterator[tuple[int, int, int]]]
"""Labels the rows from `begin` to `end`; yields the bounds of each block when it is labelled, and
how many of its labels are new."""


def _csr(X: sp.csr_array, c: Centroids, labels: Array) -> Label:
    _check_csr(X)
    columns = np.ascontiguousarray(c.rows.T)  # [D, K]

    def label(begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        changed = numba_csr.label(
            X.data, X.indices, X.indptr, columns, c.half_norm, c.scale, begin, end, labels
        )
        yield begin, end, changed

    return label


def _check_csr(X: sp.csr_array) -> None:
    indptr, indices = X.indptr, X.indices
    lengths = np.diff(indptr)
    if indptr[0] != 0 or (lengths < 0).any() or indptr[-1] > len(indices):
        raise ValueError("X.indptr is out of range; it must rise from 0 to the length of X.indices")
    if len(indices) > 0 and not 0 <= indices.min() <= indices.max() < X.shape[1]:
        raise ValueError(
            f"X.indices are out of range; they must be from 0 to {X.shape[1] - 1}, got "
            f"{indices.min()} to {indices.max()}"
        )


def padded(c: Centroids) -> Padded:
    """Return centroids as dense rows are scored against them."""
    k, d = c.rows.shape
    narrow = d <= NARROW
    rows = np.zeros((_up(k, 4), _up(d, 4) if narrow else d), c.rows.dtype)  # [K', D']
    rows[:k, :d] = c.rows
    half_norm = np.full(len(rows), -np.inf, rows.dtype)
    half_norm[:k] = c.half_norm
    panel = min(PANEL, len(rows))
    block = max(128, min(1024, SCORES // panel, VALUES // d // 16 * 16))
    if narrow:
        block = numba_rows.NARROW_BLOCK
    return Padded(rows=rows, half_norm=half_norm, narrow=narrow, panel=panel, block=block)


Scored = Iterator[tuple[int, int, Iterator[tuple[int, Array]]]]
"""Bounds of each block of rows, and the products [P, B] with each panel of centroids, with the
index of its first one; -|c|^2 / 2 is still to be added to these."""


def scored(X: Array, c: Centroids, to: Padded, begin: int, end: int) -> Scored:
    """Yield the rows from `begin` to `end` block by block; see `Scored`.

    Products lie in memory that the next ones overwrite, and have columns past the end of the rows.
    """
    d, dtype = X.shape[1], X.dtype
    room = to.block if to.narrow else min(to.block, _up(end - begin, 16))
    x = np.zeros((to.rows.shape[1], room) if to.narrow else (room, d), dtype)  # [D', B] or [B, D]
    scores = np.empty((to.panel, room), dtype)

    def panels() -> Iterator[tuple[int, Array]]:
        for first in range(0, len(to.rows), to.panel):
            some = to.rows[first : first + to.panel]
            out = scores[: len(some)]  # [P, B]
            if to.narrow:
                numba_rows.products(x, some, out)
            else:
                np.matmul(some, x.T, out=out)
            yield first, out

    for i in range(begin, end, room):
        past = min(end, i + room)
        if to.narrow:
            numba_rows.transpose(X, c.shift, c.scale, i, past, x)
        else:
            numba_rows.pack(X, c.shift, c.scale, i, past, x)
        yield i, past, panels()


def _dense(X: Array, c: Centroids, labels: Array) -> tuple[Label, bool]:
    """Return a function that labels rows, and whether it needs the BLAS."""
    to = padded(c)

    def label_narrow(begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        changed = numba_rows.label_narrow(
            X, to.rows, to.half_norm, c.shift, c.scale, begin, end, labels
        )
        yield begin, end, changed

    def label_wide(begin: int, end: int) -> Iterator[tuple[int, int, int]]:
        best, index = np.empty(to.block, X.dtype), np.empty(to.block, np.int32)
        for i, past, panels in scored(X, c, to, begin, end):
            numba_rows.start(best, index)
            for first, out in panels:
                numba_rows.keep_best(out, to.half_norm, first, best, index)
            yield i, past, numba_rows.relabel(index, i, past, labels)

    return (label_narrow, False) if to.narrow else (label_wide, True)


def _up(value: int, to: int) -> int:
    return -(-value // to) * to


_in_blas = Lock()
_users, _limit = 0, contextlib.ExitStack()


@contextlib.contextmanager
def one_thread_in_blas() -> Iterator[None]:
    """Run the BLAS in one thread until the last of the calls that overlap has ended."""
    global _users
    with _in_blas:
        if _users == 0:
            _limit.enter_context(threads.one_in_blas())
        _users += 1
    try:
        yield
    finally:
        with _in_blas:
            _users -= 1
            if _users == 0:
                _limit.close()
