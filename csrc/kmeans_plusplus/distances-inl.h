// Distances of k-means++: rows of a block to a group of candidates, and their sums.
#if defined(UNSUP_KMEANS_PLUSPLUS_DISTANCES_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_KMEANS_PLUSPLUS_DISTANCES_INL_H_
#undef UNSUP_KMEANS_PLUSPLUS_DISTANCES_INL_H_
#else
#define UNSUP_KMEANS_PLUSPLUS_DISTANCES_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "memory/buffer.hpp"
#include "simd/pack-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int64_t kSumBlock = 192;  // rows whose distances are summed together
constexpr int kCandidateGroup = 8;  // candidates scored together
constexpr int kCandidates = 4;      // of these, with their totals in registers

// sum_i w_i values_i over at most a block, in one order.
template <class T>
__attribute__((noinline)) double block_sum(const T* values, const T* weight, int64_t rows) {
    constexpr int64_t kLanes = 8;
    double total[kLanes] = {};
    int64_t i = 0;
    if (weight == nullptr) {
        for (; i + kLanes <= rows; i += kLanes)
            for (int64_t l = 0; l < kLanes; ++l) total[l] += double(values[i + l]);
        for (; i < rows; ++i) total[i % kLanes] += double(values[i]);
    } else {
        for (; i + kLanes <= rows; i += kLanes)
            for (int64_t l = 0; l < kLanes; ++l)
                total[l] += double(weight[i + l]) * double(values[i + l]);
        for (; i < rows; ++i) total[i % kLanes] += double(weight[i]) * double(values[i]);
    }
    for (int64_t width = kLanes / 2; width > 0; width /= 2)
        for (int64_t l = 0; l < width; ++l) total[l] += total[l + width];
    return total[0];
}

// Up to kCandidateGroup rows times the scale, in the layout that distances to them need.
template <class T>
struct CandidateGroup {
    int count = 0;
    int64_t d;
    T scale;
    bool narrow;     // columns in turn, with rows in lanes; else columns in lanes
    int64_t stride;  // of rows: D, padded with zeros
    Buffer<T> rows;  // [kCandidateGroup, stride], or narrow [kCandidateGroup /
                     // kCandidates][D][kCandidates]
    typename index_of<T>::type inside[lanes<T>];  // minus one in a last vector's lanes of columns

    CandidateGroup(int64_t d_, T scale_) : d(d_), scale(scale_), narrow(d_ < 2 * lanes<T>) {
        stride = (d + lanes<T> - 1) / lanes<T> * lanes<T>;
        rows = buffer<T>(kCandidateGroup * stride, T(0));
        for (int l = 0; l < lanes<T>; ++l) inside[l] = stride - lanes<T> + l < d ? -1 : 0;
    }
    void set(int g, const T* row) {
        for (int64_t j = 0; j < d; ++j)
            rows[size_t(narrow ? (g / kCandidates * d + j) * kCandidates + g % kCandidates
                               : g * stride + j)] = row[j] * scale;
    }
};

// Asks for values that will be read soon.
template <class T>
UNSUP_INLINE void fetch(const T* x, int64_t count) {
    const char* from = reinterpret_cast<const char*>(x);
    for (int64_t byte = 0; byte < count * int64_t(sizeof(T)); byte += 64)
        __builtin_prefetch(from + byte, 0, 3);
}

// v_l + v_(l ^ S) in lane l.
template <class T, int S, int... L>
UNSUP_INLINE Vec<T> fold(Vec<T> v, std::integer_sequence<int, L...>) {
    return v + __builtin_shufflevector(v, v, (L ^ S)...);
}

// Of segments of S lanes: those of a, then those of b, each with its upper half added to its lower.
template <class T, int S, int... L>
UNSUP_INLINE Vec<T> halve(Vec<T> a, Vec<T> b, std::integer_sequence<int, L...>) {
    constexpr int W = lanes<T>, H = S / 2;
    return __builtin_shufflevector(a, b, (L / (W / 2) * W + L % (W / 2) / H * S + L % H)...) +
           __builtin_shufflevector(a, b, (L / (W / 2) * W + L % (W / 2) / H * S + L % H + H)...);
}

// The sum of each segment of S lanes, in all its lanes.
template <class T, int S>
UNSUP_INLINE Vec<T> fold_segments(Vec<T> v) {
    if constexpr (S > 1)
        return fold_segments<T, S / 2>(
            fold<T, S / 2>(v, std::make_integer_sequence<int, lanes<T>>()));
    else
        return v;
}

// The sums of G vectors' lanes, in halves of halves, whatever G is.
template <class T, int G>
UNSUP_INLINE void sum_lanes(const Vec<T> (&v)[G], T* out) {
    constexpr int W = lanes<T>;
    constexpr std::make_integer_sequence<int, W> all;
    if constexpr (G == 4 && W >= 4) {
        const Vec<T> a = halve<T, W>(v[0], v[1], all), b = halve<T, W>(v[2], v[3], all);
        const Vec<T> sums = fold_segments<T, W / 4>(halve<T, W / 2>(a, b, all));
        for (int g = 0; g < 4; ++g) out[g] = sums[g * (W / 4)];
    } else if constexpr (G == 2) {
        const Vec<T> sums = fold_segments<T, W / 2>(halve<T, W>(v[0], v[1], all));
        for (int g = 0; g < 2; ++g) out[g] = sums[g * (W / 2)];
    } else {
        for (int g = 0; g < G; ++g) out[g] = fold_segments<T, W>(v[g])[0];
    }
}

// Squared distances of a row to the members `of` of a group; end: one past the last element that
// may be read.
template <class T, int G>
UNSUP_INLINE void row_distances(const T* x, const T* end, const CandidateGroup<T>& group,
                                const int* of, T* out) {
    constexpr int W = lanes<T>;
    const T* c[G];
    for (int g = 0; g < G; ++g) c[g] = group.rows.get() + of[g] * group.stride;
    Vec<T> even[G] = {}, odd[G] = {};
    const int64_t last = group.stride - W;
    int64_t j = 0;
    for (; j + W < last; j += 2 * W) {
        const Vec<T> a = load<T, W>(x + j) * group.scale;
        const Vec<T> b = load<T, W>(x + j + W) * group.scale;
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            const Vec<T> p = a - load<T, W>(c[g] + j), q = b - load<T, W>(c[g] + j + W);
            even[g] += p * p;
            odd[g] += q * q;
        }
    }
    for (; j < last; j += W) {
        const Vec<T> a = load<T, W>(x + j) * group.scale;
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) {
            const Vec<T> p = a - load<T, W>(c[g] + j);
            even[g] += p * p;
        }
    }
    Vec<T> rest;
    if (x + last + W <= end) {
        rest = load<T, W>(x + last);
    } else {
        T part[W] = {};
        for (int64_t l = 0; last + l < group.d; ++l) part[l] = x[last + l];
        rest = load<T, W>(part);
    }
    Index<T> inside;
    __builtin_memcpy(&inside, group.inside, sizeof inside);
    const Vec<T> value = (inside ? rest : Vec<T>{}) * group.scale;
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) {
        const Vec<T> p = value - load<T, W>(c[g] + last);
        odd[g] += p * p;
        even[g] += odd[g];
    }
    sum_lanes<T, G>(even, out);
}

// The same for `count` members, up to four at a time.
template <class T>
UNSUP_INLINE void some_distances(const T* x, const T* end, const CandidateGroup<T>& group,
                                 const int* of, int count, T* out) {
    int g = 0;
    for (; g + 4 <= count; g += 4) row_distances<T, 4>(x, end, group, of + g, out + g);
    if (g + 2 <= count) {
        row_distances<T, 2>(x, end, group, of + g, out + g);
        g += 2;
    }
    if (g < count) row_distances<T, 1>(x, end, group, of + g, out + g);
}

// Squared distances of a tile [D][kTile] to rows c [D][kCandidates].
template <class T>
__attribute__((noinline)) void tile_distances(const T* tile, const T* c, int64_t d,
                                              T (&squared)[kCandidates][kTile<T>]) {
    Vec<T> total[kCandidates][kTileVectors] = {};
    for (int64_t j = 0; j < d; ++j, tile += kTile<T>, c += kCandidates) {
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) {
            const Vec<T> x = load<T, lanes<T>>(tile + p * lanes<T>);
#pragma GCC unroll 8
            for (int t = 0; t < kCandidates; ++t) {
                const Vec<T> gap = x - c[t];
                total[t][p] += gap * gap;
            }
        }
    }
    __builtin_memcpy(squared, total, sizeof total);
}

// Distances of the rows of a block to a group's members.
template <class T>
using BlockDistances = T[kCandidateGroup][kSumBlock];

template <class T>
void block_distances(const T* x, const T* end, int64_t rows, const CandidateGroup<T>& group,
                     BlockDistances<T>& values) {
    const int64_t d = group.d;
    if (!group.narrow) {
        const int all[kCandidateGroup] = {0, 1, 2, 3, 4, 5, 6, 7};
        for (int64_t r = 0; r < rows; ++r) {
            T out[kCandidateGroup];
            some_distances<T>(x + r * d, end, group, all, group.count, out);
            for (int g = 0; g < group.count; ++g) values[g][r] = out[g];
        }
        return;
    }
    const T zeros[4 * lanes<T>] = {};
    T tile[2 * lanes<T> * kTile<T>];
    T squared[kCandidates][kTile<T>];
    for (int64_t r = 0; r < rows; r += kTile<T>) {
        const int few = int(std::min<int64_t>(kTile<T>, rows - r));
        const int64_t next = std::clamp<int64_t>(end - (x + (r + kTile<T>)*d), 0, kTile<T> * d);
        fetch(x + (r + kTile<T>)*d, next);
        pack<T>(x + r * d, few, d, end, zeros, group.scale, tile);
        for (int g = 0; g < group.count; g += kCandidates) {
            tile_distances<T>(tile, group.rows.get() + g * d, d, squared);
            for (int q = 0; q < kCandidates; ++q)
                __builtin_memcpy(values[g + q] + r, squared[q], sizeof squared[q]);
        }
    }
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
