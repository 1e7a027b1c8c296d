"""Compiled loops that draw standard normals: the series of csrc/randn/normal-inl.h.

Groups are drawn a block at a time, first their words, then their pairs of normals, each in a loop
of its own whose values lie one after another, which the compiler turns into vectors. Integers are
split before they are rounded, so that errors are relative: -log u1 about u1 = 1, and angles about
multiples of a quarter turn.
"""

import numpy as np

from unsup_fast.kernels._jit import jit
from unsup_fast.kernels._types import Array

BLOCK = 256  # groups
LOWER, HALF_WORD = np.uint64(0xFFFFFFFF), np.uint64(32)
M0, M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
W0, W1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)


@jit()
def words(
    seed: np.uint64, stream: np.uint64, group: np.uint64, count: int, first: Array, second: Array
) -> None:
    """Fill uint32 first, second [2, BLOCK]: words 0 and 2, and words 1 and 3, of so many groups.

    Philox 4x32-10, one counter in each lane of 64 bits.
    """
    keys = np.empty((10, 2), np.uint64)
    k0, k1 = seed & LOWER, seed >> HALF_WORD
    for r in range(10):
        keys[r, 0], keys[r, 1] = k0, k1
        k0, k1 = (k0 + W0) & LOWER, (k1 + W1) & LOWER
    low, high = stream & LOWER, stream >> HALF_WORD
    for i in range(count):
        number = group + np.uint64(i)
        w0, w1, w2, w3 = number & LOWER, number >> HALF_WORD, low, high
        for r in range(10):
            even, odd = w0 * M0, w2 * M1
            w0, w1 = (odd >> HALF_WORD) ^ w1 ^ keys[r, 0], odd & LOWER
            w2, w3 = (even >> HALF_WORD) ^ w3 ^ keys[r, 1], even & LOWER
        first[0, i], first[1, i] = np.uint32(w0), np.uint32(w2)
        second[0, i], second[1, i] = np.uint32(w1), np.uint32(w3)


@jit()
def fill_words(seed: np.uint64, stream: np.uint64, first: int, out: Array) -> None:
    """Fill uint32 out [count] with words from `first` on, four of each group in order."""
    even, odd = np.empty((2, BLOCK), np.uint32), np.empty((2, BLOCK), np.uint32)
    room = np.empty(4 * BLOCK, np.uint32)
    done = 0
    while done < len(out):
        group, lead = (first + done) // 4, (first + done) % 4
        taken = min(4 * BLOCK - lead, len(out) - done)
        groups = (lead + taken + 3) // 4
        words(seed, stream, np.uint64(group), groups, even, odd)
        for i in range(groups):
            room[4 * i], room[4 * i + 1] = even[0, i], odd[0, i]
            room[4 * i + 2], room[4 * i + 3] = even[1, i], odd[1, i]
        for i in range(taken):
            out[done + i] = room[lead + i]
        done += taken


@jit(fastmath={"contract"})
def radius_32(n: np.int32) -> np.float32:
    """Return sqrt(-2 log u), u = (n + 1/2) / 2^32 of n as an unsigned number."""
    one = np.float32(1)
    below = (np.float32(n) + np.float32(0.5)) * np.float32(2.0**-32)  # u, or u - 1 from 1/2 on
    bits = np.float32(below + (one if n < 0 else np.float32(0))).view(np.int32)
    exponent = np.int32(np.int32(bits - np.int32(0x3F3504F3)) & np.int32(-0x800000))
    mantissa = np.int32(bits - exponent).view(np.float32)
    f = below if exponent == 0 else mantissa - one
    t = f / (f + np.float32(2))
    square = t * t
    series = np.float32(-4.0 / 9)
    series = series * square + np.float32(-4.0 / 7)
    series = series * square + np.float32(-4.0 / 5)
    series = series * square + np.float32(-4.0 / 3)
    series = series * square + np.float32(-4.0)
    scaled = np.float32(exponent) * np.float32(-1.3862943611198906 * 2.0**-23)
    return np.sqrt(series * t + scaled)


@jit(fastmath={"contract"})
def turn_32(n: np.uint32) -> tuple[np.float32, np.float32]:
    """Return the cosine and sine of 2 pi (n + 1/2) / 2^32."""
    one = np.float32(1)
    past = np.uint32(n + np.uint32(0x20000000))  # its upper two bits count quarter turns
    rest = np.int32(np.int32(past & np.uint32(0x3FFFFFFF)) - np.int32(0x20000000))
    angle = (np.float32(rest) + np.float32(0.5)) * np.float32(6.2831853071795865 * 2.0**-32)
    square = angle * angle
    even = np.float32(-1.0 / 3628800)
    even = even * square + np.float32(1.0 / 40320)
    even = even * square + np.float32(-1.0 / 720)
    even = even * square + np.float32(1.0 / 24)
    even = even * square + np.float32(-1.0 / 2)
    even = even * square + one
    odd = np.float32(1.0 / 362880)
    odd = odd * square + np.float32(-1.0 / 5040)
    odd = odd * square + np.float32(1.0 / 120)
    odd = odd * square + np.float32(-1.0 / 6)
    odd = odd * square + np.float32(-2.782753e-8)  # what float32 loses of 2 pi
    odd = odd * angle + angle
    crossed = (past & np.uint32(0x40000000)) != 0
    cosine = odd if crossed else even
    sine = even if crossed else odd
    negative = (np.uint32(past + np.uint32(0x40000000)) & np.uint32(0x80000000)) != 0
    return -cosine if negative else cosine, -sine if past >= np.uint32(0x80000000) else sine


@jit(fastmath={"contract"})
def radius_64(n: np.int64) -> np.float64:
    """Return sqrt(-2 log u), u = (n + 1/2) / 2^64 of n as an unsigned number."""
    below = half_past(n) * 2.0**-64
    bits = np.float64(below + (1.0 if n < 0 else 0.0)).view(np.int64)
    exponent = (bits - np.int64(0x3FE6A09E667F3BCD)) & np.int64(-0x10000000000000)
    mantissa = np.int64(bits - exponent).view(np.float64)
    f = below if exponent == 0 else mantissa - 1.0
    t = f / (f + 2.0)
    square = t * t
    series = -4.0 / 21
    series = series * square - 4.0 / 19
    series = series * square - 4.0 / 17
    series = series * square - 4.0 / 15
    series = series * square - 4.0 / 13
    series = series * square - 4.0 / 11
    series = series * square - 4.0 / 9
    series = series * square - 4.0 / 7
    series = series * square - 4.0 / 5
    series = series * square - 4.0 / 3
    series = series * square - 4.0
    return np.sqrt(series * t + np.float64(exponent) * (-1.3862943611198906 * 2.0**-52))


@jit()
def half_past(n: np.int64) -> np.float64:
    """Return n + 1/2, rounded once."""
    upper, lower = np.float64(n >> np.int64(32)), np.float64(n & np.int64(0xFFFFFFFF))
    return upper * 4294967296.0 + (lower + 0.5)


@jit(fastmath={"contract"})
def turn_64(n: np.uint64) -> tuple[np.float64, np.float64]:
    """Return the cosine and sine of 2 pi (n + 1/2) / 2^64."""
    past = n + np.uint64(0x2000000000000000)
    rest = np.int64(past & np.uint64(0x3FFFFFFFFFFFFFFF)) - np.int64(0x2000000000000000)
    angle = half_past(rest) * (6.283185307179586 * 2.0**-64)
    square = angle * angle
    even = -1.0 / 6402373705728000
    even = even * square + 1.0 / 20922789888000
    even = even * square - 1.0 / 87178291200
    even = even * square + 1.0 / 479001600
    even = even * square - 1.0 / 3628800
    even = even * square + 1.0 / 40320
    even = even * square - 1.0 / 720
    even = even * square + 1.0 / 24
    even = even * square - 1.0 / 2
    even = even * square + 1.0
    odd = 1.0 / 355687428096000
    odd = odd * square - 1.0 / 1307674368000
    odd = odd * square + 1.0 / 6227020800
    odd = odd * square - 1.0 / 39916800
    odd = odd * square + 1.0 / 362880
    odd = odd * square - 1.0 / 5040
    odd = odd * square + 1.0 / 120
    odd = odd * square - 1.0 / 6
    odd = odd * square + 3.8981718325193755e-17
    odd = odd * angle + angle
    crossed = (past & np.uint64(0x4000000000000000)) != 0
    cosine = odd if crossed else even
    sine = even if crossed else odd
    negative = ((past + np.uint64(0x4000000000000000)) & np.uint64(0x8000000000000000)) != 0
    return -cosine if negative else cosine, -sine if past >> np.uint64(63) else sine


@jit(fastmath={"contract"})
def fill_32(
    seeds: Array, stream: np.uint64, group: np.uint64, skip: int, size: int, begin: int, out: Array
) -> None:
    """Fill out [count] with float32 numbers at positions `begin` ... `begin` + count - 1.

    Position p is number `skip` + p % size of seed p // size, counted from a group on.
    """
    w1, w2 = np.empty((2, BLOCK), np.uint32), np.empty((2, BLOCK), np.uint32)
    even, odd = np.empty((2, BLOCK), np.float32), np.empty((2, BLOCK), np.float32)
    room = np.empty(4 * BLOCK, np.float32)
    done = 0
    while done < len(out):
        sample, at = (begin + done) // size, (begin + done) % size
        later, lead = (skip + at) // 4, (skip + at) % 4
        taken = min(4 * BLOCK - lead, len(out) - done, size - at)
        groups = (lead + taken + 3) // 4
        words(seeds[sample], stream, group + np.uint64(later), groups, w1, w2)
        for pair in range(2):
            for i in range(groups):
                r = radius_32(np.int32(w1[pair, i]))
                cosine, sine = turn_32(w2[pair, i])
                even[pair, i], odd[pair, i] = r * cosine, r * sine
        for i in range(groups):
            room[4 * i] = even[0, i]
            room[4 * i + 1] = odd[0, i]
            room[4 * i + 2] = even[1, i]
            room[4 * i + 3] = odd[1, i]
        for i in range(taken):
            out[done + i] = room[lead + i]
        done += taken


@jit()
def join(low: np.uint32, high: np.uint32) -> np.uint64:
    """Return 2^32 high + low."""
    return np.uint64(high) << HALF_WORD | np.uint64(low)


@jit(fastmath={"contract"})
def fill_64(
    seeds: Array, stream: np.uint64, group: np.uint64, skip: int, size: int, begin: int, out: Array
) -> None:
    """Fill out [count] with float64 numbers, as `fill_32` does."""
    w1, w2 = np.empty((2, BLOCK), np.uint32), np.empty((2, BLOCK), np.uint32)
    room = np.empty(2 * BLOCK)
    done = 0
    while done < len(out):
        sample, at = (begin + done) // size, (begin + done) % size
        later, lead = (skip + at) // 2, (skip + at) % 2
        taken = min(2 * BLOCK - lead, len(out) - done, size - at)
        groups = (lead + taken + 1) // 2
        words(seeds[sample], stream, group + np.uint64(later), groups, w1, w2)
        for i in range(groups):
            r = radius_64(np.int64(join(w1[0, i], w2[0, i])))
            cosine, sine = turn_64(join(w1[1, i], w2[1, i]))
            room[2 * i], room[2 * i + 1] = r * cosine, r * sine
        for i in range(taken):
            out[done + i] = room[lead + i]
        done += taken


@jit()
def round_bfloat16(bits: Array, out: Array) -> None:
    """Round float32 numbers, of which `bits` are the bits, to the bits of bfloat16."""
    for i in range(len(out)):
        b = bits[i]
        out[i] = np.uint16((b + np.uint32(0x7FFF) + ((b >> np.uint32(16)) & np.uint32(1))) >> 16)
