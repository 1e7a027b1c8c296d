"""Compiled loops of the portable moments: weighted sums and products of gathered rows."""

import numpy as np

from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array

RUN = 256  # rows that are summed in their type before their sum goes on in float64
LANES = 32  # gathered rows are filled up with zeros to a multiple


@jit()
def input_shares(
    resp: Array, labels: Array, weight: Array, from_resp: bool, begin: int, end: int, shares: Array
) -> None:
    """Fill shares [K, B] with w r, r from responsibilities or labels; zero past the end."""
    one = shares.dtype.type(1)
    for k in range(len(shares)):
        for i in range(end - begin):
            w = one if len(weight) == 0 else weight[begin + i]
            if from_resp:
                shares[k, i] = resp[begin + i, k] * w
            else:
                shares[k, i] = w if labels[begin + i] == k else shares.dtype.type(0)
        for i in range(end - begin, shares.shape[1]):
            shares[k, i] = 0


@jit()
def take(share: Array, begin: int, rows: Array, taken: Array) -> int:
    """List the rows from `begin` on with a share above zero, a run at most, and their shares.

    Returns where to go on. rows and taken [RUN] are filled up with zeros after the last;
    their number is in rows[RUN].
    """
    count, i = 0, begin
    while i < len(share) and count < RUN:
        rows[count] = i
        taken[count] = share[i]
        count += share[i] > 0
        i += 1
    rows[RUN] = count
    for c in range(count, RUN):
        rows[c] = 0
        taken[c] = 0
    return i


@jit()
def gather(
    X: Array,
    scale: np.floating,
    origin: Array,
    begin: int,
    rows: Array,
    root: Array,
    y: Array,
) -> None:
    """Fill y [D, RUN] with (x - origin) root of the listed rows, zeros up to a whole LANES."""
    count = rows[RUN]
    padded = (count + LANES - 1) // LANES * LANES
    for j in range(X.shape[1]):
        from_j = origin[j]
        for c in range(count):
            y[j, c] = (X[begin + rows[c], j] * scale - from_j) * root[c]
        for c in range(count, padded):
            y[j, c] = 0


@jit(fastmath={"contract", "reassoc", "nsz"})
def add_products(y: Array, count: int, to: Array) -> None:
    """Add the sums over rows of y_a y_b, a <= b, y [D, RUN], to the upper half of `to` [D, D]."""
    d = len(y)
    padded = (count + LANES - 1) // LANES * LANES
    zero = y.dtype.type(0)
    for a in range(d):
        b = a
        while b + 4 <= d:
            s0, s1, s2, s3 = zero, zero, zero, zero
            for c in range(padded):
                mine = y[a, c]
                s0 += mine * y[b, c]
                s1 += mine * y[b + 1, c]
                s2 += mine * y[b + 2, c]
                s3 += mine * y[b + 3, c]
            to[a, b] += s0
            to[a, b + 1] += s1
            to[a, b + 2] += s2
            to[a, b + 3] += s3
            b += 4
        while b < d:
            s0 = zero
            for c in range(padded):
                s0 += y[a, c] * y[b, c]
            to[a, b] += s0
            b += 1


@jit(fastmath={"contract", "reassoc", "nsz"})
def add_weighted(y: Array, count: int, by: Array, to: Array) -> None:
    """Add the sums over rows of y_j times `by`, y [D, RUN], to `to` [D]."""
    padded = (count + LANES - 1) // LANES * LANES
    for j in range(len(y)):
        total = y.dtype.type(0)
        for c in range(padded):
            total += y[j, c] * by[c]
        to[j] += total


@jit()
def total_of(share: Array) -> float:
    """Return the sum of the shares in float64."""
    total = 0.0
    for i in range(len(share)):
        total += share[i]
    return total


@jit()
def full(
    X: Array,
    scale: np.floating,
    high: Array,
    begin: int,
    end: int,
    first: int,
    past: int,
    shares: Array,
    resp_sums: Array,
    sums: Array,
    second: Array,
) -> None:
    """Add the moments of the components from `first` to `past`: [K], [K, D] and [K, D, D]."""
    dtype = X.dtype
    y = np.empty((X.shape[1], RUN), dtype)
    rows, root = np.empty(RUN + 1, np.int64), np.empty(RUN, dtype)
    for k in range(first, past):
        resp_sums[k] += total_of(shares[k])
        i = 0
        while i < end - begin:
            i = take(shares[k, : end - begin], i, rows, root)
            for c in range(rows[RUN]):
                root[c] = np.sqrt(root[c])
            gather(X, scale, high[k], begin, rows, root, y)
            add_weighted(y, rows[RUN], root, sums[k])
            add_products(y, rows[RUN], second[k])


@jit(fastmath={"contract", "reassoc", "nsz"})
def add_squares(y: Array, count: int, by: Array, to: Array) -> None:
    """Add the sums over rows of y_j^2 times `by`, y [D, RUN], to `to` [D]."""
    padded = (count + LANES - 1) // LANES * LANES
    for j in range(len(y)):
        total = y.dtype.type(0)
        for c in range(padded):
            total += y[j, c] * y[j, c] * by[c]
        to[j] += total


@jit()
def diagonal(
    X: Array,
    scale: np.floating,
    high: Array,
    begin: int,
    end: int,
    shares: Array,
    squares: bool,
    resp_sums: Array,
    sums: Array,
    second: Array,
) -> None:
    """Add the moments of all components, and [K, D, 1] squares if they are wanted."""
    dtype = X.dtype
    y = np.empty((X.shape[1], RUN), dtype)
    rows, taken = np.empty(RUN + 1, np.int64), np.empty(RUN, dtype)
    ones = np.ones(RUN, dtype)
    for k in range(len(shares)):
        resp_sums[k] += total_of(shares[k])
        i = 0
        while i < end - begin:
            i = take(shares[k, : end - begin], i, rows, taken)
            gather(X, scale, high[k], begin, rows, ones, y)
            add_weighted(y, rows[RUN], taken, sums[k])
            if squares:
                add_squares(y, rows[RUN], taken, second[k, :, 0])


@jit()
def tied(
    X: Array,
    scale: np.floating,
    origin: Array,
    begin: int,
    end: int,
    shares: Array,
    second: Array,
) -> None:
    """Add the products of rows about the origin, [1, D, D], in float64."""
    total = np.zeros(end - begin)
    for k in range(len(shares)):
        for i in range(end - begin):
            total[i] += np.float64(shares[k, i])
    y = np.empty((X.shape[1], RUN))
    rows, root = np.empty(RUN + 1, np.int64), np.empty(RUN)
    wide = np.float64(scale)
    i = 0
    while i < end - begin:
        i = take(total, i, rows, root)
        for c in range(rows[RUN]):
            root[c] = np.sqrt(root[c])
        gather(X, wide, origin, begin, rows, root, y)
        add_products(y, rows[RUN], second[0])
