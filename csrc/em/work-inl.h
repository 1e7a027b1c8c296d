// How em cuts its work, and the working memory of a thread.
#if defined(UNSUP_EM_WORK_INL_H_) == defined(UNSUP_TARGET_TOGGLE)
#ifdef UNSUP_EM_WORK_INL_H_
#undef UNSUP_EM_WORK_INL_H_
#else
#define UNSUP_EM_WORK_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "assign/score-inl.h"
#include "em/model-inl.h"
#include "em/moments-inl.h"
#include "memory/buffer.hpp"
#include "simd/vector-inl.h"

UNSUP_BEFORE_NAMESPACE();
namespace unsup {
namespace UNSUP_ISA {
namespace {

constexpr int64_t kShareBytes = 256 << 10;        // responsibilities of a block
constexpr int64_t kFactorBytes = 256 << 10;       // factors of components that a tile meets in turn
constexpr int64_t kSumsBytes = int64_t(4) << 30;  // sums of all threads

// A tile is taken whole if a component has a share of one row in so many.
constexpr int kDenseShare = 3;

// How the work is cut, from N, K and D alone.
template <class T>
struct EmPlan {
    int64_t tiles;       // of a block
    int64_t block_rows;  // rows of a block
    int64_t chunk_rows;  // rows whose sums are merged together
    int64_t panel;       // components scored against a block before the next
    int64_t run;         // rows summed in T

    EmPlan(const EmModel<T>& m, int64_t n, const SumsLayout& layout) {
        const int64_t size = sizeof(T);
        // A block adds to D^2 sums of each component, which takes many rows to be worth it.
        const int64_t least = layout.each > m.width ? std::clamp<int64_t>(m.width / 8, 4, 32) : 1;
        tiles = std::clamp<int64_t>(std::min(kBlockBytes / (m.width * kTile<T> * size),
                                             kShareBytes / (m.k * kTile<T> * size)),
                                    least, 32);
        block_rows = tiles * kTile<T>;
        const bool large = layout.size * int64_t(sizeof(double)) > (4 << 20);
        chunk_rows = round_up(
            large ? std::max<int64_t>(n / 16, 1024) : std::clamp<int64_t>(n / 64, 1024, 8192),
            block_rows);
        panel = std::clamp<int64_t>(kFactorBytes / (m.triangle.size * size), 1, m.k);
        run = run_rows<T>(m.width);
    }
};

// Of what a component has shares of: single rows, and tiles it has a share of most rows of.
struct Listed {
    int64_t rows, tiles;
};

// Working memory of one thread.
template <class T>
struct EmWork {
    Buffer<T> tiles;        // [tiles][D][kTile]
    Buffer<T> rows;         // [block_rows][width]: x * scale; past D something
    Buffer<T> shares;       // [tiles][K][kTile]: l, then w r
    Buffer<T> gap;          // [D][kTile]
    Buffer<int32_t> row;    // [block_rows + lanes]: those that a component has a share of
    Buffer<T> share;        // [block_rows + lanes]
    Buffer<int32_t> tile;   // [tiles]: those a component has a share of most rows of
    Buffer<bool> dense;     // [tiles]: whether they may be taken whole
    Buffer<double> gaps;    // [run][width], in T or double
    Buffer<double> total;   // [block_rows]: tied: sum_k w r
    Buffer<double> unused;  // [width]: sums about s, which follow from those about the means
    Buffer<double> sums;    // [SumsLayout.size]

    EmWork(const EmModel<T>& m, const EmPlan<T>& plan, int64_t sums_size)
        : tiles(allocate<T>(plan.block_rows * m.d)),
          rows(buffer<T>(sums_size > 0 ? plan.block_rows * m.width : 0, T(0))),
          shares(allocate<T>(plan.block_rows * m.k)),
          gap(allocate<T>(m.d * kTile<T>)),
          row(allocate<int32_t>(plan.block_rows + lanes<T>)),
          share(allocate<T>(plan.block_rows + lanes<T>)),
          tile(allocate<int32_t>(plan.tiles)),
          dense(buffer<bool>(plan.tiles, false)),
          gaps(allocate<double>(sums_size > 0 ? plan.run * m.width : 0)),
          total(allocate<double>(plan.block_rows)),
          unused(buffer<double>(m.width, 0.0)),
          sums(buffer<double>(sums_size, 0.0)) {}
};

}  // namespace
}  // namespace UNSUP_ISA
}  // namespace unsup
UNSUP_AFTER_NAMESPACE();

#endif
