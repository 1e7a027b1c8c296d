"""Standard normals for Triton kernels to draw: the numbers of `randn`, to rounding.

Numbers are float32, four to a group, or WIDE: float64, two to a group; `group`, `index`, `seed` and
`stream` are int64 scalars or blocks that broadcast together, the last two with the bits of unsigned
numbers::

    four_normals(seed, stream, group)              numbers 4 group ... 4 group + 3, float32
    two_normals(seed, stream, group)               numbers 2 group, 2 group + 1, float64
    normals_from(seed, stream, group, GROUPS, WIDE)    those of GROUPS groups in order, one block
    normals_at(seed, stream, index, WIDE)          number `index`, whose whole group is computed

Where neighbours in memory are not neighbours by index, as in channels-last, a tile [groups,
channels] of `four_normals` has the numbers of four positions: number j is that of 4 group + j.

|error of z| <= 12 u |z|, u = 2^-24 or 2^-53: the series are those of csrc/randn/normal-inl.h, while
division and root may err by one unit more.
"""

import triton
import triton.language as tl


@triton.jit
def words(seed, stream, group):
    """Return the words of Philox 4x32-10, uint32."""
    lower = 0xFFFFFFFF
    g = group.to(tl.int64)
    s = stream.to(tl.int64) + g * 0
    return tl.philox_impl(
        (g & lower).to(tl.uint32),
        ((g >> 32) & lower).to(tl.uint32),
        (s & lower).to(tl.uint32),
        ((s >> 32) & lower).to(tl.uint32),
        (seed.to(tl.int64) & lower).to(tl.uint32),
        ((seed.to(tl.int64) >> 32) & lower).to(tl.uint32),
    )


@triton.jit
def _radius(n, WIDE: tl.constexpr):
    """Return sqrt(-2 log u), u = (n + 1/2) / 2^B of signed n."""
    if WIDE:
        below = (n.to(tl.float64) + 0.5) * 2.0**-64
    else:
        below = (n.to(tl.float32) + 0.5) * 2.0**-32
    u = below + tl.where(n < 0, 1.0, 0.0).to(below.dtype)
    bits = u.to(n.dtype, bitcast=True)
    if WIDE:
        exponent = (bits - 0x3FE6A09E667F3BCD) & -0x10000000000000
    else:
        exponent = (bits - 0x3F3504F3) & -0x800000
    mantissa = (bits - exponent).to(u.dtype, bitcast=True)
    f = tl.where(exponent == 0, below, mantissa - 1.0)
    t = f / (f + 2.0)
    square = t * t
    if WIDE:
        series = square * (-4.0 / 21) - 4.0 / 19
        series = series * square - 4.0 / 17
        series = series * square - 4.0 / 15
        series = series * square - 4.0 / 13
        series = series * square - 4.0 / 11
        series = series * square - 4.0 / 9
        scaled = exponent.to(tl.float64) * (-1.3862943611198906 * 2.0**-52)
    else:
        series = square * 0.0 - 4.0 / 9
        scaled = exponent.to(tl.float32) * (-1.3862943611198906 * 2.0**-23)
    series = series * square - 4.0 / 7
    series = series * square - 4.0 / 5
    series = series * square - 4.0 / 3
    series = series * square - 4.0
    return tl.sqrt(series * t + scaled)


@triton.jit
def _turn(n, WIDE: tl.constexpr):
    """Return the cosine and sine of 2 pi (n + 1/2) / 2^B of unsigned n."""
    if WIDE:
        past = n + 0x2000000000000000
        rest = (past & 0x3FFFFFFFFFFFFFFF).to(tl.int64) - 0x2000000000000000
        quarters = (past >> 62).to(tl.int32)
        angle = (rest.to(tl.float64) + 0.5) * (6.283185307179586 * 2.0**-64)
        square = angle * angle
        even = square * (-1.0 / 6402373705728000) + 1.0 / 20922789888000
        even = even * square - 1.0 / 87178291200
        even = even * square + 1.0 / 479001600
        even = even * square - 1.0 / 3628800
        odd = square * (1.0 / 355687428096000) - 1.0 / 1307674368000
        odd = odd * square + 1.0 / 6227020800
        odd = odd * square - 1.0 / 39916800
        odd = odd * square + 1.0 / 362880
        lost = 3.8981718325193755e-17
    else:
        past = n + 0x20000000
        rest = (past & 0x3FFFFFFF).to(tl.int32) - 0x20000000
        quarters = (past >> 30).to(tl.int32)
        angle = (rest.to(tl.float32) + 0.5) * (6.2831854820251465 * 2.0**-32)
        square = angle * angle
        even = square * 0.0 - 1.0 / 3628800
        odd = square * 0.0 + 1.0 / 362880
        lost = -2.782753e-8
    even = even * square + 1.0 / 40320
    even = even * square - 1.0 / 720
    even = even * square + 1.0 / 24
    even = even * square - 1.0 / 2
    even = even * square + 1.0
    odd = odd * square - 1.0 / 5040
    odd = odd * square + 1.0 / 120
    odd = odd * square - 1.0 / 6
    odd = (odd * square + lost) * angle + angle
    crossed = (quarters & 1) != 0
    cosine, sine = tl.where(crossed, odd, even), tl.where(crossed, even, odd)
    cosine = tl.where(((quarters + 1) & 2) != 0, -cosine, cosine)
    return cosine, tl.where((quarters & 2) != 0, -sine, sine)


@triton.jit
def _pair(a, b, WIDE: tl.constexpr):
    """Return two normals of whole numbers, uint32 or WIDE uint64."""
    if WIDE:
        r = _radius(a.to(tl.int64, bitcast=True), WIDE)
    else:
        r = _radius(a.to(tl.int32, bitcast=True), WIDE)
    cosine, sine = _turn(b, WIDE)
    return r * cosine, r * sine


@triton.jit
def _long(low, high):
    return high.to(tl.uint64) << 32 | low.to(tl.uint64)


@triton.jit
def four_normals(seed, stream, group):
    """Return numbers 4 group ... 4 group + 3, float32."""
    w0, w1, w2, w3 = words(seed, stream, group)
    z0, z1 = _pair(w0, w1, False)
    z2, z3 = _pair(w2, w3, False)
    return z0, z1, z2, z3


@triton.jit
def two_normals(seed, stream, group):
    """Return numbers 2 group and 2 group + 1, float64."""
    w0, w1, w2, w3 = words(seed, stream, group)
    return _pair(_long(w0, w1), _long(w2, w3), True)


@triton.jit
def normals_from(seed, stream, group, GROUPS: tl.constexpr, WIDE: tl.constexpr):
    """Return the numbers of groups `group` ... `group` + GROUPS - 1 in order."""
    groups = group + tl.arange(0, GROUPS)
    if WIDE:
        z0, z1 = two_normals(seed, stream, groups)
        return tl.interleave(z0, z1)
    else:
        z0, z1, z2, z3 = four_normals(seed, stream, groups)
        return tl.interleave(tl.interleave(z0, z2), tl.interleave(z1, z3))


@triton.jit
def normals_at(seed, stream, index, WIDE: tl.constexpr):
    """Return the numbers of any indices."""
    if WIDE:
        z0, z1 = two_normals(seed, stream, index >> 1)
    else:
        w0, w1, w2, w3 = words(seed, stream, index >> 2)
        upper = (index & 2) != 0
        z0, z1 = _pair(tl.where(upper, w2, w0), tl.where(upper, w3, w1), False)
    return tl.where((index & 1) != 0, z1, z0)
