// Standard normals of Philox's words, by Box & Muller (1958); to be included by what draws noise.
//
//   normals<T>(philox, first, count, out)     out [count]: numbers first ... first + count - 1
//   normals_strided<T>(philox, first, count, stride, out)   the same at steps of `stride`; so a
//       tile [positions][C] of a sample in channels-last is, for each channel c,
//       normals_strided<T>(philox, (n C + c) P + position, positions, C, tile + c)
//
// T is float or double; numbers drawn in multiples of kNormals<T> from such a multiple on waste
// none. Philox{seed, stream} is set up once a seed; a number depends on the seed, the stream and
// its own index, the same for every `first` and `count`.
//
// Number i of float is number i % 4 of group i / 4 with words w: u1 = (w0 + 1/2) / 2^32 and
// u2 = (w1 + 1/2) / 2^32 make numbers 0 and 1, w2 and w3 numbers 2 and 3; of double it is number i
// % 2 of group i / 2, with u1 = (2^32 w1 + w0 + 1/2) / 2^64 and u2 = (2^32 w3 + w2 + 1/2) / 2^64:
//
//   sqrt(-2 log u1) cos(2 pi u2),  sqrt(-2 log u1) sin(2 pi u2)
//
// Integers are split before they are rounded: -log u1 about u1 = 1, and angles about multiples of a
// quarter turn, so that errors are relative. |z| < 6.77 for float and < 9.5 for double.
#if defined(UNSUP_RANDN_NORMAL_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_RANDN_NORMAL_INL_H_
#undef UNSUP_RANDN_NORMAL_INL_H_
#else
#define UNSUP_RANDN_NORMAL_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <utility>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "randn/philox-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T>
struct NormalConstants;
template <>
struct NormalConstants<float> {
    static constexpr int mantissa = 23, log_terms = 5, turn_terms = 5;
    static constexpr int32_t root_half = 0x3f3504f3;
    static constexpr float unit = 0x1p-32f;
    static constexpr float turn = 6.2831853071795865f;
    static constexpr float lost = -2.782753e-8f;  // 2 pi = turn (1 + lost)
};
template <>
struct NormalConstants<double> {
    static constexpr int mantissa = 52, log_terms = 11, turn_terms = 9;
    static constexpr int64_t root_half = 0x3fe6a09e667f3bcd;
    static constexpr double unit = 0x1p-64;
    static constexpr double turn = 6.283185307179586;
    static constexpr double lost = 3.8981718325193755e-17;
};

constexpr int kNormalVectors = 4;      // vectors of words computed together: each waits long
constexpr int64_t kNormalSpan = 2048;  // numbers drawn at a time where they are not drawn in place
template <class T>
constexpr int kNormals = 2 * kNormalVectors * lanes<T>;  // numbers of a block

UNSUP_INLINE Vec<float> rounded(Index<float> n) { return __builtin_convertvector(n, Vec<float>); }
// A multiple of 2^32: its upper half as the lowest bits of 2^84 + 2^32 (half + 2^31).
UNSUP_INLINE Vec<double> rounded(Index<double> n) {
    return (Vec<double>)(((Wide)n >> 32 ^ 0x80000000u) | 0x4530000000000000u) - (0x1p84 + 0x1p63);
}

// n + 1/2.
UNSUP_INLINE Vec<float> half_past(Index<float> n) { return rounded(n) + 0.5f; }
UNSUP_INLINE Vec<double> half_past(Index<double> n) {
    const Wide low = ((Wide)n & 0xffffffffu) | 0x4330000000000000u;  // 2^52 + lower half
    return rounded(n) + ((Vec<double>)low - (0x1p52 - 0.5));
}

UNSUP_INLINE Vec<float> square_root(Vec<float> x) {
#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 64
    return (Vec<float>)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
    return (Vec<float>)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
    return (Vec<float>)_mm_sqrt_ps((__m128)x);
#else
    for (int l = 0; l < lanes<float>; ++l) x[l] = __builtin_sqrtf(x[l]);
    return x;
#endif
}
UNSUP_INLINE Vec<double> square_root(Vec<double> x) {
#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 64
    return (Vec<double>)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
    return (Vec<double>)_mm256_sqrt_pd((__m256d)x);
#elif defined(__x86_64__)
    return (Vec<double>)_mm_sqrt_pd((__m128d)x);
#else
    for (int l = 0; l < lanes<double>; ++l) x[l] = __builtin_sqrt(x[l]);
    return x;
#endif
}

// Calls f(v) for each of N vectors. An operation waits long for the one before, so that the next
// one to start should be another vector's.
template <int N, class F>
UNSUP_INLINE void each(const F& f) {
#pragma GCC unroll 4
    for (int v = 0; v < N; ++v) f(v);
}

// sqrt(-2 log u), u = (n + 1/2) / 2^B of B-bit n; log(1 + f) = 2 artanh(f / (2 + f)). Below 1/2,
// u is rounded and is 2^e (1 + f); above, u - 1 is, so f errs little where the logarithm is small.
template <class T, int N>
UNSUP_INLINE void radius(const Wide (&words)[N], Vec<T> (&r)[N]) {
    using C = NormalConstants<T>;
    using Whole = typename index_of<T>::type;
    constexpr Whole exponents = Whole(~std::make_unsigned_t<Whole>(0) << C::mantissa);
    constexpr double log_unit = 0.6931471805599453 / double(Whole(1) << C::mantissa);
    Vec<T> f[N], scaled[N], t[N], square[N], series[N];
    each<N>([&](int v) UNSUP_INLINE_LAMBDA {
        const Index<T> n = (Index<T>)words[v];
        const Vec<T> below = half_past(n) * C::unit;  // u, or u - 1 from 1/2 on
        const Index<T> bits = (Index<T>)(n < 0 ? below + T(1) : below);
        const Index<T> past = bits - C::root_half, exponent = past & exponents;  // e 2^mantissa
        const Vec<T> mantissa = (Vec<T>)(bits - exponent);
        f[v] = past < 0 ? mantissa - T(1) : below;  // e = 0 from sqrt(1/2) on
        scaled[v] = rounded(exponent) * T(-2 * log_unit);
    });
    each<N>([&](int v) UNSUP_INLINE_LAMBDA { t[v] = f[v] / (f[v] + T(2)); });
    each<N>([&](int v) UNSUP_INLINE_LAMBDA {
        square[v] = t[v] * t[v];
        series[v] = Vec<T>{} + T(-4.0 / (2 * C::log_terms - 1));
    });
#pragma GCC unroll 16
    for (int i = C::log_terms - 2; i >= 0; --i)
        each<N>([&](int v) UNSUP_INLINE_LAMBDA {
            series[v] = series[v] * square[v] + T(-4.0 / (2 * i + 1));
        });
    each<N>([&](int v) UNSUP_INLINE_LAMBDA { r[v] = square_root(series[v] * t[v] + scaled[v]); });
}

constexpr double over_factorial(int n) { return n == 0 ? 1 : over_factorial(n - 1) / n; }

// Taylor's coefficients of the cosine in x^2, or of the sine after the division by x; GCC computes
// what is no constant by name when it runs.
template <class T, int I, bool Sine>
constexpr T kTaylor = T((I % 2 ? -1 : 1) * over_factorial(2 * I + Sine));

// even, odd: sums of the terms from I on, divided by x^2I; the sine's first coefficient is `lost`.
template <class T, int I, int N>
UNSUP_INLINE void taylor(const Vec<T> (&square)[N], Vec<T> (&even)[N], Vec<T> (&odd)[N]) {
    using C = NormalConstants<T>;
    each<N>([&](int v) UNSUP_INLINE_LAMBDA {
        even[v] = even[v] * square[v] + kTaylor<T, I, false>;
        odd[v] = odd[v] * square[v] + (I > 1 ? kTaylor<T, I - 1, true> : C::lost);
    });
    if constexpr (I > 1) taylor<T, I - 1>(square, even, odd);
}

// Cosine and sine of 2 pi (n + 1/2) / 2^B: Taylor's series on +-pi / 4 about the nearest multiple
// of a quarter turn.
template <class T, int N>
UNSUP_INLINE void turn(const Wide (&words)[N], Vec<T> (&cosine)[N], Vec<T> (&sine)[N]) {
    using C = NormalConstants<T>;
    using Bits = std::make_unsigned_t<typename index_of<T>::type>;
    constexpr Bits half = ~(~Bits(0) >> 1), quarter = half >> 1, eighth = half >> 2;
    constexpr int M = C::turn_terms;
    using Unsigned = vec<Bits, lanes<T>>;
    Unsigned past[N];  // its upper two bits count quarter turns
    Vec<T> angle[N], square[N], even[N], odd[N];
    each<N>([&](int v) UNSUP_INLINE_LAMBDA {
        past[v] = (Unsigned)words[v] + eighth;
        angle[v] = half_past((Index<T>)((past[v] & (quarter - 1)) - eighth)) * (C::turn * C::unit);
        square[v] = angle[v] * angle[v];
        even[v] = Vec<T>{} + kTaylor<T, M, false>;
        odd[v] = Vec<T>{} + kTaylor<T, M - 1, true>;
    });
    taylor<T, M - 1>(square, even, odd);
    each<N>([&](int v) UNSUP_INLINE_LAMBDA {
        even[v] = even[v] * square[v] + T(1);
        odd[v] = odd[v] * angle[v] + angle[v];
    });
    each<N>([&](int v) UNSUP_INLINE_LAMBDA {
        const Index<T> crossed = (Index<T>)(past[v] << 1);  // < 0 after an odd number of quarters
        cosine[v] =
            (Vec<T>)((Unsigned)(crossed < 0 ? odd[v] : even[v]) ^ ((past[v] + quarter) & half));
        sine[v] = (Vec<T>)((Unsigned)(crossed < 0 ? even[v] : odd[v]) ^ (past[v] & half));
    });
}

// The lanes of `a` and `b` in turn: groups 0 ... L / 2 - 1 (Upper 0) or from L / 2 on (Upper 1),
// where their lanes are in the order of `group_of_lane`.
template <class T, int Upper, int... L>
UNSUP_INLINE Vec<T> in_turn(Vec<T> a, Vec<T> b, std::integer_sequence<int, L...>) {
    constexpr int W = lanes<T>, pair = 16 / int(sizeof(T));  // unpack works on 16 bytes
    return __builtin_shufflevector(
        a, b, (L / pair * pair + Upper * pair / 2 + L % pair / 2 + L % 2 * W)...);
}

// OUT [kNormals]: the numbers of the groups from `group` on.
template <class T>
UNSUP_INLINE void normal_block(Draws& draws, uint64_t group, T* out) {
    constexpr int W = lanes<T>, V = kNormalVectors;
    const auto all = std::make_integer_sequence<int, W>();
    Wide first[V], second[V];
    draws.template draw<V, sizeof(T) == 4>(group, first, second);
    Vec<T> r[V], cosine[V], sine[V];
    radius<T>(first, r);
    turn<T>(second, cosine, sine);
    each<V>([&](int v) UNSUP_INLINE_LAMBDA {
        cosine[v] *= r[v];
        sine[v] *= r[v];
        store<T, W>(out + 2 * v * W, in_turn<T, 0>(cosine[v], sine[v], all));
        store<T, W>(out + (2 * v + 1) * W, in_turn<T, 1>(cosine[v], sine[v], all));
    });
}

// Not inlined, so that its products are fused the same wherever it is called from.
template <class T>
__attribute__((noinline)) void normals(const Philox& p, uint64_t first, int64_t count, T* out) {
    constexpr uint64_t B = kNormals<T>, groups = kNormalVectors * lanes<double>;
    const uint64_t lead = first % B;
    uint64_t group = first / B * groups;
    T part[B];
    Draws draws(p);
    int64_t done = 0;
    if (lead != 0 && count > 0) {
        normal_block<T>(draws, group, part);
        done = std::min<int64_t>(count, int64_t(B - lead));
        std::copy(part + lead, part + lead + done, out);
        group += groups;
    }
    for (; done + int64_t(B) <= count; done += int64_t(B), group += groups)
        normal_block<T>(draws, group, out + done);
    if (done == count) return;
    normal_block<T>(draws, group, part);
    std::copy(part, part + (count - done), out + done);
}

template <class T>
void normals_strided(const Philox& p, uint64_t first, int64_t count, int64_t stride, T* out) {
    if (stride == 1) return normals<T>(p, first, count, out);
    T room[kNormalSpan];
    for (int64_t i = 0; i < count; i += kNormalSpan) {
        const int64_t n = std::min(kNormalSpan, count - i);
        normals<T>(p, first + uint64_t(i), n, room);
        for (int64_t j = 0; j < n; ++j) out[(i + j) * stride] = room[j];
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
