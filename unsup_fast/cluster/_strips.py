"""Pairs of near rows between two strips of a cluster, tile by tile.

A strip holds rows in the order of their distance r to the mean of the cluster. As
|x - y| >= |r_x - r_y|, the rows near a block of it are consecutive. Products in float32 rule out
most of these pairs (`_rows.products`); the values of the others are computed in float64.
"""

from typing import NamedTuple

import numpy as np

from unsup_fast._rows import products
from unsup_fast._rows.products import squared_lengths
from unsup_fast._types import Array
from unsup_fast.cluster._measures import DIRECT, Measure, values_of
from unsup_fast.kernels.moments import Moments

ROWS, COLUMNS = 128, 1024  # of a tile: 512 KiB of products in float32
ROUNDING = 8 * float(np.finfo(np.float32).eps)  # of distances to the mean


class Pairs(NamedTuple):
    """Pairs of rows i < j and their values, sorted by (i, j)."""

    i: Array
    """int64 [M]"""
    j: Array
    """int64 [M]"""
    values: Array
    """float64 [M]: cosine similarities or Euclidean distances"""


class Center(NamedTuple):
    """What the points of a cluster are measured about, and a power of two that scales them."""

    mean: Array
    """float64 [D]"""
    scale: float


class Strip(NamedTuple):
    """Rows of a cluster, by their distance to its center."""

    rows: Array
    """int64 [R]: which rows of the data these are"""
    X: Array
    """[R, D]: the rows, scaled as the measure needs"""
    near: Array
    """[R, D]: (point - mean) * scale, float32 within [-1, 1]"""
    squares: Array
    """float64 [R]: squared lengths of `near`, ascending"""


def center(moments: Moments) -> Center:
    """Return the center of points with these moments."""
    extent = float(moments.max_abs_deviation.max())
    exponent = min(max(int(np.frexp(extent)[1]), -1000), 1000) + 1
    return Center(mean=moments.mean, scale=2.0**-exponent)


def strip(X: Array, points: Array, rows: Array, center: Center) -> Strip:
    """Return rows [R, D], scaled as the measure needs, and their points as a strip."""
    near = np.empty(X.shape, products.type_for(X.shape[1]))
    squares = np.empty(len(X))
    step = max(1, DIRECT // X.shape[1])
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        near[part] = (points[part] - center.mean) * center.scale
        squares[part] = squared_lengths(near[part].astype(np.float64, copy=False))
    order = np.argsort(squares, kind="stable")
    return Strip(rows[order], X[order], near[order], squares[order])


def blocks(P: Strip) -> list[slice]:
    """Return the rows of a strip in blocks of a tile."""
    return [slice(row, min(row + ROWS, len(P.rows))) for row in range(0, len(P.rows), ROWS)]


def near_pairs(measure: Measure, P: Strip, rows: slice, Q: Strip, scale: float) -> Pairs:
    """Return the near pairs of a block of P with rows of Q, which are no nearer to the mean.

    If Q is P, these are the pairs of which the first is in the block and the second after it.
    """
    limit = measure.limit(P.near.shape[1]) * scale
    squared = products.toward(limit * limit, np.inf, P.near.dtype)
    parts = []
    for start in range(rows.start if Q is P else 0, (end := _end(P, rows, Q, limit)), COLUMNS):
        columns = slice(start, min(start + COLUMNS, end))
        tile = products.bounds(P.near[rows], P.squares[rows], Q.near[columns], Q.squares[columns])
        i, j = divmod(np.flatnonzero(tile.low <= squared), tile.low.shape[1])
        i, j = i + rows.start, j + columns.start
        if Q is P:
            later = j > i
            i, j = i[later], j[later]
        values = values_of(measure, P.X, i, Q.X, j)
        near = measure.is_near(values)
        parts.append(Pairs(P.rows[i[near]], Q.rows[j[near]], values[near]))
    return sorted_pairs(parts)


def _end(P: Strip, rows: slice, Q: Strip, limit: float) -> int:
    """Return how many rows of Q, from the first on, may be as near as the limit to a block of P."""
    farthest = float(np.sqrt(P.squares[rows.stop - 1]))
    edge = (farthest + limit) * (1 + ROUNDING) + products.VANISHED
    return int(np.searchsorted(Q.squares, edge * edge, side="right"))


def sorted_pairs(parts: list[Pairs]) -> Pairs:
    """Return all pairs, with i < j, sorted by (i, j)."""
    if not parts:
        return Pairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    one, other, values = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    i, j = np.minimum(one, other), np.maximum(one, other)
    order = np.lexsort((j, i))
    return Pairs(i[order], j[order], values[order])
