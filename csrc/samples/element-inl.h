// Elements of tensors as vectors of the type that is computed in, and back.
#if defined(UNSUP_SAMPLES_ELEMENT_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_SAMPLES_ELEMENT_INL_H_
#undef UNSUP_SAMPLES_ELEMENT_INL_H_
#else
#define UNSUP_SAMPLES_ELEMENT_INL_H_
#endif

#include <cstdint>
#include <cstring>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "samples/mix.hpp"
#include "samples/samples.hpp"
#include "simd/float16-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

using Bits32 = vec<uint32_t, lanes<float>>;
using Bits16 = vec<uint16_t, lanes<float>>;

UNSUP_INLINE Bits32 longer(Bits16 v) {
#if defined(__x86_64__) && UNSUP_VECTOR_BYTES == 64
    return (Bits32)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)v);
#elif defined(__x86_64__) && UNSUP_VECTOR_BYTES == 32
    return (Bits32)_mm256_cvtepu16_epi32((__m128i)v);
#else
    return __builtin_convertvector(v, Bits32);
#endif
}

UNSUP_INLINE Vec<float> load_as(const float* p) { return load<float, lanes<float>>(p); }
UNSUP_INLINE Vec<double> load_as(const double* p) { return load<double, lanes<double>>(p); }
UNSUP_INLINE Vec<float> load_as(const BFloat16* p) {
    return (Vec<float>)(longer(load<uint16_t, lanes<float>>(&p->bits)) << 16);
}
UNSUP_INLINE Vec<float> load_as(const Float16* p) {
    float out[lanes<float>];
    half_to_float_vector(&p->bits, out);
    return load<float, lanes<float>>(out);
}

UNSUP_INLINE void store_as(float* p, Vec<float> v) { store<float, lanes<float>>(p, v); }
UNSUP_INLINE void store_as(double* p, Vec<double> v) { store<double, lanes<double>>(p, v); }
UNSUP_INLINE void store_as(BFloat16* p, Vec<float> v) { store_bfloat16(&p->bits, v); }
UNSUP_INLINE void store_as(Float16* p, Vec<float> v) { store_float16(&p->bits, v); }

// Past the caches, where there is such a store; `p` is aligned to its length.
template <class T>
UNSUP_INLINE void stream_as(T* p, Vec<Compute<T>> v) {
#if defined(__x86_64__)
    if constexpr (sizeof(T) == 2) {
        T half[lanes<float>];
        store_as(half, v);
#if UNSUP_VECTOR_BYTES == 64
        _mm256_stream_si256((__m256i*)p, _mm256_loadu_si256((const __m256i*)half));
#elif UNSUP_VECTOR_BYTES == 32
        _mm_stream_si128((__m128i*)p, _mm_loadu_si128((const __m128i*)half));
#else
        std::memcpy(p, half, sizeof half);
#endif
    } else {
#if UNSUP_VECTOR_BYTES == 64
        _mm512_stream_si512((__m512i*)p, (__m512i)v);
#elif UNSUP_VECTOR_BYTES == 32
        _mm256_stream_si256((__m256i*)p, (__m256i)v);
#else
        _mm_stream_si128((__m128i*)p, (__m128i)v);
#endif
    }
#else
    store_as(p, v);
#endif
}

UNSUP_INLINE void stream_end() {
#if defined(__x86_64__)
    _mm_sfence();
#endif
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
