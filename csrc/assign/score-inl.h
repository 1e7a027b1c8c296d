// The labels of assign: scores of a block of rows against panels of centroids.
#if defined(UNSUP_ASSIGN_SCORE_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_ASSIGN_SCORE_INL_H_
#undef UNSUP_ASSIGN_SCORE_INL_H_
#else
#define UNSUP_ASSIGN_SCORE_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "assign/assign.hpp"
#include "memory/buffer.hpp"
#include "parallel/parallel.hpp"
#include "parallel/run.hpp"
#include "simd/pack-inl.h"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

// Sizes in bytes that a core's caches hold along with other things.
constexpr int64_t kBlockBytes = 192 << 10;  // tiles of a block
constexpr int64_t kPanelBytes = 256 << 10;  // centroids scored against a block before the next
constexpr int64_t kDepth = 1024;            // columns multiplied before scores go to memory

// Centroids less the shift, times a power of two, in the two layouts that are needed.
template <class T>
struct Centroids {
    int64_t k, d, groups;
    T scale;              // power of two
    int64_t stride;       // of rows: D, padded with zeros to whole vectors
    Buffer<T> shift;      // [stride + 2 lanes]
    Buffer<T> rows;       // [K, stride]
    Buffer<T> packed;     // [groups][D][kGroup], unless only rows are wanted
    Buffer<T> half_norm;  // [groups * kGroup]: -|c'|^2 / 2, minus infinity for padding

    Centroids(const AssignIn<T>& in, int threads, bool only_rows = false) : k(in.k), d(in.d) {
        groups = (k + kGroup - 1) / kGroup;
        stride = (d + lanes<T> - 1) / lanes<T> * lanes<T>;
        shift = buffer<T>(stride + 2 * lanes<T>, T(0));
        if (in.shift != nullptr) std::copy(in.shift, in.shift + d, shift.get());
        rows = buffer<T>(k * stride, T(0));
        const int64_t part = (int64_t(1) << 15) / d + 1;  // centroids worth a thread
        std::vector<T> largest_of(size_t(k), T(0));
        in_parts(threads, k, part, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                T largest = 0;
                for (int64_t j = 0; j < d; ++j) {
                    rows[i * stride + j] = in.centers[i * d + j] - shift[j];
                    largest = std::max(largest, std::abs(rows[i * stride + j]));
                }
                largest_of[size_t(i)] = largest;
            }
        });
        T largest = 0;
        for (const T one : largest_of) largest = std::max(largest, one);
        scale = largest > 0 ? std::ldexp(T(1), -std::max(std::ilogb(largest),
                                                         8 - std::numeric_limits<T>::max_exponent))
                            : T(1);
        half_norm = buffer<T>(groups * kGroup, -std::numeric_limits<T>::infinity());
        in_parts(threads, k, part, [&](int64_t begin, int64_t end) {
            for (int64_t i = begin; i < end; ++i) {
                vec<double, kDoubles> squares{};
                for (int64_t j = 0; j < stride; j += kDoubles) {
                    const vec<T, kDoubles> c = load<T, kDoubles>(&rows[i * stride + j]) * scale;
                    store<T, kDoubles>(&rows[i * stride + j], c);
                    squares += to_double<T, kDoubles>(c) * to_double<T, kDoubles>(c);
                }
                half_norm[i] = T(-sum<kDoubles>(squares) / 2);
            }
        });
        if (only_rows) return;
        packed = buffer<T>(groups * kGroup * d, T(0));
        in_parts(threads, groups, part / kGroup + 1, [&](int64_t begin, int64_t end) {
            for (int64_t g = begin; g < end; ++g) {
                T* to = packed.get() + g * kGroup * d;
                const T* from = rows.get() + g * kGroup * stride;
                const int64_t count = std::min<int64_t>(kGroup, k - g * kGroup);
                for (int64_t j = 0; j < d; ++j)
                    for (int64_t i = 0; i < count; ++i) to[j * kGroup + i] = from[i * stride + j];
            }
        });
    }
};

// The rows of a tile that comes later, fetched into cache a part at a time.
template <class T>
struct Ahead {
    const char* from;
    const char* end;
    int64_t step;  // bytes of a part

    // Rows [i, i + kTile) of X, in `parts` parts.
    Ahead(const AssignIn<T>& in, int64_t i, int64_t parts)
        : from(reinterpret_cast<const char*>(in.x + std::min(in.n, i) * in.d)),
          end(reinterpret_cast<const char*>(in.x + std::min(in.n, i + kTile<T>) * in.d)),
          step((end - from) / parts / 64 * 64 + 64) {}

    UNSUP_INLINE_MEMBER void fetch() {
        const char* stop = std::min(end, from + step);
        for (; from < stop; from += 64) __builtin_prefetch(from, 0, 2);
    }
};

// Scores of one tile against G centroids of a group, G <= kGroup.
template <class T, int G>
using Scores = Vec<T>[G][kTileVectors];

template <class T, int G>
UNSUP_INLINE void start(const T* half_norm, Scores<T, G>& score) {
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g)
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) score[g][p] = Vec<T>{} + half_norm[g];
}

// Adds x_j c_j over `depth` columns.
template <class T, int G>
UNSUP_INLINE void multiply(const T* x, const T* c, int64_t depth, Scores<T, G>& score) {
    constexpr int W = lanes<T>;
    for (int64_t j = 0; j < depth; ++j) {
        Vec<T> point[kTileVectors];
#pragma GCC unroll 8
        for (int p = 0; p < kTileVectors; ++p) point[p] = load<T, W>(x + p * W);
#pragma GCC unroll 8
        for (int g = 0; g < G; ++g) {
#pragma GCC unroll 8
            for (int p = 0; p < kTileVectors; ++p) score[g][p] += point[p] * c[g];
        }
        x += kTile<T>;
        c += kGroup;
    }
}

// The best score so far of each point of a tile, and whose it is: what a tile's scores are for. The
// functions below take it, or Top of csrc/nearest, as Keep.
template <class T>
struct Best {
    Vec<T> score[kTileVectors];
    Index<T> index[kTileVectors];

    void start() {
        for (int p = 0; p < kTileVectors; ++p) {
            score[p] = Vec<T>{} - std::numeric_limits<T>::infinity();
            index[p] = Index<T>{};
        }
    }

    template <int G>
    UNSUP_INLINE_MEMBER void update(const Scores<T, G>& candidate, int64_t first) {
#pragma GCC unroll 8
        for (int g = 0; g < G; ++g) {
            const Index<T> k = Index<T>{} + typename index_of<T>::type(first + g);
#pragma GCC unroll 8
            for (int p = 0; p < kTileVectors; ++p) {
                const auto better = candidate[g][p] > score[p];
                score[p] = better ? candidate[g][p] : score[p];
                index[p] = better ? k : index[p];
            }
        }
    }
};

template <class T, int G, class Keep>
UNSUP_INLINE void score_group(const T* tile, const Centroids<T>& c, int64_t g, Keep& keep) {
    Scores<T, G> score;
    start<T, G>(c.half_norm.get() + g * kGroup, score);
    multiply<T, G>(tile, c.packed.get() + g * kGroup * c.d, c.d, score);
    keep.template update<G>(score, g * kGroup);
}

// Scores the centroids of groups [g0, g1) against one tile. The scores stay in registers over all
// columns; a last group that is not full takes a quarter or half of the work where that suffices.
template <class T, class Keep>
void score_tile(const T* tile, const Centroids<T>& c, int64_t g0, int64_t g1, Keep& keep_io,
                Ahead<T> ahead) {
    Keep keep = keep_io;
    const int64_t full = std::min(g1, c.k / kGroup);
    for (int64_t g = g0; g < full; ++g) {
        ahead.fetch();
        score_group<T, kGroup>(tile, c, g, keep);
    }
    if (full < g1) {
        ahead.fetch();
        const int64_t left = c.k - full * kGroup;
        if (left <= kGroup / 4)
            score_group<T, kGroup / 4>(tile, c, full, keep);
        else if (left <= kGroup / 2)
            score_group<T, kGroup / 2>(tile, c, full, keep);
        else
            score_group<T, kGroup>(tile, c, full, keep);
    }
    keep_io = keep;
}

// The same for many columns: kDepth of them at a time, so that they stay in cache while the panel's
// groups pass over them; scores wait in `waiting`, [g1 - g0][kGroup][kTileVectors].
template <class T, class Keep>
void score_deep_tile(const T* tile, const Centroids<T>& c, int64_t g0, int64_t g1, Keep& keep,
                     Vec<T>* waiting, Ahead<T> ahead) {
    constexpr int kScores = kGroup * kTileVectors;
    for (int64_t j = 0; j < c.d; j += kDepth) {
        const int64_t depth = std::min(kDepth, c.d - j);
        for (int64_t g = g0; g < g1; ++g) {
            if (j == 0) ahead.fetch();
            Scores<T, kGroup> score;
            Vec<T>* mine = waiting + (g - g0) * kScores;
            if (j == 0)
                start<T, kGroup>(c.half_norm.get() + g * kGroup, score);
            else
                __builtin_memcpy(score, mine, sizeof score);
            multiply<T, kGroup>(tile + j * kTile<T>, c.packed.get() + (g * c.d + j) * kGroup, depth,
                                score);
            if (j + depth < c.d)
                __builtin_memcpy(mine, score, sizeof score);
            else
                keep.template update<kGroup>(score, g * kGroup);
        }
    }
}

// How the work is cut, from N, K and D alone.
template <class T>
struct Plan {
    int64_t tiles;       // of a block
    int64_t panel;       // groups of a panel
    int64_t block_rows;  // rows of a block
    int64_t chunk_rows;  // rows that enter the sums together
    int64_t move_rows;   // rows moved together: fewer, as any order gives the same totals
    bool shared_sums;    // one set of sums for all threads, else one a thread

    Plan(int64_t d, int64_t k, int64_t groups) {
        const int64_t tile_bytes = d * kTile<T> * int64_t(sizeof(T));
        const int64_t group_bytes = d * kGroup * int64_t(sizeof(T));
        tiles = std::clamp<int64_t>(kBlockBytes / tile_bytes, 1, 16);
        panel = std::clamp<int64_t>(kPanelBytes / group_bytes, 1, groups);
        block_rows = tiles * kTile<T>;
        shared_sums = k * d * int64_t(sizeof(double)) > (256 << 10);
        const auto blocks = [&](int64_t rows) {
            return (rows + block_rows - 1) / block_rows * block_rows;
        };
        chunk_rows = blocks(shared_sums ? 1 : 4096);
        move_rows = blocks(1024);
    }
};

// Working memory of one thread for scores.
template <class T, class Keep = Best<T>>
struct Workspace {
    Buffer<T> tiles;
    std::unique_ptr<Keep[], Free> keep;  // of each tile
    std::unique_ptr<Vec<T>[], Free> waiting;

    Workspace(const Plan<T>& plan, int64_t d)
        : tiles(allocate<T>(plan.block_rows * d)),
          keep(allocate<Keep>(plan.tiles)),
          waiting(d > kDepth ? allocate<Vec<T>>(plan.panel * kGroup * kTileVectors) : nullptr) {}
};

// Writes the labels of a tile's first `rows` points; returns how many are new.
template <class T>
UNSUP_INLINE int relabel(const Best<T>& best, int rows, int32_t* labels) {
    typename index_of<T>::type labels_new[kTile<T>];
    __builtin_memcpy(labels_new, best.index, sizeof labels_new);
    int changed = 0;
    for (int r = 0; r < rows; ++r) {
        changed += int32_t(labels_new[r]) != labels[r];
        labels[r] = int32_t(labels_new[r]);
    }
    return changed;
}

// Scores all centroids for rows [i0, i1), at most a block, into work.keep; false if it is to stop.
template <class T, class Keep>
bool score_block(const AssignIn<T>& in, const Centroids<T>& c, const Plan<T>& plan, int64_t i0,
                 int64_t i1, Workspace<T, Keep>& work, Stop& stop, int thread) {
    const int64_t tiles = (i1 - i0 + kTile<T> - 1) / kTile<T>;
    for (int64_t t = 0; t < tiles; ++t) {
        const int64_t i = i0 + t * kTile<T>;
        pack<T>(in.x + i * c.d, int(std::min<int64_t>(kTile<T>, i1 - i)), c.d, in.x + in.n * c.d,
                c.shift.get(), c.scale, work.tiles.get() + t * kTile<T> * c.d);
        work.keep[t].start();
    }
    for (int64_t g = 0; g < c.groups; g += plan.panel) {
        if (stop.poll(thread)) return false;
        const int64_t end = std::min(c.groups, g + plan.panel);
        for (int64_t t = 0; t < tiles; ++t) {
            const T* tile = work.tiles.get() + t * kTile<T> * c.d;
            // While the first panel is scored, the next block's tile t comes.
            const Ahead<T> ahead(in, g == 0 ? i1 + t * kTile<T> : in.n, end - g);
            if (c.d > kDepth)
                score_deep_tile<T>(tile, c, g, end, work.keep[t], work.waiting.get(), ahead);
            else
                score_tile<T>(tile, c, g, end, work.keep[t], ahead);
        }
    }
    return true;
}

// Labels rows [i0, i1), at most a block; returns how many labels changed.
template <class T>
int64_t label_block(const AssignIn<T>& in, const Centroids<T>& c, const Plan<T>& plan, int64_t i0,
                    int64_t i1, Workspace<T>& work, int32_t* labels, Stop& stop, int thread) {
    if (!score_block<T>(in, c, plan, i0, i1, work, stop, thread)) return 0;
    const int64_t tiles = (i1 - i0 + kTile<T> - 1) / kTile<T>;
    int64_t changed = 0;
    for (int64_t t = 0; t < tiles; ++t) {
        const int64_t i = i0 + t * kTile<T>;
        if (i1 - i >= kTile<T>)
            changed += relabel<T>(work.keep[t], kTile<T>, labels + i);
        else
            changed += relabel<T>(work.keep[t], int(i1 - i), labels + i);
    }
    return changed;
}

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
