// Body of nearest; the contract is in nearest.hpp.
#if defined(UNSUP_NEAREST_NEAREST_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_NEAREST_NEAREST_INL_H_
#undef UNSUP_NEAREST_NEAREST_INL_H_
#else
#define UNSUP_NEAREST_NEAREST_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "assign/assign.hpp"
#include "assign/rows-inl.h"
#include "assign/score-inl.h"
#include "memory/buffer.hpp"
#include "nearest/nearest.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// The m best scores so far of each point of a tile, falling, and whose they are.
template <class T>
struct Top {
    int64_t m;
    Vec<T>* score;    // [m][kTileVectors]
    Index<T>* index;  // [m][kTileVectors]

    void start() {
        for (int64_t v = 0; v < m * kTileVectors; ++v) {
            score[v] = Vec<T>{} - std::numeric_limits<T>::infinity();
            index[v] = Index<T>{};
        }
    }

    template <int G>
    UNSUP_INLINE_MEMBER void update(const Scores<T, G>& candidate, int64_t first) {
        const Vec<T>* const last = score + (m - 1) * kTileVectors;
        Index<T> better{};
#pragma GCC unroll 8
        for (int g = 0; g < G; ++g)
#pragma GCC unroll 8
            for (int p = 0; p < kTileVectors; ++p) better |= candidate[g][p] > last[p];
        if (!any<T>(better)) return;
        Scores<T, G> some;  // a copy in memory, so that the scores may stay in registers
#pragma GCC unroll 8
        for (int g = 0; g < G; ++g)
#pragma GCC unroll 8
            for (int p = 0; p < kTileVectors; ++p) some[g][p] = candidate[g][p];
        insert(some[0], G, first);
    }

    // Inserts candidates [count][kTileVectors], which belong to the centroids from `first` on.
    __attribute__((noinline)) void insert(const Vec<T>* candidate, int count, int64_t first) {
        const Vec<T>* const last = score + (m - 1) * kTileVectors;
        uint32_t better = 0;  // a bit for each vector: one hard branch for all, not one each
        for (int g = 0; g < count; ++g)
            for (int p = 0; p < kTileVectors; ++p)
                better |= uint32_t(any<T>(candidate[g * kTileVectors + p] > last[p]))
                          << (g * kTileVectors + p);
        for (; better != 0; better &= better - 1) {
            const int bit = __builtin_ctz(better), p = bit % kTileVectors;
            insert(candidate[bit], p, first + bit / kTileVectors);
        }
    }

    // Inserts one score for each point of vector p. It is compared with what was there before, so
    // that no step of the loop waits for another one.
    UNSUP_INLINE_MEMBER void insert(Vec<T> mine, int p, int64_t centroid) {
        const Index<T> whose = Index<T>{} + typename index_of<T>::type(centroid);
        Vec<T> above = Vec<T>{} + std::numeric_limits<T>::infinity();
        Index<T> above_whose{};
        for (int64_t v = p; v < m * kTileVectors; v += kTileVectors) {
            const Vec<T> here = score[v];
            const Index<T> here_whose = index[v];
            score[v] = mine > above ? above : mine > here ? mine : here;
            index[v] = mine > above ? above_whose : mine > here ? whose : here_whose;
            above = here;
            above_whose = here_whose;
        }
    }
};

// Working memory of one thread.
template <class T>
struct NearestSpace {
    Workspace<T, Top<T>> work;
    std::unique_ptr<Vec<T>[], Free> score;
    std::unique_ptr<Index<T>[], Free> index;

    NearestSpace(const Plan<T>& plan, int64_t d, int64_t m)
        : work(plan, d),
          score(allocate<Vec<T>>(plan.tiles * m * kTileVectors)),
          index(allocate<Index<T>>(plan.tiles * m * kTileVectors)) {
        for (int64_t t = 0; t < plan.tiles; ++t)
            work.keep[t] = {m, score.get() + t * m * kTileVectors,
                            index.get() + t * m * kTileVectors};
    }
};

// Writes the labels [rows, m] of a tile's first rows.
template <class T>
void write_labels(const Top<T>& top, int64_t rows, int32_t* labels) {
    typename index_of<T>::type one[kTile<T>];
    for (int64_t j = 0; j < top.m; ++j) {
        __builtin_memcpy(one, top.index + j * kTileVectors, sizeof one);
        for (int64_t r = 0; r < rows; ++r) labels[r * top.m + j] = int32_t(one[r]);
    }
}

// Fills the distances of rows [i0, i1); the bits are those of assign's distances.
template <class T, int N>
void write_distances(const AssignIn<T>& in, const Centroids<T>& c, const NearestOut<T>& out,
                     int64_t i0, int64_t i1) {
    const RowAdder<T, N> adder(c.shift.get(), c.scale, c.d);
    const double unscale = 1.0 / double(c.scale);
    // Rows before this have as many values behind them as a vector may overrun.
    const int64_t end = in.n - (N + c.d - 1) / c.d;
    for (int64_t i = i0; i < i1; ++i) {
        const T* const x = in.x + i * c.d;
        for (int64_t j = i * out.m; j < (i + 1) * out.m; ++j) {
            const T* const centroid = c.rows.get() + out.labels[j] * c.stride;
            const vec<T, N> squared = i < end ? adder.template distance<true>(x, centroid)
                                              : adder.template distance<false>(x, centroid);
            out.distances[j] = T(sum<N>(to_double<T, N>(squared)) * unscale * unscale);
        }
    }
}

template <class T>
void nearest(const AssignIn<T>& in, const NearestOut<T>& out, const Run& run) {
    const Centroids<T> c(in, run.threads);
    const Plan<T> plan(c.d, c.k, c.groups);
    const int64_t blocks = (in.n + plan.block_rows - 1) / plan.block_rows;
    const int threads = int(std::max<int64_t>(1, std::min<int64_t>(run.threads, blocks)));
    std::vector<NearestSpace<T>> spaces;
    for (int t = 0; t < threads; ++t) spaces.emplace_back(plan, c.d, out.m);
    std::atomic<int64_t> next{0};
    Stop stop(run);
    in_parallel(threads, [&](int thread) {
        Workspace<T, Top<T>>& work = spaces[size_t(thread)].work;
        for (int64_t b; (b = next.fetch_add(1)) < blocks;) {
            const int64_t i0 = b * plan.block_rows, i1 = std::min(in.n, i0 + plan.block_rows);
            if (!score_block<T>(in, c, plan, i0, i1, work, stop, thread)) return;
            for (int64_t i = i0, t = 0; i < i1; i += kTile<T>, ++t)
                write_labels<T>(work.keep[t], std::min<int64_t>(kTile<T>, i1 - i),
                                out.labels + i * out.m);
            if (out.distances == nullptr) continue;
            if (sums_stride(c.d) == 4)
                write_distances<T, 4>(in, c, out, i0, i1);
            else
                write_distances<T, kDoubles>(in, c, out, i0, i1);
        }
    });
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
