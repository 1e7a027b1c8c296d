// The groups of centroids that rows are scored against together, and the greatest of their scores.
#if defined(UNSUP_PRUNE_GREATEST_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_GREATEST_INL_H_
#undef UNSUP_PRUNE_GREATEST_INL_H_
#else
#define UNSUP_PRUNE_GREATEST_INL_H_
#endif

#include <utility>

#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int kNear = 16;  // centroids of a group: the lanes of one vector or of several

// Lanes l of `a` and `b` where (l / half) is even, and those where it is odd.
template <class T, int Half, int... L>
UNSUP_INLINE Vec<T> fold(Vec<T> a, Vec<T> b, std::integer_sequence<int, L...>) {
    constexpr int W = lanes<T>, half = W / 2;
    const Vec<T> even = __builtin_shufflevector(
        a, b, (L / half * W + (L % half) / Half * 2 * Half + (L % half) % Half)...);
    const Vec<T> odd = __builtin_shufflevector(
        a, b, (L / half * W + (L % half) / Half * 2 * Half + (L % half) % Half + Half)...);
    return even > odd ? even : odd;
}

// OUT: the greatest of the lanes of V vectors, for each of M rows.
template <class T, int M, int V>
UNSUP_INLINE void greatest(const Vec<T> (&value)[M][V], T (&out)[M]) {
    constexpr int W = lanes<T>;
    Vec<T> most[M];
#pragma GCC unroll 8
    for (int m = 0; m < M; ++m) {
        most[m] = value[m][0];
#pragma GCC unroll 4
        for (int v = 1; v < V; ++v) most[m] = value[m][v] > most[m] ? value[m][v] : most[m];
    }
    const auto lane = std::make_integer_sequence<int, W>();
    if constexpr (M == 8 && W == 16) {
        const Vec<T> half[4] = {
            fold<T, 8>(most[0], most[1], lane), fold<T, 8>(most[2], most[3], lane),
            fold<T, 8>(most[4], most[5], lane), fold<T, 8>(most[6], most[7], lane)};
        const Vec<T> quarter[2] = {fold<T, 4>(half[0], half[1], lane),
                                   fold<T, 4>(half[2], half[3], lane)};
        const Vec<T> eighth = fold<T, 2>(quarter[0], quarter[1], lane);
        const Vec<T> all = fold<T, 1>(eighth, eighth, lane);
        __builtin_memcpy(out, &all, sizeof out);
    } else if constexpr (M == 4 && W == 8) {
        const Vec<T> half[2] = {fold<T, 4>(most[0], most[1], lane),
                                fold<T, 4>(most[2], most[3], lane)};
        const Vec<T> quarter = fold<T, 2>(half[0], half[1], lane);
        const Vec<T> all = fold<T, 1>(quarter, quarter, lane);
        __builtin_memcpy(out, &all, sizeof out);
    } else {
        for (int m = 0; m < M; ++m) {
            T lane[W];
            __builtin_memcpy(lane, &most[m], sizeof lane);
            for (int width = W / 2; width > 0; width /= 2)
                for (int l = 0; l < width; ++l)
                    lane[l] = lane[l + width] > lane[l] ? lane[l + width] : lane[l];
            out[m] = lane[0];
        }
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
