"""Test which rows lie in balls about others, as in float64, at the speed of a matrix product.

A product bounds a squared distance from both sides (`_rows.products`). Where that decides nothing,
as for pairs near the k-th neighbour, the difference of the rows themselves is squared and summed up
in float64. A block in which float32 leaves much undecided, as with tight distant clusters, is
repeated in float64.
"""

from hashlib import blake2b
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from unsup_fast._rows import products
from unsup_fast._rows.products import Bounds, squared_lengths, toward
from unsup_fast._types import Array
from unsup_fast.kernels.moments import moments

SIDE = 1024  # rows and columns of a block of products: 4 MiB in float32
MUCH = 64  # one in so many pairs of a block is undecided: float64 is worth it
DIRECT = 1 << 16  # elements of differences that are computed with at a time: 512 KiB
TYPES = (np.float32, np.float64)


class Rows(NamedTuple):
    """A set of rows, with the values that are computed once for it."""

    X: Array
    """[N, D], as passed"""
    names: Array
    """int64 [N]: equal for equal rows"""
    near: Array
    """float32 [N, D]: (X - origin) * scale, within [-1, 1]"""
    norms: Array
    """float64 [N]: squares of `near`, summed up"""
    origin: Array
    """float64 [D]"""
    scale: float
    """A power of two."""


def prepared(*blocks: Array) -> list[Rows]:
    """Return sets of rows about one origin, in one scale.

    Raises
    ------
    ValueError
        If they span more than float64 can hold.
    """
    statistics = [moments(X) for X in blocks]
    origin = statistics[0].mean  # [D]
    with np.errstate(over="ignore", invalid="ignore"):
        extent = max(float(s.max_abs_about(origin).max()) for s in statistics)
    if not np.isfinite(2 * extent):
        raise ValueError("features span more than float64 can hold; divide them by a constant")
    scale = 2.0 ** -min(max(np.frexp(extent)[1], -1000), 1000)
    names: dict[bytes, int] = {}
    return [_prepared(X, names, origin, scale) for X in blocks]


def _prepared(X: Array, names: dict[bytes, int], origin: Array, scale: float) -> Rows:
    near, norms = np.empty(X.shape, np.float32), np.empty(len(X))
    step = max(1, DIRECT // X.shape[1])
    for start in range(0, len(X), step):
        part = slice(start, start + step)
        near[part] = (X[part] - origin) * scale
        norms[part] = squared_lengths(near[part].astype(np.float64))
    keys = (blake2b(row, digest_size=16).digest() for row in X)
    named = np.array([names.setdefault(key, len(names)) for key in keys], dtype=np.int64)
    return Rows(X, named, near, norms, origin, scale)


def bounds(P: Rows, rows: slice, Q: Rows, columns: slice, dtype: products.Float) -> Bounds:
    """Return bounds of the squared distances, times scale^2, from products in a type."""
    dtype = products.type_for(P.near.shape[1], dtype)
    z, n = _rounded(P, rows, dtype)  # [R, D], [R]
    w, m = (z, n) if P is Q and rows == columns else _rounded(Q, columns, dtype)
    return products.bounds(z, n, w, m)


def _rounded(P: Rows, part: slice, dtype: products.Float) -> tuple[Array, Array]:
    """Return rows about the origin in a type, and their squared lengths in float64."""
    if dtype == np.float32:
        return P.near[part], P.norms[part]
    wide = (P.X[part] - P.origin) * P.scale
    return wide, squared_lengths(wide)


def distances(P: Rows, rows: Array, Q: Rows, columns: Array) -> Array:
    """Return the squared distances, times scale^2, of pairs of rows, from their differences."""
    squares = np.zeros(len(rows))
    unequal = np.flatnonzero(P.names[rows] != Q.names[columns])
    step = max(1, DIRECT // P.X.shape[1])
    for start in range(0, len(unequal), step):
        pairs = unequal[start : start + step]
        x, y = (A.X[k[pairs]] for A, k in ((P, rows), (Q, columns)))
        squares[pairs] = squared_lengths(np.subtract(x, y, dtype=np.float64) * P.scale)
    return squares


def parts(n_rows: int, least: int = 1) -> list[slice]:
    """Return equal blocks of some `SIDE` rows, and of at least so many."""
    n_blocks = max(1, n_rows // max(SIDE, least))
    edges = [i * n_rows // n_blocks for i in range(n_blocks + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def inside(
    P: Rows, rows: slice, Q: Rows, columns: slice, limits: tuple[Array, Array]
) -> list[tuple[Array, Array]]:
    """Return which pairs are within limits of the squared distance, one for each side's balls.

    Parameters
    ----------
    P, Q : Rows
    rows, columns : slice
        The rows and columns of a block.
    limits : tuple of ndarrays of shape (N,), (M,), float64
        Squared radii of the balls about the rows, and about the columns, times scale^2.

    Returns
    -------
    list of two pairs of ndarrays of shape (R, C), bool
        Masks for the balls about the rows, and about the columns. The first of a pair is of closed
        balls, the second of open ones, which still hold what equals their centre.
    """
    block = bounds(P, rows, Q, columns, np.float32)
    masks = []
    for limit in (limits[0][rows, None], limits[1][None, columns]):
        sure, left = _decided(block, limit)
        if np.count_nonzero(left) * MUCH > left.size:
            sure, left = _decided(bounds(P, rows, Q, columns, np.float64), limit)
        i, j = np.nonzero(left)
        exact = distances(P, i + rows.start, Q, j + columns.start)
        edge = np.broadcast_to(limit, left.shape)[i, j]
        closed, opened = sure, sure.copy()
        closed[i, j] = exact <= edge
        opened[i, j] = (exact < edge) | (exact == 0)
        masks.append((closed, opened))
    return masks


def _decided(block: Bounds, limit: Array) -> tuple[Array, Array]:
    """Return which pairs are surely below the limit, and which may be."""
    low, rows, columns = block.low, block.rows[:, None], block.columns.astype(block.low.dtype)
    possible = low <= toward(limit, np.inf, low.dtype)
    if not possible.any():
        return possible, possible.copy()
    sure = low + columns < toward(limit - rows, -np.inf, low.dtype)
    return sure, possible & ~sure
