// float16 and bfloat16 from and to vectors of float32.
#if defined(UNSUP_SIMD_FLOAT16_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_SIMD_FLOAT16_INL_H_
#undef UNSUP_SIMD_FLOAT16_INL_H_
#else
#define UNSUP_SIMD_FLOAT16_INL_H_
#endif

#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// float16 to float32, exactly; a NaN comes out quiet.
#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 64
UNSUP_INLINE void half_to_float_vector(const uint16_t* x, float* out) {
    // With a mask, as GCC warns of the undefined source that it gives the plain intrinsic.
    const __m256i half = _mm256_loadu_si256((const __m256i*)x);
    _mm512_storeu_ps(out, _mm512_maskz_cvtph_ps(0xffff, half));
}
#elif defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
UNSUP_INLINE void half_to_float_vector(const uint16_t* x, float* out) {
    _mm256_storeu_ps(out, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)x)));
}
#else
UNSUP_INLINE void half_to_float_vector(const uint16_t* x, float* out) {
    constexpr int N = lanes<float>;
    using Bits = vec<uint32_t, N>;
    constexpr uint32_t hidden = uint32_t(1) << 23, infinity = 0x7c00u << 13;
    const Bits half = __builtin_convertvector(load<uint16_t, N>(x), Bits);
    const Bits size = (half & 0x7fffu) << 13;  // exponent and fraction, where float32 has them
    const Bits top = Bits(size >= infinity) & 112u * hidden;
    const Bits quiet = Bits(size > infinity) & hidden >> 1;
    const Bits normal = (size + 112u * hidden + top) | quiet;
    // Without a hidden bit the fraction counts units of 2^-24: 2^-14 + fraction - 2^-14.
    const Bits least = Bits{} + 113u * hidden;
    const Bits small = Bits(vec<float, N>(size + 113u * hidden) - vec<float, N>(least));
    const Bits magnitude = size < hidden ? small : normal;
    store<uint32_t, N>((uint32_t*)out, magnitude | (half & 0x8000u) << 16);
}
#endif

// float32 to bfloat16 and float16, to the nearest and of two such to the even one (IEEE 754-2019,
// 4.3.1). NaN stays NaN, and what is too large becomes infinity.
UNSUP_INLINE void store_bfloat16(uint16_t* out, Vec<float> x) {
    constexpr int N = lanes<float>;
    using Bits = vec<uint32_t, N>;
    const Bits bits = (Bits)x, even = bits >> 16 & 1u;
    const Bits bits_out = Bits(x != x) ? bits >> 16 | 0x40u : (bits + 0x7fffu + even) >> 16;
    store<uint16_t, N>(out, __builtin_convertvector(bits_out, vec<uint16_t, N>));
}

#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 64
UNSUP_INLINE void store_float16(uint16_t* out, Vec<float> x) {
    const __m256i half = _mm512_maskz_cvtps_ph(0xffff, (__m512)x, _MM_FROUND_TO_NEAREST_INT);
    _mm256_storeu_si256((__m256i*)out, half);
}
#elif defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
UNSUP_INLINE void store_float16(uint16_t* out, Vec<float> x) {
    _mm_storeu_si128((__m128i*)out, _mm256_cvtps_ph((__m256)x, _MM_FROUND_TO_NEAREST_INT));
}
#else
UNSUP_INLINE void store_float16(uint16_t* out, Vec<float> x) {
    constexpr int N = lanes<float>;
    using Bits = vec<uint32_t, N>;
    constexpr uint32_t hidden = uint32_t(1) << 23, infinity = 255u * hidden;
    const Bits size = (Bits)x & 0x7fffffffu, even = size >> 13 & 1u;
    // Below 2^-14 the unit is 2^-24, as it is in float32 from 1/2 on.
    const Bits half = Bits{} + 126u * hidden;
    const Bits small = Bits((Vec<float>)size + (Vec<float>)half) - half;
    const Bits normal = (size + 0xfffu + even - 112u * hidden) >> 13;
    const Bits large = Bits(size > infinity) ? size >> 13 | 0x7e00u : Bits{} + 0x7c00u;
    const Bits finite = size < 113u * hidden ? small : normal;
    const Bits bits_out = (size < 143u * hidden - 0x1000u ? finite : large) & 0x7fffu;
    const Bits sign = (Bits)x >> 16 & 0x8000u;
    store<uint16_t, N>(out, __builtin_convertvector(bits_out | sign, vec<uint16_t, N>));
}
#endif

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
