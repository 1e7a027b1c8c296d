"""Reference for `randn`: the formulas, in the longest floating-point type there is."""

import numpy as np

from unsup_fast.kernels._types import Array

MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
WEYL = 0x9E3779B9, 0xBB67AE85
LOWER = np.uint64(0xFFFFFFFF)


def philox(counter: Array, key: tuple[int, int]) -> Array:
    """Return the words of Philox 4x32-10 for counters of words, uint64 [4, ...]."""
    c0, c1, c2, c3 = counter.astype(np.uint64)
    for i in range(10):
        k0, k1 = (np.uint64((key[j] + i * WEYL[j]) % 2**32) for j in range(2))
        even, odd = np.uint64(MULTIPLIERS[0]) * c0, np.uint64(MULTIPLIERS[1]) * c2
        c0, c1 = odd >> np.uint64(32) ^ c1 ^ k0, odd & LOWER
        c2, c3 = even >> np.uint64(32) ^ c3 ^ k1, even & LOWER
    return np.stack([c0, c1, c2, c3])


def box_muller(a: Array, b: Array, bits: int) -> Array:
    """Return two normals [2, ...] of whole numbers of so many bits."""
    half, unit = np.longdouble(0.5), np.longdouble(2.0) ** -bits
    top = np.array((1 << bits) - 1, a.dtype)
    u1, u2 = (a.astype(np.longdouble) + half) * unit, (b.astype(np.longdouble) + half) * unit
    rest = ((top - a).astype(np.longdouble) + half) * unit  # 1 - u1
    with np.errstate(divide="ignore"):
        log_u1 = np.where(a > top // 2, np.log1p(-rest), np.log(u1))
    r, angle = np.sqrt(-2 * log_u1), 8 * np.arctan(np.longdouble(1)) * u2
    return np.stack([r * np.cos(angle), r * np.sin(angle)])


def words(seed: int, stream: int, group: int, groups: int) -> Array:
    """Return the words of a stream from a group on, uint64 [4, groups]."""
    number = np.arange(groups, dtype=np.uint64) + np.uint64(group)
    counter = np.stack([number & LOWER, number >> np.uint64(32), *np.zeros((2, groups), "u8")])
    counter[2:] = [[stream % 2**32], [stream >> 32]]
    return philox(counter, (seed % 2**32, seed >> 32))


def normals(seed: int, stream: int, first: int, count: int, double: bool) -> Array:
    """Return the numbers `first` ... `first` + count - 1 of a stream, longdouble [count]."""
    each = 2 if double else 4
    low = first // each
    w = words(seed, stream, low, (first + count - 1) // each - low + 1)
    if double:
        z = box_muller(w[1] << np.uint64(32) | w[0], w[3] << np.uint64(32) | w[2], 64)
    else:
        z = np.concatenate([box_muller(w[0], w[1], 32), box_muller(w[2], w[3], 32)])
    return z.T.ravel()[first - each * low :][:count]


def rounded(z: Array, dtype: str) -> Array:
    """Return numbers in a type, half types through float32; bfloat16 as its bits."""
    if dtype == "float64":
        return z.astype(np.float64)
    single = z.astype(np.float32)
    if dtype != "bfloat16":
        return single.astype(dtype)
    bits = single.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


def fill(out: Array, dtype: str, seeds: Array, stream: int, first: int, n_threads: int) -> None:
    """Fill an array of numbers, or of their bits, from one seed or one for each sample."""
    if out.size == 0:
        return
    size = out.size // len(seeds)
    rows = [normals(int(s), stream, first, size, dtype == "float64") for s in seeds]
    out[...] = rounded(np.stack(rows), dtype).view(out.dtype).reshape(out.shape)
