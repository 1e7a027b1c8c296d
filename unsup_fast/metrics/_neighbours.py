"""Distances to the k-th nearest other row, in blocks of pairs, each computed once.

Each row's own block bounds the distance from above. Pairs of later blocks that are not below the
bound are dropped, and the bound falls as more pairs are seen. At the end little more than k pairs
remain for each row, whose distances are computed from the differences of the rows.
"""

from collections.abc import Generator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from unsup_fast._parallel import in_order
from unsup_fast._rows.products import Bounds
from unsup_fast._types import Array
from unsup_fast.metrics._balls import MUCH, TYPES, Rows, bounds, distances, parts


class Pairs(NamedTuple):
    """Rows and others that may be among their k nearest, with bounds of the squared distances."""

    row: Array
    other: Array
    low: Array
    high: Array


def n_blocks(n_rows: int, k: int) -> int:
    """Return the number of blocks that `radii` computes."""
    n = len(parts(n_rows, k + 1))
    return n * (n + 1) // 2


def radii(P: Rows, k: int, n_threads: int | None) -> Generator[Array | None, None, None]:
    """Yield None for each block done, then the squared distances to the k-th other row, [N].

    The distances are times scale^2.

    Parameters
    ----------
    P : Rows
    k : int
        Less than N.
    n_threads : int, optional
    """
    n_rows = len(P.X)
    blocks = parts(n_rows, k + 1)
    diagonals = [list(zip(blocks, blocks[o:], strict=False)) for o in range(len(blocks))]
    limit = np.full(n_rows, np.inf)  # [N]
    pairs = Pairs(*(np.empty(0, t) for t in (np.int64, np.int64, float, float)))
    candidates = in_order(
        lambda tile: _near(P, *tile, limit, k),
        (tile for diagonal in diagonals for tile in diagonal),
        n_threads,
        "metrics",
        one_in_blas=True,
    )
    with closing(candidates):
        for diagonal in diagonals:
            new = [pairs]
            for _ in diagonal:
                new += next(candidates)
                yield None
            pairs = _nearest(_joined(new), k, limit)
    exact = distances(P, pairs.row, P, pairs.other)
    order = np.lexsort((exact, pairs.row))
    starts = np.searchsorted(pairs.row[order], np.arange(n_rows))
    yield exact[order][starts + k - 1]


def _near(P: Rows, rows: slice, columns: slice, limit: Array, k: int) -> list[Pairs]:
    """Return the pairs of a block that may be among the k nearest of a row, or of a column."""
    own = rows == columns
    for dtype in TYPES:
        block = bounds(P, rows, P, columns, dtype)
        if own:
            np.fill_diagonal(block.low, np.inf)
        candidates = [_below(block, rows, columns, limit[rows], k if own else 0)]
        if not own:
            turned = Bounds(block.low.T, block.columns, block.rows)
            candidates.append(_below(turned, columns, rows, limit[columns], 0))
        usual = 4 * k * len(block.low) + block.low.size // MUCH
        if sum(len(pairs.row) for pairs in candidates) <= usual:
            return candidates
    return [_settled(P, pairs, k) for pairs in candidates]


def _below(block: Bounds, rows: slice, columns: slice, limit: Array, k: int) -> Pairs:
    """Return the pairs not above the limits of the rows [R]; with k, nor above the k-th of them."""
    low, above, right = block.low, block.rows, block.columns
    if k:
        high = low + right.astype(low.dtype)  # [R, C]
        high.partition(k - 1, axis=1)
        limit = np.minimum(limit, high[:, k - 1] + above * (1 + 1e-6))
    possible = low <= np.nextafter(limit.astype(low.dtype), low.dtype.type(np.inf))[:, None]
    i, j = np.nonzero(possible)
    lowest = low[i, j].astype(np.float64)
    return Pairs(i + rows.start, j + columns.start, lowest, lowest + above[i] + right[j])


def _settled(P: Rows, pairs: Pairs, k: int) -> Pairs:
    """Return the k nearest pairs of each row, by their distances."""
    exact = distances(P, pairs.row, P, pairs.other)
    order = np.lexsort((exact, pairs.row))
    row = pairs.row[order]
    first = order[_rank(row) < k]
    return Pairs(pairs.row[first], pairs.other[first], exact[first], exact[first])


def _nearest(pairs: Pairs, k: int, limit: Array) -> Pairs:
    """Lower the limits [N] to the k-th upper bound; return the pairs that are not above."""
    order = np.lexsort((pairs.high, pairs.row))
    row = pairs.row[order]
    last = order[_rank(row) == k - 1]
    limit[pairs.row[last]] = pairs.high[last]
    keep = pairs.low <= limit[pairs.row]
    return Pairs(*(array[keep] for array in pairs))


def _rank(row: Array) -> Array:
    """Return the index of each entry of sorted rows among the equal ones."""
    return np.arange(len(row)) - np.searchsorted(row, row)


def _joined(pairs: list[Pairs]) -> Pairs:
    return Pairs(*(np.concatenate(arrays) for arrays in zip(*pairs, strict=True)))
