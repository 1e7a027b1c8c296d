// Exponential and logarithm of a vector, as far as the log of a sum of exponentials needs them.
#if defined(UNSUP_SIMD_EXP_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_SIMD_EXP_INL_H_
#undef UNSUP_SIMD_EXP_INL_H_
#else
#define UNSUP_SIMD_EXP_INL_H_
#endif

#include <cstdint>
#include <limits>

#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T>
struct ExpConstants;
template <>
struct ExpConstants<float> {
    static constexpr int mantissa = 23, bias = 127, exp_terms = 7, log_terms = 5;
    static constexpr float round = 12582912.0f;      // 1.5 * 2^23
    static constexpr float lowest = -87.33654f;      // log of the smallest normal number
    static constexpr float ln2_high = 0.693359375f;  // of few bits: times n it is exact
    static constexpr float ln2_low = -2.1219444005469057e-4f;
    static constexpr int32_t root_half = 0x3f3504f3;
};
template <>
struct ExpConstants<double> {
    static constexpr int mantissa = 52, bias = 1023, exp_terms = 13, log_terms = 11;
    static constexpr double round = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double lowest = -708.3964185322641;
    static constexpr double ln2_high = 0.693359375;
    static constexpr double ln2_low = -2.1219444005469058277e-4;
    static constexpr int64_t root_half = 0x3fe6a09e667f3bcd;
};

// exp(x) for x <= 0; zero below the smallest normal number. Taylor's series on +-log(2) / 2.
template <class T>
UNSUP_INLINE Vec<T> exp_negative(Vec<T> x) {
    using C = ExpConstants<T>;
    using Whole = typename index_of<T>::type;
    const Vec<T> zero{}, lowest = zero + C::lowest, magic = zero + C::round;
    const Vec<T> inside = x > lowest ? x : lowest;
    const Vec<T> shifted = inside * T(1.4426950408889634) + magic;
    const Vec<T> n = shifted - magic;
    const Vec<T> rest = (inside - n * C::ln2_high) - n * C::ln2_low;
    double factorial = 1;
    for (int i = 2; i <= C::exp_terms; ++i) factorial *= i;
    Vec<T> series = zero + T(1 / factorial);
#pragma GCC unroll 16
    for (int i = C::exp_terms; i > 0; --i) {
        factorial /= i;
        series = series * rest + T(1 / factorial);
    }
    const Index<T> exponent = (Index<T>)shifted - (Index<T>)magic + Whole(C::bias);
    const Vec<T> value = series * (Vec<T>)(exponent << C::mantissa);
    return x >= lowest ? value : zero;
}

// log(x) for normal x > 0, minus infinity for zero: 2 artanh(f / (2 + f)) of the mantissa 1 + f.
template <class T>
UNSUP_INLINE Vec<T> log_positive(Vec<T> x) {
    using C = ExpConstants<T>;
    const Vec<T> zero{};
    const Index<T> bits = (Index<T>)x;
    const Index<T> exponent = (bits - C::root_half) >> C::mantissa;
    const Vec<T> f = (Vec<T>)(bits - (exponent << C::mantissa)) - T(1);
    const Vec<T> t = f / (f + T(2)), square = t * t;
    Vec<T> series{};
#pragma GCC unroll 16
    for (int i = C::log_terms; i > 0; --i) series = (series + T(2.0 / (2 * i + 1))) * square;
    const Vec<T> n = __builtin_convertvector(exponent, Vec<T>);
    const Vec<T> value = n * C::ln2_high + (t * T(2) + (t * series + n * C::ln2_low));
    return x > zero ? value : zero - std::numeric_limits<T>::infinity();
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
