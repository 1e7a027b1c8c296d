// Vectors of this level's width, and how many of them a tile has.
#include "simd.hpp"

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

constexpr int kNear = 16;  // centroids of a group of prune: the lanes of one vector or of several

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
    if constexpr (M == 8 && W == 16) {
        const auto lane = std::make_integer_sequence<int, W>();
        const Vec<T> half[4] = {
            fold<T, 8>(most[0], most[1], lane), fold<T, 8>(most[2], most[3], lane),
            fold<T, 8>(most[4], most[5], lane), fold<T, 8>(most[6], most[7], lane)};
        const Vec<T> quarter[2] = {fold<T, 4>(half[0], half[1], lane),
                                   fold<T, 4>(half[2], half[3], lane)};
        const Vec<T> eighth = fold<T, 2>(quarter[0], quarter[1], lane);
        const Vec<T> all = fold<T, 1>(eighth, eighth, lane);
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
