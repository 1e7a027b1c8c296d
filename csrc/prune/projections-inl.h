// Rows and centroids in a few directions; the contract is in prune.hpp.
#if defined(UNSUP_PRUNE_PROJECTIONS_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_PRUNE_PROJECTIONS_INL_H_
#undef UNSUP_PRUNE_PROJECTIONS_INL_H_
#else
#define UNSUP_PRUNE_PROJECTIONS_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "assign/score-inl.h"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "prune/greatest-inl.h"
#include "prune/prune.hpp"
#include "simd/pack-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Projected centroids for scoring one row against a group of them.
template <class T>
struct Projections {
    static constexpr int W = lanes<T>, V = kNear / W;
    static constexpr bool kHasFine = false;
    const Bounds<T>& b;
    int64_t columns, groups;
    Buffer<T> packed;     // [groups][R + 1][kNear]
    Buffer<T> half_norm;  // [groups][kNear]: -|y_c|^2 / 2, minus infinity for padding
    double longest;       // max |y_c|
    double slack;         // how far any y_c may be off

    Projections(const Bounds<T>& b_, const Centroids<T>& c, int)
        : b(b_), columns(b_.columns), slack(b_.centers_slack) {
        const int64_t k = c.k;
        groups = (k + kNear - 1) / kNear;
        packed = buffer<T>(groups * columns * kNear, T(0));
        half_norm = buffer<T>(groups * kNear, -std::numeric_limits<T>::infinity());
        double most = 0;
        for (int64_t at = 0; at < k; ++at) {
            T* to = packed.get() + at / kNear * columns * kNear + at % kNear;
            double squared = 0;
            for (int64_t j = 0; j < columns; ++j) {
                const T value = to[j * kNear] = b.centers[at * columns + j];
                squared += double(value) * double(value);
            }
            half_norm[at] = T(-squared / 2);
            most = std::max(most, squared);
        }
        longest = std::sqrt(most) * (1 + 1e-6);
    }

    // OUT: y.c - |c|^2 / 2 of M rows and the centroids of a group.
    template <int M>
    UNSUP_INLINE_MEMBER void score(const int64_t* rows, int64_t group, Vec<T> (&out)[M][V]) const {
        const T* c = packed.get() + group * columns * kNear;
        const T* y[M];
        for (int m = 0; m < M; ++m) y[m] = b.rows + rows[m] * columns;
        Vec<T> total[M][V];
        for (int m = 0; m < M; ++m)
            for (int v = 0; v < V; ++v)
                total[m][v] = load<T, W>(half_norm.get() + group * kNear + v * W);
        for (int64_t j = 0; j < columns; ++j, c += kNear) {
            Vec<T> centroid[V];
#pragma GCC unroll 4
            for (int v = 0; v < V; ++v) centroid[v] = load<T, W>(c + v * W);
#pragma GCC unroll 8
            for (int m = 0; m < M; ++m)
#pragma GCC unroll 4
                for (int v = 0; v < V; ++v) total[m][v] += centroid[v] * y[m][j];
        }
        __builtin_memcpy(out, total, sizeof total);
    }
};

template <class T>
void project(const Project<T>& p, const Run& run) {
    const Centroids<T> q({p.n, p.d, p.r, nullptr, p.directions, nullptr, nullptr}, run.threads);
    const Buffer<T> shift = buffer<T>(p.d + 2 * lanes<T>, T(0));
    std::copy(p.shift, p.shift + p.d, shift.get());
    constexpr int64_t chunk_rows = 16 * kTile<T>;
    const int64_t chunks = (p.n + chunk_rows - 1) / chunk_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, chunks)));
    std::vector<Buffer<T>> tiles;
    for (int t = 0; t < threads; ++t) tiles.push_back(buffer<T>(p.d * kTile<T>, T(0)));
    Stop stop(run);
    std::atomic<int64_t> next{0};
    const auto project_tile = [&](int64_t i, int rows, T* tile) {
        pack<T>(p.x + i * p.d, rows, p.d, p.x + p.n * p.d, shift.get(), p.scale, tile);
        Vec<T> squares[kTileVectors] = {};
        for (int64_t j = 0; j < p.d; ++j)
            for (int v = 0; v < kTileVectors; ++v) {
                const Vec<T> x = load<T, lanes<T>>(tile + j * kTile<T> + v * lanes<T>);
                squares[v] += x * x;
            }
        __builtin_memcpy(p.squares + i, squares, size_t(rows) * sizeof(T));
        for (int64_t g = 0; g < q.groups; ++g) {
            Scores<T, kGroup> score = {};
            multiply<T, kGroup>(tile, q.packed.get() + g * kGroup * p.d, p.d, score);
            T z[kGroup][kTile<T>];
            __builtin_memcpy(z, score, sizeof z);
            const int64_t width = std::min<int64_t>(kGroup, p.r - g * kGroup);
            for (int r = 0; r < rows; ++r)
                for (int64_t k = 0; k < width; ++k)
                    p.rows[(i + r) * (p.r + 1) + g * kGroup + k] = z[k][r] / q.scale;
        }
    };
    in_parallel(threads, [&](int thread) {
        for (int64_t c; (c = next.fetch_add(1)) < chunks && !stop.poll(thread);)
            for (int64_t i = c * chunk_rows; i < std::min(p.n, (c + 1) * chunk_rows); i += kTile<T>)
                project_tile(i, int(std::min<int64_t>(kTile<T>, p.n - i)),
                             tiles[size_t(thread)].get());
    });
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
