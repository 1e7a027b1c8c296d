// Fixed-width vectors on the compiler's vector extensions: one source for SSE2, AVX2, AVX-512 and
// NEON. Only types and force-inlined functions, so nothing compiled for a high instruction set can
// be shared with the baseline code.
#pragma once

#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ < 12
#error "GCC 12 or newer is needed (or Clang): __builtin_shufflevector"
#endif

#include <cstdint>
#include <utility>

#define UNSUP_INLINE_MEMBER inline __attribute__((always_inline))
#define UNSUP_INLINE static UNSUP_INLINE_MEMBER
#define UNSUP_INLINE_LAMBDA __attribute__((always_inline))

namespace unsup {

template <class T>
struct index_of;
template <>
struct index_of<float> {
    using type = int32_t;
};
template <>
struct index_of<double> {
    using type = int64_t;
};

template <class T, int N>
struct vec_of {
    typedef T type __attribute__((vector_size(N * sizeof(T))));
};
template <class T, int N>
using vec = typename vec_of<T, N>::type;

}  // namespace unsup
