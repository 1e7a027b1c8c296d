// Channels of a position as vectors, and their sigmoid.
#if defined(UNSUP_GROUP_NORM_CHANNELS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_GROUP_NORM_CHANNELS_INL_H_
#undef UNSUP_GROUP_NORM_CHANNELS_INL_H_
#else
#define UNSUP_GROUP_NORM_CHANNELS_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "samples/element-inl.h"
#include "simd/exp-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Calls body(c, K, count) for the channels of [begin, end), K vectors at a time; the last vector
// may have but `count` of its lanes.
template <class C, class Body>
UNSUP_INLINE void in_lots(int64_t begin, int64_t end, const Body& body) {
    constexpr int W = lanes<C>;
    int64_t c = begin;
    for (; c + 4 * W <= end; c += 4 * W) body(c, std::integral_constant<int, 4>(), W);
    for (; c < end; c += W)
        body(c, std::integral_constant<int, 1>(), int(std::min<int64_t>(W, end - c)));
}

template <class T, int K>
UNSUP_INLINE void take(const T* p, int count, Vec<Compute<T>> (&out)[K]) {
    constexpr int W = lanes<Compute<T>>;
    if (count == W) {
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k) out[k] = load_as(p + k * W);
    } else {
        T part[W] = {};
        std::memcpy(part, p, size_t(count) * sizeof(T));
        out[0] = load_as(part);
    }
}

template <class T, int K>
UNSUP_INLINE void put(T* p, int count, const Vec<Compute<T>> (&v)[K]) {
    constexpr int W = lanes<Compute<T>>;
    if (count == W) {
#pragma GCC unroll 4
        for (int k = 0; k < K; ++k) store_as(p + k * W, v[k]);
    } else {
        T part[W];
        store_as(part, v[0]);
        std::memcpy(p, part, size_t(count) * sizeof(T));
    }
}

template <class C>
UNSUP_INLINE Vec<C> sigmoid(Vec<C> v) {
    const Vec<C> e = exp_negative<C>(v > -v ? -v : v), r = C(1) / (e + C(1));
    return v >= C(0) ? r : e * r;
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
