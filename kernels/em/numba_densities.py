"""Compiled loops of the portable E-step: log densities of tiles of rows, then responsibilities.

A tile is transposed, so that rows stand in the lanes. Rows past the end are zeros, so that no loop
has a remainder; columns are filled up with zeros to a multiple of 4.
"""

import numpy as np

from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array

LEAST = 32  # rows of the smallest tile; the others are multiples
TILE = 4096  # values of a tile


@jit()
def tile_rows(depth: int) -> int:
    """Return how many rows of so many columns make a tile."""
    return min(256, max(LEAST, TILE // depth // LEAST * LEAST))


@jit()
def load(X: Array, scale: np.floating, origin: Array, begin: int, rows: int, tile: Array) -> None:
    """Fill a tile [D', rows of the tile] with scaled rows of X less the origin."""
    for j in range(X.shape[1]):
        from_j = origin[j]
        for i in range(rows):
            tile[j, i] = X[begin + i, j] * scale - from_j
        for i in range(rows, tile.shape[1]):
            tile[j, i] = 0


@jit(fastmath={"contract"})
def project(gap: Array, factor: Array, start: Array, j: int, z: Array) -> None:
    """Fill z [rows] with column j of gap^T U, `factor` [D', D'] being U transposed."""
    rows = len(z)
    from_j = start[j]
    for i in range(rows):
        z[i] = from_j
    depth = j // 4 * 4 + 4
    l = 0  # noqa: E741
    while l + 8 <= depth:
        u0, u1, u2, u3 = factor[j, l], factor[j, l + 1], factor[j, l + 2], factor[j, l + 3]
        u4, u5, u6, u7 = factor[j, l + 4], factor[j, l + 5], factor[j, l + 6], factor[j, l + 7]
        for i in range(rows):
            near = gap[l, i] * u0 + gap[l + 1, i] * u1 + gap[l + 2, i] * u2 + gap[l + 3, i] * u3
            far = gap[l + 4, i] * u4 + gap[l + 5, i] * u5 + gap[l + 6, i] * u6 + gap[l + 7, i] * u7
            z[i] += near + far
        l += 8  # noqa: E741
    if l < depth:
        u0, u1, u2, u3 = factor[j, l], factor[j, l + 1], factor[j, l + 2], factor[j, l + 3]
        for i in range(rows):
            z[i] += gap[l, i] * u0 + gap[l + 1, i] * u1 + gap[l + 2, i] * u2 + gap[l + 3, i] * u3


@jit()
def put_density(squares: Array, constant: np.floating, least: np.floating, to: Array) -> None:
    """Write constant - squares / 2, [rows]; what is not a number has overflowed before."""
    half = squares.dtype.type(0.5)
    lost = squares.dtype.type(-np.inf)
    for i in range(len(squares)):
        value = constant - squares[i] * half
        to[i] = value if value >= least else lost


@jit(fastmath={"contract"})
def full(
    X: Array,
    scale: np.floating,
    high: Array,
    factors: Array,
    start: Array,
    constant: Array,
    begin: int,
    end: int,
    first: int,
    past: int,
    densities: Array,
) -> None:
    """Fill densities [K, B] of the components from `first` to `past`."""
    d, depth = X.shape[1], factors.shape[1]
    most = tile_rows(depth)
    least = np.finfo(X.dtype).min
    nothing = np.zeros(d, X.dtype)
    for t in range(begin, end, most):
        at = t - begin
        room = min(most, densities.shape[1] - at)
        tile, gap = np.zeros((depth, room), X.dtype), np.zeros((depth, room), X.dtype)
        z, squares = np.empty(room, X.dtype), np.empty(room, X.dtype)
        load(X, scale, nothing, t, min(room, end - t), tile)
        for k in range(first, past):
            factor, from_k = factors[k], start[k]
            for j in range(d):
                mean = high[k, j]
                for i in range(room):
                    gap[j, i] = tile[j, i] - mean
            for i in range(room):
                squares[i] = 0
            for j in range(d):
                project(gap, factor, from_k, j, z)
                for i in range(room):
                    squares[i] += z[i] * z[i]
            put_density(squares, constant[k], least, densities[k, at : at + room])


@jit(fastmath={"contract"})
def diagonal(
    X: Array,
    scale: np.floating,
    origin: Array,
    factors: Array,
    start: Array,
    tied: bool,
    near: Array,
    diagonals: Array,
    rest: Array,
    constant: Array,
    begin: int,
    end: int,
    densities: Array,
) -> None:
    """Fill densities [K, B] of components with diagonal factors, for `tied` of projected rows."""
    d = X.shape[1]
    depth = factors.shape[1] if tied else d
    most = tile_rows(depth)
    least = np.finfo(X.dtype).min
    for t in range(begin, end, most):
        at = t - begin
        room = min(most, densities.shape[1] - at)
        tile = np.zeros((depth, room), X.dtype)
        squares = np.empty(room, X.dtype)
        load(X, scale, origin, t, min(room, end - t), tile)
        if tied:
            projected = np.zeros((depth, room), X.dtype)
            for j in range(d):
                project(tile, factors[0], start[0], j, projected[j])
            tile = projected
        for k in range(len(near)):
            for i in range(room):
                squares[i] = 0
            for j in range(d):
                mean, factor, low = near[k, j], diagonals[k, j], rest[k, j]
                for i in range(room):
                    z = (tile[j, i] - mean) * factor + low
                    squares[i] += z * z
            put_density(squares, constant[k], least, densities[k, at : at + room])


@jit(fastmath={"contract"})
def exp_negative_32(x: np.float32) -> np.float32:
    """Return exp(x) for x <= 0, zero below the smallest normal number: Taylor's series."""
    lowest = np.float32(-87.33654)
    inside = x if x > lowest else lowest
    magic = np.float32(12582912.0)  # 1.5 * 2^23
    shifted = inside * np.float32(1.4426950408889634) + magic
    n = shifted - magic
    rest = (inside - n * np.float32(0.693359375)) - n * np.float32(-2.1219444005469057e-4)
    series = np.float32(1 / 5040)
    series = series * rest + np.float32(1 / 720)
    series = series * rest + np.float32(1 / 120)
    series = series * rest + np.float32(1 / 24)
    series = series * rest + np.float32(1 / 6)
    series = series * rest + np.float32(1 / 2)
    series = series * rest + np.float32(1)
    series = series * rest + np.float32(1)
    exponent = np.int32(np.int32(n) + np.int32(127))
    value = series * np.int32(exponent << np.int32(23)).view(np.float32)
    return value if x >= lowest else np.float32(0)


@jit()
def exponentials(densities: Array, most: Array, total: Array) -> None:
    """Replace densities [K, B] by exp(l - most); total [B] is their sum over K."""
    for i in range(len(total)):
        total[i] = 0
    for k in range(len(densities)):
        if densities.itemsize == 4:
            for i in range(len(total)):
                single = exp_negative_32(np.float32(densities[k, i] - most[i]))
                densities[k, i] = single
                total[i] += single
        else:
            for i in range(len(total)):
                gap = densities[k, i] - most[i]
                value = np.exp(gap) if gap >= -708.3964185322641 else 0.0
                densities[k, i] = value
                total[i] += value


@jit(fastmath={"contract"})
def share(
    densities: Array,
    least: Array,
    largest: float,
    weight: Array,
    begin: int,
    end: int,
    weighted: bool,
    log_prob: Array,
    resp: Array,
    labels: Array,
) -> float:
    """Fill log_prob, resp and labels of rows where these are not empty; return sum w log p.

    If `weighted`, densities [K, B] become w r, zero where r is below the least share.
    """
    k, room = densities.shape
    dtype = densities.dtype
    most, total, scale = np.empty(room, dtype), np.empty(room, dtype), np.empty(room, dtype)
    for i in range(room):
        most[i] = -np.inf
    for c in range(k):
        for i in range(room):
            most[i] = densities[c, i] if densities[c, i] > most[i] else most[i]
    if len(labels) > 0:
        for i in range(end - begin):
            best = 0
            for c in range(1, k):
                if densities[c, i] > densities[best, i]:
                    best = c
            labels[begin + i] = best
    for i in range(room):
        most[i] = most[i] if most[i] > -np.inf else dtype.type(0)
    exponentials(densities, most, total)
    log_likelihood = 0.0
    for i in range(room):
        scale[i] = dtype.type(1) / total[i] if total[i] > 0 else dtype.type(0)
        if i < end - begin:
            row = np.float64(most[i]) + np.log(np.float64(total[i])) + largest
            if len(log_prob) > 0:
                log_prob[begin + i] = row
            w = 1.0 if len(weight) == 0 else np.float64(weight[begin + i])
            if w > 0:
                log_likelihood += w * row
    if len(resp) > 0:
        for i in range(end - begin):
            for c in range(k):
                resp[begin + i, c] = densities[c, i] * scale[i]
    if weighted:
        of_row = np.zeros(room, dtype)
        for i in range(end - begin):
            of_row[i] = dtype.type(1) if len(weight) == 0 else weight[begin + i]
        for c in range(k):
            dropped = least[c]
            for i in range(room):
                mine = densities[c, i] * scale[i]
                densities[c, i] = mine * of_row[i] if mine >= dropped else dtype.type(0)
    return log_likelihood
