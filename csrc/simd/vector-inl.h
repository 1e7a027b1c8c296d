// Vectors of this level's width, and how many of them a tile has.
#if defined(UNSUP_SIMD_VECTOR_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_SIMD_VECTOR_INL_H_
#undef UNSUP_SIMD_VECTOR_INL_H_
#else
#define UNSUP_SIMD_VECTOR_INL_H_
#endif

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <utility>

#include "simd/target-inl.h"
#include "simd/vec.hpp"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

template <class T>
constexpr int lanes = UNSUP_VECTOR_BYTES / int(sizeof(T));
template <class T>
using Vec = vec<T, lanes<T>>;
template <class T>
using Index = vec<typename index_of<T>::type, lanes<T>>;

// A tile has kTileVectors x lanes points, scored against kGroup centroids at a time:
// 3 x 8 scores + 3 points + 1 spare of 32 registers, 3 x 4 + 3 + 1 of 16. Without a fused
// multiply-add (SSE2) the product needs a register too.
#if UNSUP_REGISTERS == 32
constexpr int kTileVectors = 3, kGroup = 8;
#elif UNSUP_VECTOR_BYTES == 32
constexpr int kTileVectors = 3, kGroup = 4;
#else
constexpr int kTileVectors = 2, kGroup = 4;
#endif
template <class T>
constexpr int kTile = kTileVectors * lanes<T>;

constexpr int kDoubles = UNSUP_VECTOR_BYTES / int(sizeof(double));

template <class T, int N>
UNSUP_INLINE vec<T, N> load(const T* p) {
    vec<T, N> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T, int N>
UNSUP_INLINE void store(T* p, vec<T, N> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

// Lane by lane, which GCC makes one instruction of; its __builtin_convertvector splits the vector.
template <class T, int N, int... L>
UNSUP_INLINE vec<double, N> to_double(vec<T, N> v, std::integer_sequence<int, L...>) {
    return vec<double, N>{double(v[L])...};
}
template <class T, int N>
UNSUP_INLINE vec<double, N> to_double(vec<T, N> v) {
    if constexpr (sizeof(T) == sizeof(double))
        return v;
    else
        return to_double<T, N>(v, std::make_integer_sequence<int, N>());
}

template <int N>
UNSUP_INLINE double sum(vec<double, N> v) {
    double total = 0;
    for (int i = 0; i < N; ++i) total += v[i];
    return total;
}

// Whether a lane of a mask is set.
template <class T>
UNSUP_INLINE bool any(Index<T> mask) {
#if UNSUP_TARGET == UNSUP_TARGET_V4
    return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0;
#elif UNSUP_TARGET == UNSUP_TARGET_V3
    return !_mm256_testz_si256((__m256i)mask, (__m256i)mask);
#elif defined(__x86_64__)
    const __m128i zero = _mm_setzero_si128();
    return _mm_movemask_epi8(_mm_cmpeq_epi8((__m128i)mask, zero)) != 0xffff;
#else
    int64_t words[UNSUP_VECTOR_BYTES / 8], all = 0;
    __builtin_memcpy(words, &mask, sizeof words);
    for (int64_t word : words) all |= word;
    return all != 0;
#endif
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
